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
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/tracepoint.h>

int pci_audit_trace_start(void);
void pci_audit_trace_stop(void);

TRACE_DEFINE_ENUM(PCI_AUDIT_READ);
TRACE_DEFINE_ENUM(PCI_AUDIT_WRITE);

/*
 * "PCA" and the version of the event's layout.  A ring buffer that outlives the
 * boot (trace_instance=) has the event ids of a boot that is gone, and the ids
 * of modules differ from boot to boot.  By this number, a reader finds the event
 * without its id, and notices when the record is another event's.  All fields
 * are of a fixed size: what is taken for another event cannot be read past its
 * end.
 */
#define PCI_AUDIT_TRACE_MAGIC	0x50434101

/*
 * An access to a device's configuration space, described as for
 * pci_audit_access().
 *
 * Emitted before the access reaches the device, once for each access: whether
 * or not auditing is enabled, and also for accesses that a limit of the driver
 * keeps out of the audit log.  It reads as the record does.
 *
 * It also has what the log says in other records: the session, 0 when the
 * driver has none, and the number and the name of the process, those of its
 * first thread.  An interrupt is not part of the process that it interrupts:
 * then they are 0 and "swapper/0".
 */
TRACE_EVENT_FN(pci_audit_access,
	TP_PROTO(struct pci_dev *pdev, enum pci_audit_op op, u32 offset, u32 size,
		 u64 session, bool allowed),

	TP_ARGS(pdev, op, offset, size, session, allowed),

	TP_STRUCT__entry(
		__field(u32, magic)
		__field(u32, domain)
		__field(u8, bus)
		__field(u8, devfn)
		__field(bool, res)
		__field(enum pci_audit_op, op)
		__field(u32, offset)
		__field(u32, size)
		__field(u64, session)
		__field(pid_t, pid)
		__array(char, comm, TASK_COMM_LEN)
	),

	TP_fast_assign(
		const struct task_struct *process = in_task() ? current->group_leader : &init_task;

		__entry->magic = PCI_AUDIT_TRACE_MAGIC;
		__entry->domain = pci_domain_nr(pdev->bus);
		__entry->bus = pdev->bus->number;
		__entry->devfn = pdev->devfn;
		__entry->res = allowed;
		__entry->op = op;
		__entry->offset = offset;
		__entry->size = size;
		__entry->session = session;
		__entry->pid = process->tgid;
		memcpy(__entry->comm, process->comm, TASK_COMM_LEN);
	),

	TP_printk("device=\"%04x:%02x:%02x.%d\" op=%s offset=0x%x size=%u session=%llu pid=%d comm=\"%s\" res=%d",
		  __entry->domain, __entry->bus, PCI_SLOT(__entry->devfn),
		  PCI_FUNC(__entry->devfn),
		  __print_symbolic(__entry->op,
				   { PCI_AUDIT_READ, "read" },
				   { PCI_AUDIT_WRITE, "write" }),
		  __entry->offset, __entry->size, __entry->session,
		  __entry->pid, __entry->comm, __entry->res),

	pci_audit_trace_start, pci_audit_trace_stop
);

#endif /* _TRACE_PCI_AUDIT_H */

/* This part must be outside protection */
#include <trace/define_trace.h>
