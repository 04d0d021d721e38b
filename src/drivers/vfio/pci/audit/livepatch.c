// SPDX-License-Identifier: GPL-2.0
/*
 * A livepatch that has a stock vfio-pci-core call vfio_pci_audit
 *
 * It replaces vfio_pci_config_rw(), which sees whole system calls.  What is not
 * blocked is passed to vfio_pci_config_rw_single(), as before.  A stock device
 * has no member for a session, which is in a shadow variable instead.  A device
 * may have been open for long when the livepatch is loaded: its session begins
 * with its first access.  It ends when vfio_config_free() is called, where a
 * probe is.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kprobes.h>
#include <linux/livepatch.h>
#include <linux/llist.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/vfio_pci_core.h>

#include "session/session.h"

/* What a stock vfio-pci-core exports to its variant drivers. */
vfio_pci_audit_do_rw vfio_pci_config_rw_single;

/*
 * vfio_pci_config_rw_single().  It is looked up at the first access, and not a
 * dependency of this module, so that vfio-pci-core may be loaded later: then no
 * device was ever open before the livepatch.
 */
static vfio_pci_audit_do_rw *single;

static noinline vfio_pci_audit_do_rw *look_up(void)
{
	vfio_pci_audit_do_rw *found = symbol_get(vfio_pci_config_rw_single);

	/* The caller holds vfio-pci-core, or is called before it is unloaded. */
	if (found)
		symbol_put(vfio_pci_config_rw_single);
	return found;
}

/* "pciaudit" in ASCII: the shadow variables of this livepatch. */
#define SHADOW_ID 0x7063696175646974UL

/* What a shadow variable points to. */
struct attached {
	struct vfio_pci_audit_session *session;
	/* The session holds a reference: the address is not used again. */
	struct pci_dev *pdev;
	struct llist_node node;
};

static void end_session(struct attached *attached)
{
	vfio_pci_audit_close(attached->session);
	kfree(attached);
}

/* What is freed when no access is under way: not in a shadow variable any more. */
static LLIST_HEAD(detached);

static struct attached *get_attached(struct vfio_pci_core_device *vdev)
{
	struct attached **shadow = klp_shadow_get(vdev, SHADOW_ID);

	return shadow ? *shadow : NULL;
}

/* No access to @vdev is under way.  Does not sleep. */
static noinline void detach(struct vfio_pci_core_device *vdev)
{
	struct attached *attached = get_attached(vdev);

	if (!attached)
		return;
	klp_shadow_free(vdev, SHADOW_ID, NULL);
	end_session(attached);
}

static int store(void *obj, void *shadow_data, void *ctor_data)
{
	*(struct attached **)shadow_data = ctor_data;
	return 0;
}

/*
 * Begin the session of @vdev.  @stale is what the shadow variable has of a device
 * whose end was missed, or NULL.  Returns NULL when memory is short.
 */
static noinline struct attached *attach(struct vfio_pci_core_device *vdev, struct attached *stale)
{
	struct attached *attached, *found, **shadow;

	attached = kzalloc_obj(*attached);
	if (!attached)
		return NULL;
	attached->pdev = vdev->pdev;
	if (vfio_pci_audit_open(vdev->pdev, &attached->session)) {
		kfree(attached);
		return NULL;
	}

	/* Two first accesses may come here: they share one session, and one attachment is kept. */
	shadow = klp_shadow_get_or_alloc(vdev, SHADOW_ID, sizeof(*shadow), GFP_KERNEL, store,
					 attached);
	found = shadow ? cmpxchg(shadow, stale, attached) : NULL;
	if (stale && found == stale) {
		/* The other access may be comparing @stale->pdev: it is freed later. */
		vfio_pci_audit_close(stale->session);
		stale->session = NULL;
		llist_add(&stale->node, &detached);
		return attached;
	}
	if (found != attached)
		end_session(attached);
	return found;
}

/* NULL while auditing is off, or when memory is short. */
static struct vfio_pci_audit_session *get_session(struct vfio_pci_core_device *vdev)
{
	struct attached *attached;

	if (!READ_ONCE(audit_enabled))
		return NULL;

	attached = get_attached(vdev);
	/* While kprobes are disarmed, the end of another device's session is missed. */
	if (unlikely(!attached || attached->pdev != vdev->pdev))
		attached = attach(vdev, attached);
	return attached ? attached->session : NULL;
}

/* As the original, but for the call of vfio_pci_audit_rw(). */
static ssize_t config_rw(struct vfio_pci_core_device *vdev, char __user *buf, size_t count,
			 loff_t *ppos, bool iswrite)
{
	vfio_pci_audit_do_rw *do_rw = READ_ONCE(single);
	loff_t pos = *ppos & VFIO_PCI_OFFSET_MASK;
	size_t left = count;
	ssize_t ret;

	if (unlikely(!do_rw)) {
		do_rw = look_up();
		if (!do_rw)
			return -EIO;
		WRITE_ONCE(single, do_rw);
	}

	if (vfio_pci_audit_active()) {
		ret = vfio_pci_audit_rw(vdev, get_session(vdev), buf, count, pos, iswrite, do_rw);
		if (ret > 0)
			*ppos += ret;
		return ret;
	}

	while (left) {
		ret = do_rw(vdev, buf, left, &pos, iswrite);
		if (ret < 0)
			return ret;

		left -= ret;
		buf += ret;
		pos += ret;
	}

	*ppos += count;
	return count;
}

static int closing(struct kprobe *probe, struct pt_regs *regs)
{
	detach((void *)regs_get_kernel_argument(regs, 0));
	return 0;
}

static struct kprobe probe;
static bool probing;

static void collect(void *obj, void *shadow_data)
{
	struct attached *attached = *(struct attached **)shadow_data;

	/* The livepatch core holds a spinlock here: sessions end later. */
	llist_add(&attached->node, &detached);
}

/*
 * No task is, or will be, in config_rw().  Also called by the module's exit: a
 * livepatch with "replace" takes the place of this one without any callback.
 */
static void stop(void)
{
	struct attached *attached, *next;

	if (probing)
		unregister_kprobe(&probe);
	probing = false;
	WRITE_ONCE(single, NULL);

	klp_shadow_free_all(SHADOW_ID, collect);
	llist_for_each_entry_safe(attached, next, llist_del_all(&detached), node)
		end_session(attached);
}

/* vfio-pci-core is loaded, or being loaded. */
static int pre_patch(struct klp_object *object)
{
	int ret;

	/* While it is being loaded, its symbols cannot be looked up. */
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
	else
		probing = true;
	return ret;
}

static struct klp_patch patch;

static void post_unpatch(struct klp_object *object)
{
	/* After a forced transition, a task may be in config_rw(), with a session. */
	if (!patch.forced)
		stop();
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

static int __init vfio_pci_audit_livepatch_init(void)
{
	int ret;

	/* The probe takes a spinlock where it must not sleep. */
	if (IS_ENABLED(CONFIG_PREEMPT_RT)) {
		pr_err("not for kernels with PREEMPT_RT: rebuild the kernel with the patch series\n");
		return -EOPNOTSUPP;
	}

	ret = klp_enable_patch(&patch);
	if (ret)
		pr_err("the livepatch was refused (%d): nothing is patched\n", ret);
	return ret;
}

static void __exit vfio_pci_audit_livepatch_exit(void)
{
	stop();
}

module_init(vfio_pci_audit_livepatch_init);
module_exit(vfio_pci_audit_livepatch_exit);

MODULE_AUTHOR("The vfio-pci-audit authors");
MODULE_DESCRIPTION("Block and audit accesses to unassigned PCI config space of a stock vfio-pci");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
