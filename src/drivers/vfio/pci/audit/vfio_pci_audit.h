/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What vfio-pci-core calls when somebody reaches for configuration space
 *
 * A byte is unassigned when its entry in the config map is PCI_CAP_ID_INVALID:
 * it is neither in the standard header nor in a capability that VFIO knows.
 */
#ifndef VFIO_PCI_AUDIT_H
#define VFIO_PCI_AUDIT_H

#include <linux/audit.h>
#include <linux/vfio_pci_core.h>

/* How assigned bytes are served; vfio_pci_config_rw_single() is one. */
typedef ssize_t vfio_pci_audit_assigned_rw(struct vfio_pci_core_device *vdev,
					   char __user *buf, size_t count,
					   loff_t *ppos, bool iswrite);

#ifdef CONFIG_VFIO_PCI_UNASSIGNED_ACCESS_AUDIT

/* Whether any access may be blocked; follows the module's parameters. */
extern bool vfio_pci_audit_blocking;

/* Whether an access to unassigned bytes has to be decided upon at all. */
static inline bool vfio_pci_audit_active(void)
{
	return unlikely(READ_ONCE(audit_enabled) ||
			READ_ONCE(vfio_pci_audit_blocking));
}

/*
 * A session starts and ends.  vfio_pci_audit_open() may sleep and returns 0 or
 * -ENOMEM; vfio_pci_audit_close() may sleep and accepts a device whose session
 * never started.  No access may be under way during either.
 */
int vfio_pci_audit_open(struct vfio_pci_core_device *vdev);
void vfio_pci_audit_close(struct vfio_pci_core_device *vdev);

/*
 * Serve a whole system call of @count bytes at @pos: decide upon and record its
 * unassigned runs, and hand the assigned bytes to @assigned.  (By address: the
 * module that has it depends on this one.)
 * Returns @count or a negative errno, as vfio_pci_config_rw() does.
 */
ssize_t vfio_pci_audit_config_rw(struct vfio_pci_core_device *vdev,
				 char __user *buf, size_t count, loff_t pos,
				 bool iswrite,
				 vfio_pci_audit_assigned_rw *assigned);

/*
 * Serve the unassigned run of at most @count bytes that starts at @pos.
 * Returns its length or a negative errno.
 */
ssize_t vfio_pci_audit_run_rw(struct vfio_pci_core_device *vdev,
			      char __user *buf, size_t count, loff_t pos,
			      bool iswrite);

#else

static inline bool vfio_pci_audit_active(void)
{
	return false;
}

static inline int vfio_pci_audit_open(struct vfio_pci_core_device *vdev)
{
	return 0;
}

static inline void vfio_pci_audit_close(struct vfio_pci_core_device *vdev)
{
}

static inline ssize_t
vfio_pci_audit_config_rw(struct vfio_pci_core_device *vdev, char __user *buf,
			 size_t count, loff_t pos, bool iswrite,
			 vfio_pci_audit_assigned_rw *assigned)
{
	return -EOPNOTSUPP;
}

static inline ssize_t vfio_pci_audit_run_rw(struct vfio_pci_core_device *vdev,
					    char __user *buf, size_t count,
					    loff_t pos, bool iswrite)
{
	return -EOPNOTSUPP;
}

#endif /* CONFIG_VFIO_PCI_UNASSIGNED_ACCESS_AUDIT */

#endif /* VFIO_PCI_AUDIT_H */
