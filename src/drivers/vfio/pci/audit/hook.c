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
	/* Most accesses are for a dword, and clear_user() is for pages. */
	if (size == sizeof(u32))
		return put_user(0, (u32 __user *)to) ? size : 0;

	return clear_user(to, size);
}

/* Returns 0 when all of the memory can be read. */
int vfio_pci_audit_check_user(const void __user *from, unsigned long size)
{
	u8 bytes[64];

	if (size == sizeof(u32)) {
		u32 dword;

		return get_user(dword, (const u32 __user *)from);
	}
	while (size) {
		unsigned long part = min(size, sizeof(bytes));

		if (copy_from_user(bytes, from, part))
			return -EFAULT;
		from += part;
		size -= part;
	}
	return 0;
}

EXPORT_SYMBOL_GPL(vfio_pci_audit_users);
EXPORT_SYMBOL_GPL(vfio_pci_audit_config_rw);
EXPORT_SYMBOL_GPL(vfio_pci_audit_single_rw);
