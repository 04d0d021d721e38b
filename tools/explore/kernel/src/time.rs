// SPDX-License-Identifier: GPL-2.0

//! Time. It stands still while threads run, and goes on to when the next work item is due.

use std::cell::Cell;

/// Ticks of the timer, of one millisecond.
pub type Jiffies = u64;

/// Nanoseconds of a tick.
pub const TICK_NS: u64 = 1_000_000;

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
}

pub(crate) fn reset() {
    // Not zero, which is a time that may be taken for none.
    NOW.set(1_000 * TICK_NS);
}

/// Nanoseconds since boot.
pub fn now() -> u64 {
    NOW.get()
}

/// Lets time pass until `ns`.
pub fn advance_to(ns: u64) {
    NOW.set(NOW.get().max(ns));
}

/// Milliseconds as ticks.
pub fn msecs_to_jiffies(ms: u32) -> Jiffies {
    ms.into()
}
