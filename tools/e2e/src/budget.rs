// SPDX-License-Identifier: GPL-2.0

//! What a device may write to the log, whatever its holders do: the formulas of the limits, at their defaults.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{ensure, Result};

use crate::kernel;
use crate::lab::Lab;
use crate::record::{Kind, Record};

/// Records at once, of reads and as many of writes.
const BURST: u64 = 24;
/// Times that a holder is named at once, and how long it takes until one more is.
const OPENS: u64 = 24;
const OPENS_EVERY: Duration = Duration::from_secs(120);
/// Records at once of reports and ends, and how long it takes until there may be one more.
const REPORTS: u64 = 192;
const REPORTS_EVERY: Duration = Duration::from_secs(5);

/// A count of records, by what bounds them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// Accesses, and the op=open that came with some of them: both take from the device's buckets.
    pub(crate) accesses: u64,
    /// The op=open among them.
    pub(crate) opens: u64,
    /// Reports and ends.
    pub(crate) reports: u64,
}

impl Written {
    /// Count the records of a device.
    pub(crate) fn count(records: &[Record]) -> Self {
        let mut written = Self::default();
        for record in records {
            match record.kind {
                Kind::Access { .. } => written.accesses += 1,
                Kind::Open => {
                    written.accesses += 1;
                    written.opens += 1;
                }
                Kind::Suppressed { .. } | Kind::Touched { .. } | Kind::Close(_) => {
                    written.reports += 1
                }
            }
        }
        written
    }

    /// What the limits allow in a time, at their defaults.
    pub(crate) fn most(time: Duration) -> Self {
        let seconds = time.as_secs() + 1;
        Self {
            // Two buckets, each of which an op=open may bring one into debt; a record a second flows into each.
            accesses: 2 * (BURST + 1 + seconds),
            opens: OPENS + 1 + seconds / OPENS_EVERY.as_secs(),
            reports: REPORTS + 1 + seconds / REPORTS_EVERY.as_secs(),
        }
    }

    /// All of them.
    pub(crate) fn total(&self) -> u64 {
        self.accesses + self.reports
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} records: {} of accesses and holders, {} of the latter, and {} reports and ends",
            self.total(),
            self.accesses,
            self.opens,
            self.reports
        )
    }
}

/// The time from when every bucket was full.
pub(crate) struct Budget(Instant);

impl Budget {
    /// Fill them.
    pub(crate) fn start(lab: &Lab) -> Result<Self> {
        for (name, value) in kernel::DEFAULTS {
            if [kernel::RATE, kernel::BURST].contains(&name) {
                kernel::set_parameter(name, value)?;
            }
        }
        lab.fill()?;
        Ok(Self(Instant::now()))
    }

    /// Check what a device has written until now.
    pub(crate) fn check(&self, lab: &mut Lab, records: &[Record]) -> Result<()> {
        let time = self.0.elapsed();
        let (written, most) = (Written::count(records), Written::most(time));
        lab.note(format!(
            "in {:.0} s {written}; allowed are {most}",
            time.as_secs_f64()
        ));
        ensure!(
            written.accesses <= most.accesses
                && written.opens <= most.opens
                && written.reports <= most.reports,
            "in {time:?} {written}; allowed are {most}"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_at_the_limits() {
        let day = Written::most(Duration::from_secs(86_400));
        assert_eq!(day.accesses, 2 * (24 + 1 + 86_401));
        assert_eq!(day.opens, 24 + 1 + 720);
        assert_eq!(day.reports, 192 + 1 + 17_280);
    }
}
