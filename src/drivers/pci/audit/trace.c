// SPDX-License-Identifier: GPL-2.0
/*
 * What Rust cannot do yet: define a tracepoint, call static inline functions,
 * and export a symbol to C
 */
#include <linux/audit.h>
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/kstrtox.h>
#include <linux/libnvdimm.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/pci_audit.h>
#include <linux/pid.h>
#include <linux/preempt.h>
#include <linux/sched/clock.h>
#include <linux/sprintf.h>
#include <linux/timekeeping.h>

#include "bindings/bindings_helper.h"

#define CREATE_TRACE_POINTS
#include <trace/events/pci_audit.h>

void pci_audit_trace(struct pci_dev *pdev, enum pci_audit_op op, u32 offset, u32 size,
		     u64 session, bool allowed)
{
	trace_pci_audit_access(pdev, op, offset, size, session, allowed);
}

/* Modules test the tracepoint's key, and C drivers emit it. */
EXPORT_TRACEPOINT_SYMBOL_GPL(pci_audit_access);

EXPORT_SYMBOL_GPL(pci_audit_access);

struct audit_context *pci_audit_context(gfp_t gfp)
{
	/*
	 * With a context, the record joins the event of the system call: audit
	 * then adds SYSCALL, PROCTITLE and EOE as soon as any exit rule is
	 * loaded, and allocates them with flags that sleep.  A caller that must
	 * not sleep gets a single record instead.  An interrupt is not part of
	 * the system call that it interrupts.
	 */
	if (!in_task() || !gfpflags_allow_blocking(gfp))
		return NULL;

	/* Without exit rules, do not add records that no rule asks for. */
	return audit_dummy_context() ? NULL : audit_context();
}

/* Protects both, so that a notifier misses no change while it is registered. */
static DEFINE_MUTEX(trace_lock);
static RAW_NOTIFIER_HEAD(trace_chain);
static bool traced;

static void trace_changed(bool on)
{
	guard(mutex)(&trace_lock);
	traced = on;
	raw_notifier_call_chain(&trace_chain, on, NULL);
}

/* The first probe is about to be registered; the last one was unregistered. */
int pci_audit_trace_start(void)
{
	trace_changed(true);
	return 0;
}

void pci_audit_trace_stop(void)
{
	trace_changed(false);
}

int pci_audit_register_trace_notifier(struct notifier_block *nb)
{
	int err;

	guard(mutex)(&trace_lock);
	err = raw_notifier_chain_register(&trace_chain, nb);
	if (!err && traced)
		nb->notifier_call(nb, true, NULL);
	return err;
}
EXPORT_SYMBOL_GPL(pci_audit_register_trace_notifier);

void pci_audit_unregister_trace_notifier(struct notifier_block *nb)
{
	guard(mutex)(&trace_lock);
	if (!raw_notifier_chain_unregister(&trace_chain, nb) && traced)
		nb->notifier_call(nb, false, NULL);
}
EXPORT_SYMBOL_GPL(pci_audit_unregister_trace_notifier);

static bool keep = true;
module_param(keep, bool, 0444);
MODULE_PARM_DESC(keep, "Keep accesses for the next boot, if reserve_mem= has memory for pci_audit");

bool pci_audit_keeps(void)
{
	return keep;
}

/* Clean lines of the cache stay in it, so that they cost nothing to write again. */
void pci_audit_write_back(void *addr, size_t size)
{
	arch_wb_cache_pmem(addr, size);
}

u64 pci_audit_boot_token(void)
{
	char text[20];
	u64 token;

	/*
	 * Hashed with a random key, which each boot has one of.  With
	 * no_hash_pointers it is the address itself, which is no token: boots
	 * may share it.
	 */
	snprintf(text, sizeof(text), "%p", &init_task);
	if (kstrtou64(text, 16, &token) || token == (unsigned long)&init_task)
		return 0;
	return token;
}

static void (*seen_fn)(void *data, const struct pci_audit_seen *seen);

static void seen_access(void *data, struct pci_dev *pdev, enum pci_audit_op op, u32 offset,
			u32 size, u64 session, bool allowed)
{
	/* As for the tracepoint's own fields. */
	const struct task_struct *process = in_task() ? current->group_leader : &init_task;
	struct pci_audit_seen seen = {
		.log_ns = local_clock(),
		.real_ns = ktime_get_coarse_real_ns(),
		.session = session,
		.domain = pci_domain_nr(pdev->bus),
		.pid = process->tgid,
		.offset = offset,
		.size = size,
		.bus = pdev->bus->number,
		.devfn = pdev->devfn,
		.write = op == PCI_AUDIT_WRITE,
		.allowed = allowed,
	};

	memcpy(seen.comm, process->comm, sizeof(seen.comm));
	seen_fn(data, &seen);
}

/* One probe: the module has one memory to keep accesses in. */
int pci_audit_start_keeping(void (*fn)(void *data, const struct pci_audit_seen *seen), void *data)
{
	seen_fn = fn;
	return register_trace_pci_audit_access(seen_access, data);
}

void pci_audit_stop_keeping(void *data)
{
	unregister_trace_pci_audit_access(seen_access, data);
	tracepoint_synchronize_unregister();
}
