/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The functions that vfio-pci-core calls for an access to configuration space
 *
 * A byte is unassigned when its entry in the config map is PCI_CAP_ID_INVALID:
 * it is neither in the standard header nor in a capability that VFIO knows.
 */
#ifndef VFIO_PCI_AUDIT_H
#define VFIO_PCI_AUDIT_H

#include <linux/uaccess.h>
#include <linux/vfio_pci_core.h>

/* The type of vfio_pci_config_do_rw(). */
typedef ssize_t vfio_pci_audit_do_rw(struct vfio_pci_core_device *vdev,
				     char __user *buf, size_t count,
				     loff_t *ppos, bool iswrite);

/* From the opening of a device to its last close.  NULL when there is none. */
struct vfio_pci_audit_session;

#ifdef CONFIG_VFIO_PCI_UNASSIGNED_ACCESS_AUDIT

/*
 * Serve a dword or less, assigned or not, without a decision.  Its callers,
 * vfio_pci_config_rw() and vfio_pci_config_rw_single(), have decided.
 */
vfio_pci_audit_do_rw vfio_pci_config_do_rw;

/* Number of users that need the hook.  A parameter that blocks is one. */
extern int vfio_pci_audit_users;

/* Whether a user needs the hook. */
static inline int vfio_pci_audit_has_users(void)
{
	return READ_ONCE(vfio_pci_audit_users);
}

/* Whether the byte at @pos is assigned.  False outside of config space. */
static inline bool vfio_pci_audit_assigned(struct vfio_pci_core_device *vdev,
					   loff_t pos)
{
	return (u64)pos < vdev->pdev->cfg_size &&
	       vdev->pci_config_map[pos] != 0xff; /* PCI_CAP_ID_INVALID */
}

/*
 * Decide on an access to an unassigned, aligned dword at @pos, for @session.
 * May sleep, but not for long.
 * Returns whether the access is blocked, or -EAGAIN if not all of the bytes
 * have the same decision: then nothing is decided.
 */
int vfio_pci_audit_blocked(struct vfio_pci_audit_session *session,
			   struct pci_dev *pdev, size_t pos, bool iswrite);

/*
 * Serve a whole system call of @count bytes at @pos: decide on its unassigned
 * runs, and pass what is not blocked to @do_rw.  (By address: the module of
 * @do_rw depends on this one.)
 * Returns @count or a negative errno, as vfio_pci_config_rw() does.
 */
ssize_t vfio_pci_audit_config_rw(struct vfio_pci_core_device *vdev,
				 struct vfio_pci_audit_session *session,
				 char __user *buf, size_t count, loff_t pos,
				 bool iswrite, vfio_pci_audit_do_rw *do_rw);

/*
 * Serve the start of @count bytes at @pos, for a driver that splits system
 * calls by itself: a whole unassigned run, or what @do_rw serves.
 * Returns the length of that or a negative errno.
 */
ssize_t vfio_pci_audit_single_rw(struct vfio_pci_core_device *vdev,
				 struct vfio_pci_audit_session *session,
				 char __user *buf, size_t count, loff_t pos,
				 bool iswrite, vfio_pci_audit_do_rw *do_rw);

/* As vfio_pci_audit_config_rw(), for an aligned dword that is all unassigned. */
static inline ssize_t
vfio_pci_audit_dword(struct vfio_pci_core_device *vdev,
		     struct vfio_pci_audit_session *session, char __user *buf,
		     loff_t pos, bool iswrite, vfio_pci_audit_do_rw *do_rw)
{
	u32 __user *dword = (u32 __user *)buf;
	u32 val;
	int ret;

	ret = vfio_pci_audit_blocked(session, vdev->pdev, pos, iswrite);
	if (!ret)
		return do_rw(vdev, buf, 4, &pos, iswrite);
	if (unlikely(ret < 0))
		return vfio_pci_audit_config_rw(vdev, session, buf, 4, pos,
						iswrite, do_rw);

	/* User memory that cannot be accessed is an error without blocking, too. */
	ret = iswrite ? get_user_inline(val, dword) : put_user_inline(0, dword);
	return ret ? ret : 4;
}

/*
 * vfio_pci_config_rw() while the hook is needed.  Most calls are for a dword:
 * look at the config map before the module serves the whole call.
 */
static inline ssize_t
vfio_pci_audit_rw(struct vfio_pci_core_device *vdev,
		  struct vfio_pci_audit_session *session, char __user *buf,
		  size_t count, loff_t pos, bool iswrite,
		  vfio_pci_audit_do_rw *do_rw)
{
	ssize_t done = 0, ret;

	if (unlikely((u64)pos >= vdev->pdev->cfg_size))
		return -EFAULT;

	if (vfio_pci_audit_assigned(vdev, pos)) {
		/* It serves a dword of one capability at most. */
		done = do_rw(vdev, buf, count, &pos, iswrite);
		if (done < 0 || done == count)
			return done;
	} else if (count == 4 && !(pos & 3) &&
		   *(u32 *)(vdev->pci_config_map + pos) == U32_MAX) {
		/* The size of config space is a multiple of four. */
		return vfio_pci_audit_dword(vdev, session, buf, pos, iswrite,
					    do_rw);
	}

	ret = vfio_pci_audit_config_rw(vdev, session, buf + done, count - done,
				       pos + done, iswrite, do_rw);
	return ret < 0 ? ret : done + ret;
}

#else

/* Without decisions, the two are one. */
#define vfio_pci_config_do_rw vfio_pci_config_rw_single

static inline int vfio_pci_audit_has_users(void)
{
	return 0;
}

static inline bool vfio_pci_audit_assigned(struct vfio_pci_core_device *vdev,
					   loff_t pos)
{
	return true;
}

static inline ssize_t
vfio_pci_audit_single_rw(struct vfio_pci_core_device *vdev,
			 struct vfio_pci_audit_session *session,
			 char __user *buf, size_t count, loff_t pos,
			 bool iswrite, vfio_pci_audit_do_rw *do_rw)
{
	return -EOPNOTSUPP;
}

static inline ssize_t
vfio_pci_audit_rw(struct vfio_pci_core_device *vdev,
		  struct vfio_pci_audit_session *session, char __user *buf,
		  size_t count, loff_t pos, bool iswrite,
		  vfio_pci_audit_do_rw *do_rw)
{
	return -EOPNOTSUPP;
}

#endif /* CONFIG_VFIO_PCI_UNASSIGNED_ACCESS_AUDIT */

#endif /* VFIO_PCI_AUDIT_H */
