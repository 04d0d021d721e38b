// SPDX-License-Identifier: GPL-2.0
/*
 * Has a function fail while this module is loaded: its calls return a value,
 * and nothing of the function runs.  For kernels without fault injection.
 *
 * "function" is the symbol, "value" what it returns, and "calls" counts the
 * calls that failed.
 */
#include <linux/atomic.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/ptrace.h>

static char *function;
module_param(function, charp, 0444);
MODULE_PARM_DESC(function, "Function that fails");

static long value;
module_param(value, long, 0444);
MODULE_PARM_DESC(value, "What it returns");

static atomic_t calls = ATOMIC_INIT(0);

static int get_calls(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%d\n", atomic_read(&calls));
}

static const struct kernel_param_ops calls_ops = {
	.get = get_calls,
};
module_param_cb(calls, &calls_ops, NULL, 0444);
MODULE_PARM_DESC(calls, "Calls that failed");

/* Where the function goes on: it returns to its caller at once. */
static noinline notrace void back(void)
{
}

static int fail(struct kprobe *probe, struct pt_regs *regs)
{
	atomic_inc(&calls);
	regs_set_return_value(regs, value);
	instruction_pointer_set(regs, (unsigned long)back);
	return 1;
}

/* A probe with this handler is not optimized: an optimized one would ignore back(). */
static void after(struct kprobe *probe, struct pt_regs *regs, unsigned long flags)
{
}

static struct kprobe probe = {
	.pre_handler = fail,
	.post_handler = after,
};

static int __init e2e_fail_init(void)
{
	if (!function)
		return -EINVAL;
	probe.symbol_name = function;
	return register_kprobe(&probe);
}

static void __exit e2e_fail_exit(void)
{
	unregister_kprobe(&probe);
}

module_init(e2e_fail_init);
module_exit(e2e_fail_exit);
MODULE_DESCRIPTION("Have a function fail, for tests");
MODULE_LICENSE("GPL");
