// SPDX-License-Identifier: GPL-2.0

//! Accesses of one operation with one result to one device.

use std::ops::Range;

use crate::heat::Heat;
use crate::touched::Touched;

/// Accesses of one operation with one result.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    /// Those with a record of their own.
    pub recorded: u64,
    /// Those that were over the limit, as far as reports tell.
    pub suppressed: u64,
    /// Those that audit refused, as far as reports tell.
    pub lost: u64,
    /// Where those with a record went.
    pub heat: Heat,
    /// Where the others went.
    pub touched: Touched,
    /// Those of the recorded that are parts of a copy of the space.
    pub copies: u64,
    /// Where the other recorded ones went.
    pub by_drivers: Touched,
    /// The times of the first and the last record of them; nothing without one.
    pub period: Option<(u64, u64)>,
}

/// Recognises the parts of a copy: one read(2) of a large piece is an access for each of its
/// unassigned runs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Copying {
    /// The time of the last part, and where it ended.
    last: Option<(u64, usize)>,
}

impl Copying {
    /// The most bytes that one access of a driver has: no instruction moves more to or from
    /// configuration space. Longer ones are of programs that copy all of it, as QEMU does when it
    /// starts and lspci does.
    const LONGEST_OF_A_DRIVER: usize = 8;
    /// The records of one system call follow each other closely.
    const CLOSE: u64 = 10;

    /// Whether an access is part of a copy: a long one, or one behind it at the same time.
    pub(crate) fn has(&mut self, time: u64, range: Range<usize>) -> bool {
        let follows = self
            .last
            .is_some_and(|(before, end)| range.start > end && time.abs_diff(before) <= Self::CLOSE);
        let copied = follows || range.len() > Self::LONGEST_OF_A_DRIVER;
        self.last = copied.then_some((time, range.end));
        copied
    }
}

impl Cell {
    /// The number of accesses, with and without a record of their own.
    pub fn accesses(&self) -> u64 {
        self.recorded
            .saturating_add(self.suppressed)
            .saturating_add(self.lost)
    }

    /// Note the time of a record.
    pub(crate) fn at(&mut self, time: u64) {
        let (first, last) = self.period.unwrap_or((time, time));
        self.period = Some((first.min(time), last.max(time)));
    }

    /// Whether the periods of both overlap.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self.period, other.period) {
            (Some((first, last)), Some((begin, end))) => first <= end && begin <= last,
            _ => false,
        }
    }

    /// Where they went: maximal ranges, in order.
    pub fn places(&self) -> Vec<Place> {
        let recorded = self.heat.spots().into_iter().map(|spot| Place {
            range: spot.range,
            recorded: spot.accesses,
            more: false,
        });
        let more = self.touched.ranges().into_iter().map(|range| Place {
            range,
            recorded: 0,
            more: true,
        });
        let mut all: Vec<Place> = recorded.chain(more).collect();
        all.sort_by_key(|place| place.range.start);
        let mut joined: Vec<Place> = Vec::new();
        for place in all {
            match joined.last_mut() {
                Some(last) if place.range.start <= last.range.end => {
                    last.range.end = last.range.end.max(place.range.end);
                    last.recorded += place.recorded;
                    last.more |= place.more;
                }
                _ => joined.push(place),
            }
        }
        joined
    }
}

/// Bytes that were accessed, all of them and none beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The bytes.
    pub range: Range<usize>,
    /// How many accesses with a record began here.
    pub recorded: u64,
    /// Whether accesses without a record were made here, too.
    pub more: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_told_from_a_driver() {
        let mut copying = Copying::default();
        for (time, range, copied) in [
            // A driver.
            (0, 0x60..0x64, false),
            (1, 0x64..0x6c, false),
            // read(2) of everything, with a short run in it.
            (5, 0x40..0x60, true),
            (5, 0x70..0x72, true),
            (6, 0x80..0x1000, true),
            // A driver that comes at the same time but not behind it, and one that comes later.
            (6, 0x70..0x72, false),
            (7, 0x40..0x60, true),
            (99, 0x70..0x72, false),
        ] {
            assert_eq!(copying.has(time, range.clone()), copied, "{time} {range:?}");
        }
    }

    #[test]
    fn places_join_what_has_a_record_and_what_has_none() {
        let mut cell = Cell::default();
        cell.heat.add(0x40..0x44);
        cell.heat.add(0x42..0x43);
        cell.heat.add(0x60..0x61);
        cell.touched.add(0x44..0x48);
        cell.touched.add(0x80..0x82);
        let place = |range, recorded, more| Place {
            range,
            recorded,
            more,
        };
        assert_eq!(
            cell.places(),
            [
                place(0x40..0x48, 2, true),
                place(0x60..0x61, 1, false),
                place(0x80..0x82, 0, true),
            ]
        );
    }
}
