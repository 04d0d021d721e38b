// SPDX-License-Identifier: GPL-2.0
/*
 * What Rust cannot do yet: export a symbol to C, and name the module that owns
 * a file in debugfs, without which it could be open while that is unloaded
 */
#include <linux/debugfs.h>
#include <linux/export.h>
#include <linux/seq_file.h>

#include "session.h"

EXPORT_SYMBOL_GPL(vfio_pci_audit_open);
EXPORT_SYMBOL_GPL(vfio_pci_audit_close);

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
