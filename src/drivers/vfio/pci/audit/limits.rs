// SPDX-License-Identifier: GPL-2.0

//! How many accesses a session may record: the parameters `audit_rate` and `audit_burst`.

use crate::{
    bucket::{
        Limit,
        MAX, //
    },
    sessions, //
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
///
/// One word, the rate in its lower half: an access loads both at once.
pub(crate) struct Limits(Atomic<u64>);

/// The limits in force.
pub(crate) static LIMITS: Limits = Limits(Atomic::new((DEFAULT as u64) << 32 | DEFAULT as u64));

impl Limits {
    /// The limit of each of a session's buckets.
    #[inline]
    pub(crate) fn current(&self) -> Limit {
        let both = self.0.load(Relaxed);

        Limit {
            rate: both as u32,
            burst: (both >> 32) as u32,
        }
    }

    fn set(&self, limit: Limit) {
        let both = u64::from(limit.burst) << 32 | u64::from(limit.rate);

        self.0.store(both, Relaxed);
        sessions::for_each(|session| session.limit_changed());
    }

    /// Sets the tokens per second, 0 for no limit. May sleep. [`EINVAL`] above [`MAX`]. The caller
    /// serializes changes.
    pub(crate) fn set_rate(&self, rate: u32) -> Result {
        if rate > MAX {
            return Err(EINVAL);
        }
        self.set(Limit {
            rate,
            ..self.current()
        });
        Ok(())
    }

    /// Sets the tokens of a full bucket. May sleep. [`EINVAL`] for 0, with which nothing would ever
    /// be recorded, and above [`MAX`]. The caller serializes changes.
    pub(crate) fn set_burst(&self, burst: u32) -> Result {
        if burst == 0 || burst > MAX {
            return Err(EINVAL);
        }
        self.set(Limit {
            burst,
            ..self.current()
        });
        Ok(())
    }
}
