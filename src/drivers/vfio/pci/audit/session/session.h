/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Sessions: from the opening of a VFIO device to its last close
 */
#ifndef VFIO_PCI_AUDIT_SESSION_H
#define VFIO_PCI_AUDIT_SESSION_H

#include <linux/audit.h>

#include "../vfio_pci_audit.h"

#ifdef CONFIG_VFIO_PCI_UNASSIGNED_ACCESS_AUDIT

/*
 * Whether accesses to unassigned bytes have to be decided or recorded.  While
 * auditing is off, the parameters that block need the hook, and the tracepoint
 * pci_audit:pci_audit_access while it is enabled.
 */
static inline bool vfio_pci_audit_active(void)
{
	return unlikely(READ_ONCE(audit_enabled) | vfio_pci_audit_has_users());
}

#else

static inline bool vfio_pci_audit_active(void)
{
	return false;
}

#endif /* CONFIG_VFIO_PCI_UNASSIGNED_ACCESS_AUDIT */

/*
 * Begin a session on @pdev, or join the one that is open.  May sleep.
 * Returns 0 or -ENOMEM.
 */
int vfio_pci_audit_open(struct pci_dev *pdev,
			struct vfio_pci_audit_session **session);
/*
 * End a session.  None of its accesses is under way.  Does not sleep; NULL is
 * ignored.
 */
void vfio_pci_audit_close(struct vfio_pci_audit_session *session);

/* The files in debugfs, and the Rust function that shows their contents. */
struct seq_file;
void vfio_pci_audit_debugfs_start(void);
void vfio_pci_audit_debugfs_stop(void);
void vfio_pci_audit_show_sessions(struct seq_file *seq);

#endif /* VFIO_PCI_AUDIT_SESSION_H */
