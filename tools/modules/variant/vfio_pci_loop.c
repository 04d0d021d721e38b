// SPDX-License-Identifier: GPL-2.0
/*
 * A VFIO PCI variant driver for tests: it takes any device by driver_override,
 * and cuts accesses to configuration space up by itself, so that
 * vfio-pci-core never sees a system call as a whole.
 */
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/vfio.h>

#include "vfio_pci_priv.h"

static ssize_t loop_config_rw(struct vfio_pci_core_device *core,
			      char __user *buf, size_t count, loff_t *ppos,
			      bool iswrite)
{
	loff_t pos = *ppos & VFIO_PCI_OFFSET_MASK;
	size_t done = 0;

	while (done < count) {
		ssize_t ret = vfio_pci_config_rw_single(core, buf + done,
							count - done, &pos,
							iswrite);

		if (ret < 0)
			return ret;
		done += ret;
		pos += ret;
	}
	*ppos += done;
	return done;
}

static bool loop_is_config(loff_t pos)
{
	return VFIO_PCI_OFFSET_TO_INDEX(pos) == VFIO_PCI_CONFIG_REGION_INDEX;
}

static struct vfio_pci_core_device *loop_core(struct vfio_device *vdev)
{
	return container_of(vdev, struct vfio_pci_core_device, vdev);
}

static ssize_t loop_read(struct vfio_device *vdev, char __user *buf,
			 size_t count, loff_t *ppos)
{
	if (loop_is_config(*ppos))
		return loop_config_rw(loop_core(vdev), buf, count, ppos, false);
	return vfio_pci_core_read(vdev, buf, count, ppos);
}

static ssize_t loop_write(struct vfio_device *vdev, const char __user *buf,
			  size_t count, loff_t *ppos)
{
	if (loop_is_config(*ppos))
		return loop_config_rw(loop_core(vdev), (char __user *)buf,
				      count, ppos, true);
	return vfio_pci_core_write(vdev, buf, count, ppos);
}

static int loop_open_device(struct vfio_device *vdev)
{
	int ret = vfio_pci_core_enable(loop_core(vdev));

	if (ret)
		return ret;
	vfio_pci_core_finish_enable(loop_core(vdev));
	return 0;
}

static const struct vfio_device_ops loop_ops = {
	.name = "vfio-pci-loop",
	.init = vfio_pci_core_init_dev,
	.release = vfio_pci_core_release_dev,
	.open_device = loop_open_device,
	.close_device = vfio_pci_core_close_device,
	.ioctl = vfio_pci_core_ioctl,
	.get_region_info_caps = vfio_pci_ioctl_get_region_info,
	.device_feature = vfio_pci_core_ioctl_feature,
	.read = loop_read,
	.write = loop_write,
	.mmap = vfio_pci_core_mmap,
	.request = vfio_pci_core_request,
	.match = vfio_pci_core_match,
	.match_token_uuid = vfio_pci_core_match_token_uuid,
	.bind_iommufd = vfio_iommufd_physical_bind,
	.unbind_iommufd = vfio_iommufd_physical_unbind,
	.attach_ioas = vfio_iommufd_physical_attach_ioas,
	.detach_ioas = vfio_iommufd_physical_detach_ioas,
};

static int loop_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct vfio_pci_core_device *core;
	int ret;

	core = vfio_alloc_device(vfio_pci_core_device, vdev, &pdev->dev,
				 &loop_ops);
	if (IS_ERR(core))
		return PTR_ERR(core);

	dev_set_drvdata(&pdev->dev, core);
	ret = vfio_pci_core_register_device(core);
	if (ret)
		vfio_put_device(&core->vdev);
	return ret;
}

static void loop_remove(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *core = dev_get_drvdata(&pdev->dev);

	vfio_pci_core_unregister_device(core);
	vfio_put_device(&core->vdev);
}

static const struct pci_device_id loop_table[] = {
	{ PCI_DRIVER_OVERRIDE_DEVICE_VFIO(PCI_ANY_ID, PCI_ANY_ID) },
	{}
};

static struct pci_driver loop_driver = {
	.name = KBUILD_MODNAME,
	.id_table = loop_table,
	.probe = loop_probe,
	.remove = loop_remove,
	.err_handler = &vfio_pci_core_err_handlers,
	.driver_managed_dma = true,
};
module_pci_driver(loop_driver);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("VFIO PCI variant driver that cuts accesses up, for tests");
