/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The session of a VFIO PCI device
 */
#ifndef VFIO_PCI_AUDIT_VDEV_H
#define VFIO_PCI_AUDIT_VDEV_H

#include "session.h"

#ifdef CONFIG_VFIO_PCI_UNASSIGNED_ACCESS_AUDIT

static inline struct vfio_pci_audit_session *
vfio_pci_audit_session(struct vfio_pci_core_device *vdev)
{
	return vdev->audit_session;
}

/* The device is being opened.  May sleep.  Returns 0 or -ENOMEM. */
static inline int vfio_pci_audit_begin(struct vfio_pci_core_device *vdev)
{
	return vfio_pci_audit_open(vdev->pdev, &vdev->audit_session);
}

/* The device is being closed. */
static inline void vfio_pci_audit_end(struct vfio_pci_core_device *vdev)
{
	vfio_pci_audit_close(vdev->audit_session);
	vdev->audit_session = NULL;
}

#else

static inline struct vfio_pci_audit_session *
vfio_pci_audit_session(struct vfio_pci_core_device *vdev)
{
	return NULL;
}

static inline int vfio_pci_audit_begin(struct vfio_pci_core_device *vdev)
{
	return 0;
}

static inline void vfio_pci_audit_end(struct vfio_pci_core_device *vdev)
{
}

#endif /* CONFIG_VFIO_PCI_UNASSIGNED_ACCESS_AUDIT */

#endif /* VFIO_PCI_AUDIT_VDEV_H */
