// SPDX-License-Identifier: GPL-2.0
/*
 * What Rust cannot do yet: call a static inline function, and name the module that owns a
 * file's operations.
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>
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

static int vfio_pci_audit_sessions_show(struct seq_file *seq, void *unused)
{
	vfio_pci_audit_show_sessions(seq);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(vfio_pci_audit_sessions);

static struct dentry *debugfs;

void vfio_pci_audit_debugfs_start(void)
{
	debugfs = debugfs_create_dir("vfio_pci_audit", NULL);
	debugfs_create_file("sessions", 0400, debugfs, NULL, &vfio_pci_audit_sessions_fops);
}

void vfio_pci_audit_debugfs_stop(void)
{
	debugfs_remove(debugfs);
}
