/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The livepatch and its front end: what a kernel with the patch series has in
 * vfio_pci_audit.h
 *
 * A session starts with its first access, and vfio_pci_audit_close() does not
 * sleep.
 */
#ifndef VFIO_PCI_AUDIT_LIVEPATCH_H
#define VFIO_PCI_AUDIT_LIVEPATCH_H

#include <linux/livepatch.h>

#include "vfio_pci_audit.h"

/* What a stock vfio-pci-core calls it, and exports to its variant drivers. */
vfio_pci_audit_do_rw vfio_pci_config_rw_single;

/* Enable the livepatch.  Returns 0 or, with a message, a negative errno. */
int vfio_pci_audit_livepatch(void);
/* All sessions end, and no access is under way.  Does not sleep. */
void vfio_pci_audit_close_all(void);

#endif /* VFIO_PCI_AUDIT_LIVEPATCH_H */
