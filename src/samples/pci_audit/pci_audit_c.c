// SPDX-License-Identifier: GPL-2.0
/*
 * A PCI driver that lets root access configuration space, and audits it
 *
 * It binds to QEMU's edu and pci-testdev and gives root a file in debugfs,
 * pci_audit_c/DEVICE/config, that reads and writes as the device's config
 * space does.  A write to the standard header is refused: the PCI core relies
 * on what is there.
 */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci_audit.h>
#include <linux/uaccess.h>

static struct dentry *dir;

/*
 * Decide upon an access, and record the decision.  Returns how many bytes may
 * be accessed, or a negative errno.
 */
static ssize_t sample_access(struct pci_dev *pdev, enum pci_audit_op op, loff_t pos,
			     size_t count)
{
	bool allowed = op == PCI_AUDIT_READ || pos >= PCI_STD_HEADER_SIZEOF;
	int err;

	if (pos < 0 || pos >= pdev->cfg_size || !count)
		return 0;
	count = min_t(size_t, count, pdev->cfg_size - pos);

	/*
	 * The record comes first, since the access may be the last thing that
	 * this machine does.  No record, no access.
	 */
	err = pci_audit_access(pdev, op, pos, count, allowed, GFP_KERNEL);
	if (err)
		return err;

	return allowed ? count : -EPERM;
}

static ssize_t sample_config_read(struct file *file, char __user *buf, size_t count,
				  loff_t *pos)
{
	struct pci_dev *pdev = file->private_data;
	ssize_t size = sample_access(pdev, PCI_AUDIT_READ, *pos, count);

	for (ssize_t i = 0; i < size; i++) {
		u8 byte;

		pci_read_config_byte(pdev, *pos + i, &byte);
		if (put_user(byte, buf + i))
			return -EFAULT;
	}
	if (size > 0)
		*pos += size;

	return size;
}

static ssize_t sample_config_write(struct file *file, const char __user *buf,
				   size_t count, loff_t *pos)
{
	struct pci_dev *pdev = file->private_data;
	ssize_t size = sample_access(pdev, PCI_AUDIT_WRITE, *pos, count);

	for (ssize_t i = 0; i < size; i++) {
		u8 byte;

		if (get_user(byte, buf + i))
			return -EFAULT;
		pci_write_config_byte(pdev, *pos + i, byte);
	}
	if (size > 0)
		*pos += size;

	return size;
}

static const struct file_operations sample_config = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.read = sample_config_read,
	.write = sample_config_write,
	.llseek = default_llseek,
};

static int sample_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct dentry *device = debugfs_create_dir(pci_name(pdev), dir);

	debugfs_create_file("config", 0600, device, pdev, &sample_config);
	return 0;
}

static void sample_remove(struct pci_dev *pdev)
{
	/* Waits for those who are in sample_config_read() or sample_config_write(). */
	debugfs_lookup_and_remove(pci_name(pdev), dir);
}

static const struct pci_device_id sample_ids[] = {
	{ PCI_DEVICE(0x1234, 0x11e8) },
	{ PCI_DEVICE(PCI_VENDOR_ID_REDHAT, 0x5) },
	{ }
};
MODULE_DEVICE_TABLE(pci, sample_ids);

static struct pci_driver sample_driver = {
	.name = KBUILD_MODNAME,
	.id_table = sample_ids,
	.probe = sample_probe,
	.remove = sample_remove,
};

static int __init sample_init(void)
{
	int err;

	dir = debugfs_create_dir(KBUILD_MODNAME, NULL);
	err = pci_register_driver(&sample_driver);
	if (err)
		debugfs_remove(dir);

	return err;
}
module_init(sample_init);

static void __exit sample_exit(void)
{
	pci_unregister_driver(&sample_driver);
	debugfs_remove(dir);
}
module_exit(sample_exit);

MODULE_AUTHOR("The vfio-pci-audit authors");
MODULE_DESCRIPTION("PCI driver that audits config accesses, in C");
MODULE_LICENSE("GPL");
