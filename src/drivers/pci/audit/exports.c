// SPDX-License-Identifier: GPL-2.0
/*
 * What Rust cannot do yet: export a symbol, and call a static inline function.
 */
#include <linux/audit.h>
#include <linux/export.h>
#include <linux/pci_audit.h>
#include <linux/preempt.h>

#include "bindings/bindings_helper.h"

struct audit_context *pci_audit_context(void)
{
	/* An interrupt has nothing to do with the system call it interrupted. */
	if (!in_task())
		return NULL;

	/*
	 * Join the system call's event where there is one.  Where no rule asks
	 * for it, a record with a context would call a SYSCALL and a PROCTITLE
	 * record into being: thrice as many as our callers count on, and their
	 * allocation sleeps when the backlog is full.
	 */
	return audit_dummy_context() ? NULL : audit_context();
}

EXPORT_SYMBOL_GPL(pci_audit_access);
EXPORT_SYMBOL_GPL(pci_audit_unrecorded);
EXPORT_SYMBOL_GPL(pci_audit_open);
EXPORT_SYMBOL_GPL(pci_audit_close);
EXPORT_SYMBOL_GPL(pci_audit_suppressed);
EXPORT_SYMBOL_GPL(pci_audit_touched);
