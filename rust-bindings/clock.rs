// SPDX-License-Identifier: GPL-2.0

//! The kernel's monotonic clock as a plain number.

/// Nanoseconds since boot, not counting time spent suspended. May be called from any context.
#[inline]
pub(crate) fn monotonic_ns() -> u64 {
    // SAFETY: `ktime_get()` has no requirements.
    unsafe { kernel::bindings::ktime_get() as u64 }
}
