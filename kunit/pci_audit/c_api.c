// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the C interface, as a driver sees it: bad input, the contexts
 * it may be called from, and the tracepoint.
 */
#include <kunit/test.h>
#include <linux/audit.h>
#include <linux/irq_work.h>
#include <linux/kprobes.h>
#include <linux/notifier.h>
#include <linux/pci.h>
#include <linux/pci_audit.h>
#include <linux/preempt.h>
#include <linux/spinlock.h>
#include <trace/events/pci_audit.h>

/* Some device of this machine. */
static struct pci_dev *device;

/* The results of a test: records that were started, and events. */
static struct {
	int records;
	int events;
	enum pci_audit_op op;
	u32 offset;
	u32 size;
	u64 session;
	bool allowed;
	bool in_hardirq;
} seen;

static int count_record(struct kprobe *probe, struct pt_regs *regs)
{
	if (regs_get_kernel_argument(regs, 2) == AUDIT_PCI)
		seen.records++;
	return 0;
}

static struct kprobe record_probe = {
	.symbol_name = "audit_log_start",
	.pre_handler = count_record,
};

static void count_event(void *data, struct pci_dev *pdev, enum pci_audit_op op,
			u32 offset, u32 size, u64 session, bool allowed)
{
	if (pdev != device)
		return;
	seen.events++;
	seen.op = op;
	seen.offset = offset;
	seen.size = size;
	seen.session = session;
	seen.allowed = allowed;
	seen.in_hardirq = in_hardirq();
}

static int start(struct kunit *test)
{
	memset(&seen, 0, sizeof(seen));
	return register_trace_pci_audit_access(count_event, NULL);
}

static void stop(struct kunit *test)
{
	unregister_trace_pci_audit_access(count_event, NULL);
	tracepoint_synchronize_unregister();
}

static int start_suite(struct kunit_suite *suite)
{
	int err;

	device = pci_get_device(PCI_ANY_ID, PCI_ANY_ID, NULL);
	if (!device)
		return -ENODEV;
	err = register_kprobe(&record_probe);
	if (err)
		pci_dev_put(device);

	return err;
}

static void stop_suite(struct kunit_suite *suite)
{
	unregister_kprobe(&record_probe);
	pci_dev_put(device);
}

static void expect_one(struct kunit *test, int err)
{
	KUNIT_EXPECT_EQ(test, err, 0);
	KUNIT_EXPECT_EQ(test, seen.records, audit_enabled ? 1 : 0);
	KUNIT_EXPECT_EQ(test, seen.events, 1);
	KUNIT_EXPECT_EQ(test, seen.op, PCI_AUDIT_WRITE);
	KUNIT_EXPECT_EQ(test, seen.offset, 0x60);
	KUNIT_EXPECT_EQ(test, seen.size, 4);
	KUNIT_EXPECT_EQ(test, seen.session, 0);
	KUNIT_EXPECT_FALSE(test, seen.allowed);
}

static int write_blocked(gfp_t gfp)
{
	return pci_audit_access(device, PCI_AUDIT_WRITE, 0x60, 4, false, gfp);
}

static void from_process_context(struct kunit *test)
{
	KUNIT_ASSERT_TRUE(test, in_task());
	KUNIT_ASSERT_NE_MSG(test, audit_enabled, 0, "boot with audit=1");
	expect_one(test, write_blocked(GFP_KERNEL));
	KUNIT_EXPECT_FALSE(test, seen.in_hardirq);
}

static void from_under_a_spinlock(struct kunit *test)
{
	DEFINE_SPINLOCK(lock);
	unsigned long flags;
	bool atomic;
	int err;

	spin_lock_irqsave(&lock, flags);
	atomic = irqs_disabled();
	err = write_blocked(GFP_ATOMIC);
	spin_unlock_irqrestore(&lock, flags);

	KUNIT_EXPECT_TRUE(test, atomic);
	expect_one(test, err);
}

struct from_irq {
	struct irq_work work;
	bool in_hardirq;
	int err;
};

static void write_in_irq(struct irq_work *work)
{
	struct from_irq *from = container_of(work, struct from_irq, work);

	from->in_hardirq = in_hardirq() && irqs_disabled();
	from->err = write_blocked(GFP_ATOMIC);
}

static void from_a_hard_interrupt(struct kunit *test)
{
	struct from_irq from = { .work = IRQ_WORK_INIT_HARD(write_in_irq), .err = 1 };

	irq_work_queue(&from.work);
	irq_work_sync(&from.work);

	KUNIT_EXPECT_TRUE(test, from.in_hardirq);
	KUNIT_EXPECT_TRUE(test, seen.in_hardirq);
	expect_one(test, from.err);
}

/* A call that only a driver bug makes. */
struct bad_call {
	const char *what;
	bool no_device;
	u32 op;
	u32 offset;
	size_t size;
};

static const struct bad_call bad_calls[] = {
	{ "the first op that is none", false, 2, 0, 1 },
	{ "the last op", false, U32_MAX, 0, 1 },
	{ "no device", true, PCI_AUDIT_READ, 0, 1 },
	{ "a size of 0", false, PCI_AUDIT_READ, 0x40, 0 },
	{ "a size of 0 at the end", false, PCI_AUDIT_READ, 4096, 0 },
	{ "an offset past the end", false, PCI_AUDIT_WRITE, 4096, 1 },
	{ "the last offset", false, PCI_AUDIT_READ, U32_MAX, 1 },
	{ "one byte past the end", false, PCI_AUDIT_WRITE, 4095, 2 },
	{ "a size of more than there is", false, PCI_AUDIT_READ, 0, 4097 },
	{ "a sum that overflows", false, PCI_AUDIT_READ, 1, SIZE_MAX },
};

KUNIT_ARRAY_PARAM_DESC(bad_call, bad_calls, what);

/* Of all these calls; the module warns once. */
static int warnings;

static void bad_input(struct kunit *test)
{
	const struct bad_call *call = test->param_value;
	struct pci_dev *pdev = call->no_device ? NULL : device;

	kunit_warning_suppress(test) {
		KUNIT_EXPECT_EQ(test, -EINVAL,
				pci_audit_access(pdev, call->op, call->offset, call->size,
						 true, GFP_KERNEL));
		warnings += KUNIT_SUPPRESSED_WARNING_COUNT();
	}
	KUNIT_EXPECT_EQ(test, seen.records, 0);
	KUNIT_EXPECT_EQ(test, seen.events, 0);
	KUNIT_EXPECT_EQ_MSG(test, warnings, 1, "one warning for the first, none for others");
}

static void the_whole_of_config_space(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, 0, pci_audit_access(device, PCI_AUDIT_READ, 0, 4096, true,
						  GFP_KERNEL));
	KUNIT_EXPECT_EQ(test, 0, pci_audit_access(device, PCI_AUDIT_READ, 4095, 1, true,
						  GFP_KERNEL));
	KUNIT_EXPECT_EQ(test, seen.events, 2);
	KUNIT_EXPECT_EQ(test, seen.records, 2);
}

/* Number of calls of the notifier with 1, less those with 0. */
static int enabled;

static int count_calls(struct notifier_block *nb, unsigned long on, void *data)
{
	enabled += on ? 1 : -1;
	return NOTIFY_OK;
}

static void the_notifier_is_called_for_changes(struct kunit *test)
{
	struct notifier_block nb = { .notifier_call = count_calls };

	enabled = 0;
	/* The test's own probe is there. */
	KUNIT_ASSERT_EQ(test, pci_audit_register_trace_notifier(&nb), 0);
	KUNIT_EXPECT_EQ(test, enabled, 1);
	stop(test);
	KUNIT_EXPECT_EQ(test, enabled, 0);
	KUNIT_EXPECT_FALSE(test, trace_pci_audit_access_enabled());
	KUNIT_EXPECT_EQ(test, start(test), 0);
	KUNIT_EXPECT_EQ(test, enabled, 1);
	kunit_warning_suppress(test) {
		KUNIT_EXPECT_EQ(test, pci_audit_register_trace_notifier(&nb), -EEXIST);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
	}
	pci_audit_unregister_trace_notifier(&nb);
	KUNIT_EXPECT_EQ(test, enabled, 0);
	stop(test);
	KUNIT_EXPECT_EQ(test, start(test), 0);
	KUNIT_EXPECT_EQ(test, enabled, 0);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(from_process_context),
	KUNIT_CASE(from_under_a_spinlock),
	KUNIT_CASE(from_a_hard_interrupt),
	KUNIT_CASE_PARAM(bad_input, bad_call_gen_params),
	KUNIT_CASE(the_whole_of_config_space),
	KUNIT_CASE(the_notifier_is_called_for_changes),
	{ }
};

static struct kunit_suite suite = {
	.name = "pci_audit_c",
	.suite_init = start_suite,
	.suite_exit = stop_suite,
	.init = start,
	.exit = stop,
	.test_cases = cases,
};

kunit_test_suite(suite);

MODULE_AUTHOR("The vfio-pci-audit authors");
MODULE_DESCRIPTION("KUnit tests of the PCI audit service, as drivers see it");
MODULE_LICENSE("GPL");
