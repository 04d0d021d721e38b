// SPDX-License-Identifier: GPL-2.0

//! Who wants to know of accesses: the audit log, and whoever traces.
//!
//! C headers: [`include/linux/audit.h`](srctree/include/linux/audit.h),
//! [`include/trace/events/pci_audit.h`](srctree/include/trace/events/pci_audit.h)

use super::bindings;

/// Whether the audit subsystem wants records. May be called from any context.
#[inline]
pub(crate) fn auditing() -> bool {
    // SAFETY: `audit_enabled` is a valid, aligned integer for ever. It may change at any time,
    // hence the volatile read, as `READ_ONCE()` does it.
    unsafe { core::ptr::addr_of!(bindings::audit_enabled).read_volatile() != 0 }
}

/// Whether somebody traces accesses: a static branch. May be called from any context.
#[cfg(all(CONFIG_TRACEPOINTS, CONFIG_JUMP_LABEL))]
#[inline(always)]
pub(crate) fn tracing() -> bool {
    // SAFETY: The key is that of a tracepoint, which C defines.
    unsafe {
        kernel::jump_label::static_branch_unlikely!(
            bindings::__tracepoint_pci_audit_access,
            kernel::bindings::tracepoint,
            key
        )
    }
}

/// Whether somebody traces accesses. May be called from any context.
///
/// This kernel does not patch its code. `static_branch_unlikely!` would call a function to read
/// the key.
#[cfg(all(CONFIG_TRACEPOINTS, not(CONFIG_JUMP_LABEL)))]
#[inline(always)]
pub(crate) fn tracing() -> bool {
    // SAFETY: The key is a valid, aligned integer for as long as our module depends on the one that
    // defines it. It may change at any time, hence the volatile read, as `atomic_read()` does it.
    unsafe {
        core::ptr::addr_of!(
            bindings::__tracepoint_pci_audit_access
                .key
                .key
                .enabled
                .counter
        )
        .read_volatile()
            > 0
    }
}

/// Whether somebody traces accesses: this kernel has no tracepoints.
#[cfg(not(CONFIG_TRACEPOINTS))]
#[inline(always)]
pub(crate) fn tracing() -> bool {
    false
}
