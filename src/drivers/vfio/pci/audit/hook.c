// SPDX-License-Identifier: GPL-2.0
/*
 * What Rust cannot do yet: export a symbol to C, and call a static inline
 * function
 */
#include <linux/export.h>
#include <linux/uaccess.h>

#include "vfio/bindings_helper.h"

unsigned long vfio_pci_audit_clear_user(void __user *to, unsigned long size)
{
	return clear_user(to, size);
}

EXPORT_SYMBOL_GPL(vfio_pci_audit_blocked);
EXPORT_SYMBOL_GPL(vfio_pci_audit_users);
EXPORT_SYMBOL_GPL(vfio_pci_audit_config_rw);
EXPORT_SYMBOL_GPL(vfio_pci_audit_single_rw);
