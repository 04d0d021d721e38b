// SPDX-License-Identifier: GPL-2.0
/*
 * The livepatch: has a stock vfio-pci-core call the module
 *
 * vfio_pci_config_rw(), which sees whole system calls, is replaced.  What is
 * not blocked goes on to vfio_pci_config_rw_single(), as it did before.  The
 * end of a session is the call of vfio_config_free(), which stays as it is: a
 * probe tells of it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/vfio_pci_core.h>

#include "livepatch.h"

/*
 * vfio_pci_config_rw_single().  It is looked up with the first access, and not
 * a dependency of this module, so that vfio-pci-core may come later: then no
 * device was ever open before the livepatch.
 */
static typeof(vfio_pci_config_rw_single) *single;

static typeof(single) look_up(void)
{
	typeof(single) found = symbol_get(vfio_pci_config_rw_single);

	/* Who calls us holds vfio-pci-core; and we are told when it goes. */
	if (found)
		symbol_put(vfio_pci_config_rw_single);
	return found;
}

/* Differs from what it replaces in the middle only. */
static ssize_t config_rw(struct vfio_pci_core_device *vdev, char __user *buf,
			 size_t count, loff_t *ppos, bool iswrite)
{
	typeof(single) do_rw = READ_ONCE(single);
	loff_t pos = *ppos & VFIO_PCI_OFFSET_MASK;
	size_t done = 0;
	ssize_t ret;

	if (unlikely(!do_rw)) {
		do_rw = look_up();
		if (!do_rw)
			return -EIO;
		WRITE_ONCE(single, do_rw);
	}

	if (vfio_pci_audit_active()) {
		ret = vfio_pci_audit_config_rw(vdev, buf, count, pos, iswrite,
					       do_rw);
		if (ret > 0)
			*ppos += ret;
		return ret;
	}

	while (done < count) {
		ret = do_rw(vdev, buf + done, count - done, &pos, iswrite);
		if (ret < 0)
			return ret;
		done += ret;
		pos += ret;
	}
	*ppos += done;
	return done;
}

static int closing(struct kprobe *probe, struct pt_regs *regs)
{
	vfio_pci_audit_close((void *)regs_get_kernel_argument(regs, 0));
	return 0;
}

static struct kprobe probe;

/* vfio-pci-core is there, or on its way in. */
static int pre_patch(struct klp_object *object)
{
	int ret;

	/* On its way in, it does not lend its symbols yet. */
	if (object->mod->state == MODULE_STATE_LIVE && !look_up()) {
		pr_err("this kernel's vfio-pci-core has no vfio_pci_config_rw_single(): nothing is patched\n");
		return -ENOENT;
	}

	probe = (struct kprobe) {
		.symbol_name = "vfio_pci_core:vfio_config_free",
		.pre_handler = closing,
	};
	ret = register_kprobe(&probe);
	if (ret)
		pr_err("cannot follow this kernel's vfio_config_free() (%d): nothing is patched\n",
		       ret);
	return ret;
}

static struct klp_patch patch;

/* Nobody is, or will be, in config_rw(). */
static void post_unpatch(struct klp_object *object)
{
	unregister_kprobe(&probe);
	WRITE_ONCE(single, NULL);

	/* Unless the transition was forced: somebody may be in there, with a session. */
	if (!patch.forced)
		vfio_pci_audit_close_all();
}

static struct klp_func functions[] = {
	{
		.old_name = "vfio_pci_config_rw",
		.new_func = config_rw,
	},
	{ }
};

static struct klp_object objects[] = {
	{
		.name = "vfio_pci_core",
		.funcs = functions,
		.callbacks = {
			.pre_patch = pre_patch,
			.post_unpatch = post_unpatch,
		},
	},
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objects,
};

int vfio_pci_audit_livepatch(void)
{
	int ret = klp_enable_patch(&patch);

	if (ret)
		pr_err("the livepatch was refused (%d): nothing is patched\n", ret);
	return ret;
}

MODULE_INFO(livepatch, "Y");
