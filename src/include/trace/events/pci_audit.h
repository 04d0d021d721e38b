/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoint of the PCI audit service (linux/pci_audit.h)
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM pci_audit

#if !defined(_TRACE_PCI_AUDIT_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_PCI_AUDIT_H

#include <linux/pci.h>
#include <linux/pci_audit.h>
#include <linux/tracepoint.h>

int pci_audit_trace_start(void);
void pci_audit_trace_stop(void);

TRACE_DEFINE_ENUM(PCI_AUDIT_READ);
TRACE_DEFINE_ENUM(PCI_AUDIT_WRITE);

/*
 * An access to a device's configuration space, described as for
 * pci_audit_access().
 *
 * Emitted before the access reaches the device, once for each access: whether
 * or not auditing is enabled, and also for accesses that a limit of the driver
 * keeps out of the audit log.  It reads as the record does.
 */
TRACE_EVENT_FN(pci_audit_access,
	TP_PROTO(struct pci_dev *pdev, enum pci_audit_op op, u32 offset, u32 size,
		 bool allowed),

	TP_ARGS(pdev, op, offset, size, allowed),

	TP_STRUCT__entry(
		__string(device, pci_name(pdev))
		__field(enum pci_audit_op, op)
		__field(u32, offset)
		__field(u32, size)
		__field(bool, res)
	),

	TP_fast_assign(
		__assign_str(device);
		__entry->op = op;
		__entry->offset = offset;
		__entry->size = size;
		__entry->res = allowed;
	),

	TP_printk("device=\"%s\" op=%s offset=0x%x size=%u res=%d",
		  __get_str(device),
		  __print_symbolic(__entry->op,
				   { PCI_AUDIT_READ, "read" },
				   { PCI_AUDIT_WRITE, "write" }),
		  __entry->offset, __entry->size, __entry->res),

	pci_audit_trace_start, pci_audit_trace_stop
);

#endif /* _TRACE_PCI_AUDIT_H */

/* This part must be outside protection */
#include <trace/define_trace.h>
