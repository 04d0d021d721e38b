// SPDX-License-Identifier: GPL-2.0
/*
 * What Rust cannot do yet: export a symbol, and call a static inline function.
 */
#include <linux/export.h>
#include <linux/uaccess.h>

#include "bindings_helper.h"
#include "vfio_pci_audit.h"

unsigned long vfio_pci_audit_clear_user(void __user *to, unsigned long size)
{
	/* Most accesses are for a dword, and clear_user() is for pages. */
	if (size == sizeof(u32))
		return put_user(0, (u32 __user *)to) ? size : 0;

	return clear_user(to, size);
}

#ifndef CONFIG_VFIO_PCI_AUDIT_LIVEPATCH
EXPORT_SYMBOL_GPL(vfio_pci_audit_reasons);
EXPORT_SYMBOL_GPL(vfio_pci_audit_open);
EXPORT_SYMBOL_GPL(vfio_pci_audit_close);
EXPORT_SYMBOL_GPL(vfio_pci_audit_config_rw);
EXPORT_SYMBOL_GPL(vfio_pci_audit_single_rw);
#endif
