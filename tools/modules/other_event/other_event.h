/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM other

#if !defined(_TRACE_OTHER_EVENT_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_OTHER_EVENT_H

#include <linux/tracepoint.h>

TRACE_EVENT(other_event,
	TP_PROTO(u32 level, u64 value),

	TP_ARGS(level, value),

	TP_STRUCT__entry(
		__field(u32, level)
		__field(u64, value)
	),

	TP_fast_assign(
		__entry->level = level;
		__entry->value = value;
	),

	TP_printk("level=%u value=%llu", __entry->level, __entry->value)
);

#endif /* _TRACE_OTHER_EVENT_H */

/* This part must be outside protection */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE other_event
#include <trace/define_trace.h>
