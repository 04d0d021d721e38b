// SPDX-License-Identifier: GPL-2.0
/*
 * What Rust cannot do yet: define a tracepoint, call static inline functions,
 * and export a symbol to C
 */
#include <linux/audit.h>
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/pci_audit.h>
#include <linux/preempt.h>

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
