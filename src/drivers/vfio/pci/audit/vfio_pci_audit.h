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

/* The type of vfio_pci_config_do_rw(). */
typedef ssize_t vfio_pci_audit_do_rw(struct vfio_pci_core_device *vdev,
				     char __user *buf, size_t count,
				     loff_t *ppos, bool iswrite);

#ifdef CONFIG_VFIO_PCI_UNASSIGNED_ACCESS_AUDIT

/*
 * Serve a dword or less, assigned or not, without a decision.  That is up to
 * its callers, vfio_pci_config_rw() and vfio_pci_config_rw_single().
 */
vfio_pci_audit_do_rw vfio_pci_config_do_rw;

/*
 * How many reasons there are to decide upon accesses while auditing is off:
 * parameters that block, and somebody who traces pci_audit:pci_audit_access.
 */
extern int vfio_pci_audit_reasons;

/* Whether an access to unassigned bytes has to be decided upon at all. */
static inline bool vfio_pci_audit_active(void)
{
	return unlikely(READ_ONCE(audit_enabled) |
			READ_ONCE(vfio_pci_audit_reasons));
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
 * unassigned runs, and hand what is not blocked to @do_rw.  (By address: the
 * module that has it depends on this one.)
 * Returns @count or a negative errno, as vfio_pci_config_rw() does.
 */
ssize_t vfio_pci_audit_config_rw(struct vfio_pci_core_device *vdev,
				 char __user *buf, size_t count, loff_t pos,
				 bool iswrite,
				 vfio_pci_audit_do_rw *do_rw);

/*
 * Serve the start of @count bytes at @pos, for a driver that cuts system calls
 * up by itself: a whole unassigned run, or what @do_rw serves.
 * Returns the length of that or a negative errno.
 */
ssize_t vfio_pci_audit_single_rw(struct vfio_pci_core_device *vdev,
				 char __user *buf, size_t count, loff_t pos,
				 bool iswrite,
				 vfio_pci_audit_do_rw *do_rw);

#else

/* Without decisions, the two are one. */
#define vfio_pci_config_do_rw vfio_pci_config_rw_single

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
			 vfio_pci_audit_do_rw *do_rw)
{
	return -EOPNOTSUPP;
}

static inline ssize_t
vfio_pci_audit_single_rw(struct vfio_pci_core_device *vdev, char __user *buf,
			 size_t count, loff_t pos, bool iswrite,
			 vfio_pci_audit_do_rw *do_rw)
{
	return -EOPNOTSUPP;
}

#endif /* CONFIG_VFIO_PCI_UNASSIGNED_ACCESS_AUDIT */

#endif /* VFIO_PCI_AUDIT_H */
