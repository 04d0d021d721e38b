// SPDX-License-Identifier: GPL-2.0
/*
 * A livepatch that replaces all others, as cumulative ones do.
 *
 * What it patches does not matter, only that it is seen to be in force.  A
 * livepatch that it replaces is disabled without a callback: see
 * Documentation/livepatch/cumulative-patches.rst.
 */

#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

static int e2e_cmdline_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "replaced\n");
	return 0;
}

static struct klp_func funcs[] = {
	{
		.old_name = "cmdline_proc_show",
		.new_func = e2e_cmdline_proc_show,
	},
	{ }
};

static struct klp_object objs[] = {
	{
		/* No name: the kernel image. */
		.funcs = funcs,
	},
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
	.replace = true,
};

static int __init e2e_replace_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit e2e_replace_exit(void)
{
}

module_init(e2e_replace_init);
module_exit(e2e_replace_exit);
MODULE_DESCRIPTION("Livepatch that replaces all others, for tests");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
