/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the crate pci_audit uses of C and the kernel crate does not bind.  bindgen reads this file.
 */
#include <linux/audit.h>
#include <linux/pci_audit.h>
#include <trace/events/pci_audit.h>

/*
 * The record's type.  A kernel without the patch series gets it from the compiler's command line,
 * whose macros bindgen does not see.
 */
enum { PCI_AUDIT_TYPE = AUDIT_PCI };

/* Static inlines and macros, in trace.c. */
struct audit_context *pci_audit_context(gfp_t gfp);
void pci_audit_trace(struct pci_dev *pdev, enum pci_audit_op op, u32 offset, u32 size,
		     u64 session, bool allowed);

/* An access and its circumstances, for what is kept for the next boot. */
struct pci_audit_seen {
	u64 log_ns;
	u64 real_ns;
	u64 session;
	u32 domain;
	u32 pid;
	u32 offset;
	u32 size;
	u8 bus;
	u8 devfn;
	bool write;
	bool allowed;
	u64 comm[TASK_COMM_LEN / sizeof(u64)];
};

bool pci_audit_keeps(void);
void pci_audit_write_back(void *addr, size_t size);
u64 pci_audit_boot_token(void);
int pci_audit_start_keeping(void (*fn)(void *data, const struct pci_audit_seen *seen), void *data);
void pci_audit_stop_keeping(void *data);
