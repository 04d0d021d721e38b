// SPDX-License-Identifier: GPL-2.0

//! Checks what a device writes to the log against the formulas of the limits, at their default
//! values.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{ensure, Result};

use crate::kernel;
use crate::lab::Lab;
use crate::record::{Kind, Record};

/// Burst of access records, for reads and for writes.
const BURST: u64 = 24;
/// Burst of op=open records, and the seconds until another is allowed.
const OPENS: u64 = 24;
const OPENS_EVERY: Duration = Duration::from_secs(120);
/// Burst of reports and op=close records, and the seconds until another is allowed.
const REPORTS: u64 = 192;
const REPORTS_EVERY: Duration = Duration::from_secs(5);

/// Numbers of records, by the limit that applies to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// Accesses, and the op=open records emitted with them: both take tokens from the device's
    /// buckets.
    pub(crate) accesses: u64,
    /// Number of op=open records among them.
    pub(crate) opens: u64,
    /// Reports and op=close records.
    pub(crate) reports: u64,
}

impl Written {
    /// Counts the records of a device.
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

    /// The maximum that the default limits allow in a period.
    pub(crate) fn most(time: Duration) -> Self {
        let seconds = time.as_secs() + 1;
        Self {
            // There are two buckets, and an op=open may overdraw either by one token. One token per
            // second flows into each.
            accesses: 2 * (BURST + 1 + seconds),
            opens: OPENS + 1 + seconds / OPENS_EVERY.as_secs(),
            reports: REPORTS + 1 + seconds / REPORTS_EVERY.as_secs(),
        }
    }

    /// The sum.
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

/// When all buckets were full.
pub(crate) struct Budget(Instant);

impl Budget {
    /// Starts with full buckets.
    pub(crate) fn start(lab: &Lab) -> Result<Self> {
        for (name, value) in kernel::DEFAULTS {
            if [kernel::RATE, kernel::BURST].contains(&name) {
                kernel::set_parameter(name, value)?;
            }
        }
        lab.fill()?;
        Ok(Self(Instant::now()))
    }

    /// Checks the records that the device has written until now.
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
