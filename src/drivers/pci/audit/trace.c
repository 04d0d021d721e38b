// SPDX-License-Identifier: GPL-2.0
/*
 * The tracepoint pci_audit:pci_audit_access.  Rust looks at its static key by
 * itself, and comes here only while somebody traces.
 */
#include <linux/mutex.h>
#include <linux/notifier.h>

#include "bindings/bindings_helper.h"

#define CREATE_TRACE_POINTS
#include <trace/events/pci_audit.h>

void pci_audit_trace(struct pci_dev *pdev, enum pci_audit_op op, u32 offset, u32 size,
		     bool allowed)
{
	trace_pci_audit_access(pdev, op, offset, size, allowed);
}

/* Callers that limit what they record look at the key, too. */
EXPORT_TRACEPOINT_SYMBOL_GPL(pci_audit_access);

/* Protects both, so that whoever comes or goes misses no change. */
static DEFINE_MUTEX(trace_lock);
static RAW_NOTIFIER_HEAD(trace_chain);
static bool traced;

static void trace_changed(bool on)
{
	guard(mutex)(&trace_lock);
	traced = on;
	raw_notifier_call_chain(&trace_chain, on, NULL);
}

/* The first probe is about to come; the last one has gone. */
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
