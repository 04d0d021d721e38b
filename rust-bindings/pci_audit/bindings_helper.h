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
