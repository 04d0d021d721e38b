// SPDX-License-Identifier: GPL-2.0
/*
 * Gives PCI devices other sizes of configuration space while this module is
 * loaded, as the quirks of a few real devices do.
 *
 * "device" has addresses, as in 0000:01:00.0, and "size" a number of bytes for
 * each.  No driver may have a device when this module is loaded or unloaded.
 */
#include <linux/module.h>
#include <linux/pci.h>

#define MOST 4

static char *device[MOST];
static unsigned int devices;
module_param_array(device, charp, &devices, 0444);
MODULE_PARM_DESC(device, "Addresses of the devices");

static int size[MOST];
static unsigned int sizes;
module_param_array(size, int, &sizes, 0444);
MODULE_PARM_DESC(size, "Bytes of their configuration space");

static struct {
	struct pci_dev *pdev;
	int size;
} before[MOST];

static void restore(unsigned int count)
{
	while (count--) {
		before[count].pdev->cfg_size = before[count].size;
		pci_dev_put(before[count].pdev);
	}
}

static int __init e2e_cfg_size_init(void)
{
	struct device *dev;
	unsigned int i;

	if (!devices || devices != sizes)
		return -EINVAL;
	for (i = 0; i < devices; i++) {
		if (size[i] < PCI_STD_HEADER_SIZEOF || size[i] > PCI_CFG_SPACE_EXP_SIZE) {
			restore(i);
			return -EINVAL;
		}
		dev = bus_find_device_by_name(&pci_bus_type, NULL, device[i]);
		if (!dev) {
			restore(i);
			return -ENODEV;
		}
		before[i].pdev = to_pci_dev(dev);
		before[i].size = before[i].pdev->cfg_size;
		before[i].pdev->cfg_size = size[i];
	}
	return 0;
}

static void __exit e2e_cfg_size_exit(void)
{
	restore(devices);
}

module_init(e2e_cfg_size_init);
module_exit(e2e_cfg_size_exit);
MODULE_DESCRIPTION("Other sizes of configuration space, for tests");
MODULE_LICENSE("GPL");
