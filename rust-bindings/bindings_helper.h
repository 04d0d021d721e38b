/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the kernel crate does not bind.  bindgen reads this one header for both modules, and each
 * asks for its own part of it.
 */
#include <linux/audit.h>
#include <linux/pci_audit.h>
#include <trace/events/pci_audit.h>

/* In the include path of vfio_pci_audit alone. */
#if __has_include("vfio_pci_audit.h")
#include <linux/vfio_pci_core.h>
#include "vfio_pci_audit.h"
#endif

/*
 * The record's type: from audit.h or, where that knows nothing of it, from the compiler's command
 * line, whose macros bindgen does not see.
 */
enum { PCI_AUDIT_TYPE = AUDIT_PCI };

/* Static inlines and macros, in the C file of the module that needs them. */
struct audit_context *pci_audit_context(void);
void pci_audit_trace(struct pci_dev *pdev, enum pci_audit_op op, u32 offset, u32 size,
		     bool allowed);
unsigned long vfio_pci_audit_clear_user(void __user *to, unsigned long size);

/* The files in debugfs, and what Rust shows in them. */
void vfio_pci_audit_debugfs_start(void);
void vfio_pci_audit_debugfs_stop(void);
struct seq_file;
void vfio_pci_audit_show_sessions(struct seq_file *seq);
