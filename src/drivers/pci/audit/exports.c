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
	return in_task() ? audit_context() : NULL;
}

EXPORT_SYMBOL_GPL(pci_audit_access);
EXPORT_SYMBOL_GPL(pci_audit_open);
EXPORT_SYMBOL_GPL(pci_audit_close);
EXPORT_SYMBOL_GPL(pci_audit_suppressed);
EXPORT_SYMBOL_GPL(pci_audit_touched);
