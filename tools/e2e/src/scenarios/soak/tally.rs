// SPDX-License-Identifier: GPL-2.0

//! What was measured over all cycles: accesses, the size of the log, the kernel's memory.

use std::time::Duration;

use anyhow::{ensure, Result};

use crate::budget::Written;
use crate::record::{Kind, Record, Totals};
use crate::slab::{self, Caches};

/// By default, auditd keeps more than this: 5 files of 8 MB, of which the last may be nearly empty.
const MOST: f64 = 32e6;

/// Records and bytes of one kind.
#[derive(Clone, Copy, Debug, Default)]
struct Lines {
    count: u64,
    bytes: u64,
}

impl Lines {
    fn add(&mut self, bytes: usize) {
        self.count += 1;
        self.bytes += bytes as u64;
    }

    /// Bytes of so many of them.
    fn of(self, count: u64) -> f64 {
        self.bytes as f64 / self.count.max(1) as f64 * count as f64
    }
}

/// The sizes of a device's records, by the limit that applies to them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sizes {
    accesses: Lines,
    opens: Lines,
    reports: Lines,
}

impl Sizes {
    /// Adds records, of which the log has the fields after the type, the time and the serial
    /// number.
    pub(super) fn add(&mut self, records: &[Record]) {
        for record in records {
            let head = format!(
                "type=PCI msg=audit({}.000:{}): ",
                record.time / 1000,
                record.serial
            );
            let lines = match record.kind {
                Kind::Access { .. } => &mut self.accesses,
                Kind::Open => &mut self.opens,
                Kind::Suppressed { .. } | Kind::Touched { .. } | Kind::Close(_) => {
                    &mut self.reports
                }
            };
            lines.add(head.len() + record.text.len() + 1);
        }
    }

    /// Bytes of the log of a device that writes, for a day, as much as the limits allow.
    pub(super) fn day(&self) -> f64 {
        let most = Written::most(Duration::from_secs(86_400));
        self.opens.of(most.opens)
            + self.accesses.of(most.accesses - most.opens)
            + self.reports.of(most.reports)
    }

    /// Fails if that is more than a day may have.
    pub(super) fn check(&self) -> Result<()> {
        let day = self.day();
        ensure!(
            day < MOST,
            "at the limits a device leaves {:.1} MB of log a day: {self:?}",
            day / 1e6
        );
        Ok(())
    }
}

/// The kernel's memory after one cycle.
struct Sample {
    /// Slab memory that is in use, in KiB.
    slab: i64,
    caches: Option<Caches>,
}

/// The kernel's memory, after each cycle but the first ones.
pub(super) struct Memory {
    /// Number of cycles in which caches fill, which do not count.
    warm_up: usize,
    samples: Vec<Sample>,
}

/// Tolerated increase of slab memory, in KiB, whatever the number of cycles.
const MARGIN: i64 = 512;

/// Tolerated increase of one cache, in objects, whatever the number of cycles. Caches fill during
/// hundreds of cycles.
const OBJECTS: i64 = 256;

/// Number of samples from which on growth is judged, and from which on that of each cache is.
const ENOUGH: usize = 8;
const MANY: usize = 100;

/// Number of samples that are kept.
const KEPT: usize = 512;

impl Memory {
    pub(super) fn new(warm_up: usize) -> Self {
        Self {
            warm_up,
            samples: Vec::new(),
        }
    }

    /// Measures. Returns the slab memory that is in use, in KiB.
    pub(super) fn measure(&mut self) -> Result<i64> {
        let slab = slab::settled()?;
        let caches = Caches::now();
        self.add(Sample { slab, caches });
        Ok(slab)
    }

    fn add(&mut self, sample: Sample) {
        if self.warm_up > 0 {
            self.warm_up -= 1;
            return;
        }
        self.samples.push(sample);
        if self.samples.len() > KEPT {
            let mut number = 0;
            self.samples.retain(|_| {
                number += 1;
                number % 2 == 0
            });
        }
    }

    fn halves(&self) -> (&[Sample], &[Sample]) {
        self.samples.split_at(self.samples.len() / 2)
    }

    /// How much memory grew, in KiB: the least of the second half of the cycles less that of the
    /// first. Caches grow and shrink, but a leak stays.
    pub(super) fn growth(&self) -> Option<i64> {
        let (first, second) = self.halves();
        let least = |half: &[Sample]| half.iter().map(|sample| sample.slab).min();
        Some(least(second)? - least(first)?)
    }

    /// The same for the three caches that grew most, in objects.
    pub(super) fn grown(&self) -> Vec<(i64, String)> {
        let (first, second) = self.halves();
        let least = |half: &[Sample]| Caches::least(half.iter().filter_map(|s| s.caches.as_ref()));
        let (Some(first), Some(second)) = (least(first), least(second)) else {
            return Vec::new();
        };
        let growth = second.growth(&first).into_iter().take(3);
        growth
            .map(|(objects, name)| (objects, name.to_owned()))
            .collect()
    }

    /// Fails if memory grows with the number of cycles.
    pub(super) fn check(&self) -> Result<()> {
        if self.samples.len() < ENOUGH {
            return Ok(());
        }
        let (growth, grown) = (self.growth().unwrap_or_default(), self.grown());
        let slab: Vec<_> = self.samples.iter().map(|sample| sample.slab).collect();
        ensure!(
            growth < MARGIN,
            "slab memory grew by {growth} KiB, and most of all {grown:?}; after each cycle it was \
             {slab:?}"
        );
        ensure!(
            self.samples.len() < MANY || grown.iter().all(|(objects, _)| *objects < OBJECTS),
            "in {} cycles these caches grew: {grown:?}",
            self.samples.len()
        );
        Ok(())
    }
}

/// The sums over all cycles.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) cycles: usize,
    pub(super) sessions: u64,
    pub(super) totals: Totals,
    /// The sizes of records of one device in cycles with the default limits.
    pub(super) sizes: Sizes,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(slabs: impl IntoIterator<Item = i64>) -> Result<()> {
        let mut memory = Memory::new(2);
        slabs.into_iter().try_for_each(|slab| {
            memory.add(Sample { slab, caches: None });
            memory.check()
        })
    }

    #[test]
    fn noise_is_no_growth() {
        let noise = |number: i64| 20_000 + number * 7919 % 1500;
        after([10_000, 15_000].into_iter().chain((0..2000).map(noise))).unwrap();
    }

    #[test]
    fn a_leak_is_found() {
        for each in [128, 8, 1] {
            let noise = move |number: i64| 20_000 + number * 7919 % 100 + number * each;
            assert!(after((0..2000).map(noise)).is_err(), "{each} KiB");
        }
    }

    #[test]
    fn a_day_has_the_records_that_the_limits_allow() {
        let line =
            "type=PCI msg=audit(1.000:1): device=\"0000:01:00.0\" op=read offset=0x40 size=4 \
                    session=7 res=1";
        let mut sizes = Sizes::default();
        sizes.add(&crate::record::parse_all(line).unwrap());
        let most = Written::most(Duration::from_secs(86_400));
        let accesses = (most.accesses - most.opens) as f64;
        assert_eq!(sizes.day(), accesses * (line.len() + 1) as f64);
        sizes.check().unwrap();
    }
}
