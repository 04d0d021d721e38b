/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the crate vfio_pci_audit uses of C and the kernel crate does not bind.  bindgen reads this
 * file.
 */
#include <linux/vfio_pci_core.h>

#include "vfio_pci_audit.h"
#include "session/session.h"

/* A static inline, in hook.c. */
unsigned long vfio_pci_audit_clear_user(void __user *to, unsigned long size);
