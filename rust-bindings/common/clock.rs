// SPDX-License-Identifier: GPL-2.0

//! The kernel's monotonic clock as a plain number. `kernel::time` has instants of its own type, and
//! no ticks.

/// Nanoseconds of a tick.
pub(crate) const TICK_NS: u64 = 1_000_000_000 / kernel::bindings::CONFIG_HZ as u64;

/// Ticks of the kernel's timer: the same clock, counted coarsely. May be called from any context.
#[inline]
pub(crate) fn ticks() -> u64 {
    // SAFETY: `jiffies` is a valid, aligned integer. It changes at any time, hence the volatile
    // read, as C declares it. On a 64-bit kernel it does not wrap.
    unsafe { core::ptr::addr_of!(kernel::bindings::jiffies).read_volatile() as u64 }
}

/// Nanoseconds since boot, not counting time spent suspended. May be called from any context.
#[inline]
pub(crate) fn monotonic_ns() -> u64 {
    // SAFETY: `ktime_get()` has no requirements.
    unsafe { kernel::bindings::ktime_get() as u64 }
}
