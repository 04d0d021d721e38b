// SPDX-License-Identifier: GPL-2.0
/*
 * A tracepoint that takes the id which pci_audit's has in another boot.  For
 * `make crash` only: the kernel then prints what the other boot left under the
 * format of this one.
 */
#include <linux/module.h>

#define CREATE_TRACE_POINTS
#include "other_event.h"

MODULE_DESCRIPTION("An event that is never emitted");
MODULE_LICENSE("GPL");
