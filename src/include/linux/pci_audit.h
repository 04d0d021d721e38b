/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Audit records of accesses to PCI configuration space
 *
 * For drivers that let somebody else reach a device's configuration space and
 * decide which accesses pass.  Each access becomes an AUDIT_PCI record:
 *
 *   type=PCI msg=audit(...): device="0000:01:00.1" op=write offset=0x298 size=1 res=0
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

/**
 * struct pci_audit_totals - what a session did, for its last record
 * @reads: accesses that read, blocked ones included
 * @writes: accesses that wrote, blocked ones included
 * @blocked_reads: those of @reads that were blocked
 * @blocked_writes: those of @writes that were blocked
 * @records: accesses that have a record of their own
 * @suppressed: accesses that were over the session's limit
 * @lost: accesses whose record the audit subsystem refused
 *
 * @reads + @writes = @records + @suppressed + @lost.
 */
struct pci_audit_totals {
	u64 reads;
	u64 writes;
	u64 blocked_reads;
	u64 blocked_writes;
	u64 records;
	u64 suppressed;
	u64 lost;
};

#if IS_ENABLED(CONFIG_PCI_AUDIT)

/**
 * pci_audit_access - record one access to a device's configuration space
 * @pdev: the device
 * @op: what was done
 * @offset: first byte of the access, in bytes from the start of config space
 * @size: length of the access, in bytes; @offset + @size is at most 4096
 * @allowed: true when the access is let through (``res=1``), false when it is
 *	blocked (``res=0``)
 * @gfp: how to allocate the record.  With flags that may sleep, the caller also
 *	waits for room in the audit backlog; a caller that acts for a guest wants
 *	%GFP_NOWAIT.
 *
 * Writes ``op=read|write offset= size= res=``, with the offset in hexadecimal
 * and the size in decimal; like all records it begins with ``device=`` and the
 * device's name in double quotes.
 *
 * Call it before the access reaches the device, so that the record exists even
 * if the access brings the machine down.  The tracepoint
 * pci_audit:pci_audit_access is emitted too, whether or not auditing is on.
 *
 * Context: any context that @gfp allows, hard interrupts included.  In task
 * context the record joins the event of the system call.
 *
 * Return: 0 when the access was recorded or auditing is off, -EINVAL (and a
 * warning, once) for arguments that make no sense, -ENOBUFS when the audit
 * subsystem refused the record.
 */
int pci_audit_access(struct pci_dev *pdev, enum pci_audit_op op, u32 offset,
		     size_t size, bool allowed, gfp_t gfp);

/**
 * pci_audit_unrecorded - trace an access that is kept out of the audit log
 * @pdev: the device
 * @op: what was done
 * @offset: first byte of the access, in bytes from the start of config space
 * @size: length of the access, in bytes; @offset + @size is at most 4096
 * @allowed: whether the access is let through
 *
 * For callers that limit how much they record: instead of pci_audit_access(),
 * for an access over the limit.  Only the tracepoint is emitted, so that those
 * who trace see every access.
 *
 * Context: any context, hard interrupts included.
 *
 * Return: 0, or -EINVAL (and a warning, once) for arguments that make no sense.
 */
int pci_audit_unrecorded(struct pci_dev *pdev, enum pci_audit_op op, u32 offset,
			 size_t size, bool allowed);

/**
 * pci_audit_open - record who holds a device
 * @pdev: the device
 * @gfp: how to allocate the record
 *
 * Writes ``op=open`` with the fields of audit_log_task_info() for the current
 * task.  A driver that records the accesses of a session calls it before the
 * first of them, so that the records can be traced to a process.
 *
 * Context: task context.
 * Return: as pci_audit_access().
 */
int pci_audit_open(struct pci_dev *pdev, gfp_t gfp);

/**
 * pci_audit_close - record the end of a session
 * @pdev: the device
 * @totals: what the session did
 * @gfp: how to allocate the record
 *
 * Writes ``op=close`` with @totals, each under its name, and ``res=1``.
 *
 * Context: any context that @gfp allows.
 * Return: as pci_audit_access().
 */
int pci_audit_close(struct pci_dev *pdev, const struct pci_audit_totals *totals,
		    gfp_t gfp);

/**
 * pci_audit_suppressed - record that accesses went without a record of their own
 * @pdev: the device
 * @op: what they did
 * @allowed: whether they were let through
 * @count: how many were over the caller's limit since the last such record
 * @lost: how many the audit subsystem refused since the last such record
 * @ranges: how many pci_audit_touched() records follow
 * @gfp: how to allocate the record
 *
 * Writes ``op=suppressed access=read|write count= lost= ranges= res=``, all
 * numbers in decimal.
 *
 * For callers that limit how much they record.  Pair it with
 * pci_audit_touched(), so that the place of an access is never lost.
 *
 * Context: any context that @gfp allows.
 * Return: as pci_audit_access().
 */
int pci_audit_suppressed(struct pci_dev *pdev, enum pci_audit_op op, bool allowed,
			 u64 count, u64 lost, u32 ranges, gfp_t gfp);

/**
 * pci_audit_touched - record where unrecorded accesses went
 * @pdev: the device
 * @op: what they did
 * @offset: first byte of the range, in bytes from the start of config space
 * @size: length of the range, in bytes; @offset + @size is at most 4096
 * @allowed: whether they were let through
 * @gfp: how to allocate the record
 *
 * Writes ``op=touched access=read|write offset= size= res=``, with the offset in
 * hexadecimal and the size in decimal.
 *
 * Context: any context that @gfp allows.
 * Return: as pci_audit_access().
 */
int pci_audit_touched(struct pci_dev *pdev, enum pci_audit_op op, u32 offset,
		      size_t size, bool allowed, gfp_t gfp);

/**
 * pci_audit_register_trace_notifier - be told when tracing starts and stops
 * @nb: whom to tell
 *
 * For callers that have a faster way while nobody wants to know of accesses.
 * The notifier is called with 1 when pci_audit:pci_audit_access is enabled and
 * with 0 when it no longer is; while it is registered already if it is enabled.
 *
 * Context: may sleep.
 * Return: 0, or -EEXIST (and a warning) when @nb is registered.
 */
int pci_audit_register_trace_notifier(struct notifier_block *nb);

/**
 * pci_audit_unregister_trace_notifier - the contrary
 * @nb: who was registered; called with 0 if tracing is enabled
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

static inline int pci_audit_unrecorded(struct pci_dev *pdev, enum pci_audit_op op,
				       u32 offset, size_t size, bool allowed)
{
	return 0;
}

static inline int pci_audit_open(struct pci_dev *pdev, gfp_t gfp)
{
	return 0;
}

static inline int pci_audit_close(struct pci_dev *pdev,
				  const struct pci_audit_totals *totals, gfp_t gfp)
{
	return 0;
}

static inline int pci_audit_suppressed(struct pci_dev *pdev, enum pci_audit_op op,
				       bool allowed, u64 count, u64 lost, u32 ranges,
				       gfp_t gfp)
{
	return 0;
}

static inline int pci_audit_touched(struct pci_dev *pdev, enum pci_audit_op op,
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
