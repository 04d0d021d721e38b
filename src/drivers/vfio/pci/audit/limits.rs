// SPDX-License-Identifier: GPL-2.0

//! How many accesses a session may record: the parameters `audit_rate` and `audit_burst`.

use crate::bucket::{
    Limit,
    MAX, //
};
use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

// Two buckets of 24, the reports and the ends of a session together stay under the kernel's
// default backlog of 64 records.
const DEFAULT: u32 = 24;

/// The limits of every session. A change applies from the next access on.
pub(crate) struct Limits {
    rate: Atomic<u32>,
    burst: Atomic<u32>,
}

/// The limits in force.
pub(crate) static LIMITS: Limits = Limits {
    rate: Atomic::new(DEFAULT),
    burst: Atomic::new(DEFAULT),
};

impl Limits {
    /// The limit of each of a session's buckets.
    #[inline]
    pub(crate) fn current(&self) -> Limit {
        Limit {
            rate: self.rate.load(Relaxed),
            burst: self.burst.load(Relaxed),
        }
    }

    /// Sets the tokens per second, 0 for no limit. [`EINVAL`] above [`MAX`].
    pub(crate) fn set_rate(&self, rate: u32) -> Result {
        if rate > MAX {
            return Err(EINVAL);
        }
        self.rate.store(rate, Relaxed);
        Ok(())
    }

    /// Sets the tokens of a full bucket. [`EINVAL`] for 0, with which nothing would ever be
    /// recorded, and above [`MAX`].
    pub(crate) fn set_burst(&self, burst: u32) -> Result {
        if burst == 0 || burst > MAX {
            return Err(EINVAL);
        }
        self.burst.store(burst, Relaxed);
        Ok(())
    }
}
