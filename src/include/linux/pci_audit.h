/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Audit records of accesses to PCI configuration space
 *
 * For drivers that let user space or a guest reach a device's configuration
 * space, and decide which accesses are allowed.  Each access becomes an
 * AUDIT_PCI record:
 *
 *   type=PCI msg=audit(...): device="0000:01:00.1" op=write offset=0x298 size=1 session=? res=0
 *
 * A driver that limits how many accesses it records emits the tracepoint
 * pci_audit:pci_audit_access (trace/events/pci_audit.h) for the others.
 */
#ifndef _LINUX_PCI_AUDIT_H
#define _LINUX_PCI_AUDIT_H

#include <linux/gfp_types.h>
#include <linux/kconfig.h>
#include <linux/types.h>

struct notifier_block;
struct pci_dev;

/**
 * enum pci_audit_op - what was done to configuration space
 * @PCI_AUDIT_READ: it was read, logged as ``op=read``
 * @PCI_AUDIT_WRITE: it was written, logged as ``op=write``
 */
enum pci_audit_op {
	PCI_AUDIT_READ,
	PCI_AUDIT_WRITE,
};

#if IS_ENABLED(CONFIG_PCI_AUDIT)

/**
 * pci_audit_access - record one access to a device's configuration space
 * @pdev: the device
 * @op: what was done
 * @offset: first byte of the access, in bytes from the start of config space
 * @size: length of the access, in bytes; @offset + @size is at most 4096
 * @allowed: true when the access is allowed (``res=1``), false when it is
 *	blocked (``res=0``)
 * @gfp: how to allocate the record.  With flags that may sleep, the caller also
 *	waits for room in the audit backlog, up to a minute by default.  Use
 *	%GFP_NOWAIT for an access of a guest.
 *
 * Writes ``device= op=read|write offset= size= session=? res=``.  The device's
 * name is in double quotes, the offset is hexadecimal and the size decimal.
 *
 * Call it before the access reaches the device, so that the record exists even
 * if the access brings the machine down.  The tracepoint
 * pci_audit:pci_audit_access is emitted too, whether or not auditing is on.
 *
 * Context: any context that @gfp allows, hard interrupts included.  With flags
 * that may sleep, the record joins the event of the system call.
 *
 * Return: 0 when the access was recorded or auditing is off, -EINVAL (and a
 * warning, once) for arguments that only a bug in the caller can cause,
 * -ENOBUFS when the audit subsystem refused the record.
 */
int pci_audit_access(struct pci_dev *pdev, enum pci_audit_op op, u32 offset,
		     size_t size, bool allowed, gfp_t gfp);

/**
 * pci_audit_register_trace_notifier - register a trace notifier
 * @nb: the notifier
 *
 * For callers that skip work while the tracepoint is disabled.  The notifier is
 * called with 1 when pci_audit:pci_audit_access is enabled, and with 0 when it
 * is disabled.  If the tracepoint is enabled already, the notifier is called
 * during registration.
 *
 * Context: may sleep.
 * Return: 0, or -EEXIST (and a warning) when @nb is registered.
 */
int pci_audit_register_trace_notifier(struct notifier_block *nb);

/**
 * pci_audit_unregister_trace_notifier - unregister a trace notifier
 * @nb: the notifier; called with 0 if the tracepoint is enabled
 *
 * Context: may sleep.
 */
void pci_audit_unregister_trace_notifier(struct notifier_block *nb);

#else

static inline int pci_audit_access(struct pci_dev *pdev, enum pci_audit_op op,
				   u32 offset, size_t size, bool allowed, gfp_t gfp)
{
	return 0;
}

static inline int pci_audit_register_trace_notifier(struct notifier_block *nb)
{
	return 0;
}

static inline void pci_audit_unregister_trace_notifier(struct notifier_block *nb)
{
}

#endif /* CONFIG_PCI_AUDIT */

#endif /* _LINUX_PCI_AUDIT_H */
