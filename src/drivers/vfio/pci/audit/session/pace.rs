// SPDX-License-Identifier: GPL-2.0

//! The pace of records that the worker writes: reports and the ends of sessions.
//!
//! Imports only `core`.

use super::bucket::{
    Bucket,
    Limit, //
};

/// Records at once, and per second. Together with two full buckets of accesses of the default size
/// and two owed tokens, they fit in the default audit backlog of 64.
const AT_ONCE: Limit = Limit::per_second(12, 12);

/// Records over a long time. A day of them takes less than 4 MB.
const OVER_TIME: Limit = Limit::one_in(5, 192);

/// Nanoseconds from a report to the next one, when no accesses went unrecorded for a while.
const SHORTEST: u64 = 1_000_000_000;

/// Nanoseconds from a report to the next one, at most.
const LONGEST: u64 = 60 * SHORTEST;

/// When a device's worker may write a record.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    at_once: Bucket,
    over_time: Bucket,
    /// No report before this time.
    next_report: u64,
    /// From the last report to the next one.
    interval: u64,
}

impl Pace {
    /// A pace that allows a report now.
    pub const fn new() -> Self {
        Self {
            at_once: Bucket::new(),
            over_time: Bucket::new(),
            next_report: 0,
            interval: 0,
        }
    }

    /// Nanoseconds until a record may be written; 0 for now. With `limited` unset, only the number
    /// of records at once is limited.
    pub fn wait(&mut self, now: u64, limited: bool) -> u64 {
        let over_time = if limited {
            self.over_time.wait(OVER_TIME, now)
        } else {
            0
        };

        over_time.max(self.at_once.wait(AT_ONCE, now))
    }

    /// Takes the tokens of a record. [`Pace::wait`] returned 0.
    pub fn take(&mut self, now: u64) {
        let _ = self.at_once.take(AT_ONCE, now, 1);
        let _ = self.over_time.take(OVER_TIME, now, 1);
    }

    /// Nanoseconds until a report of a session that goes on may begin; 0 for now.
    pub fn wait_for_report(&self, now: u64) -> u64 {
        self.next_report.saturating_sub(now)
    }

    /// A report of an open session begins. The interval to the next one doubles, up to
    /// [`LONGEST`]. It is [`SHORTEST`] again if this report comes an interval late, since there was
    /// nothing to report.
    pub fn begin_report(&mut self, now: u64) {
        let is_due = now < self.next_report.saturating_add(self.interval);

        self.interval = if is_due {
            (self.interval * 2).min(LONGEST)
        } else {
            SHORTEST
        };
        self.next_report = now + self.interval;
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::new()
    }
}
