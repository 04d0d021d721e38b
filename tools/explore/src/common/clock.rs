// SPDX-License-Identifier: GPL-2.0

//! The clock.

use kernel::time;

pub(crate) use time::{now as monotonic_ns, TICK_NS};

pub(crate) fn ticks() -> u64 {
    time::now() / TICK_NS
}
