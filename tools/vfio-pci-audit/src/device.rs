// SPDX-License-Identifier: GPL-2.0

//! What is known of one device.

use crate::cell::{Cell, Copying};
use crate::record::{Kind, Op, Record};
use crate::sessions::Sessions;

/// One device.
#[derive(Clone, Debug)]
pub struct Device {
    /// The time of its earliest record, in milliseconds since 1970.
    pub first: u64,
    /// That of its latest.
    pub last: u64,
    /// Its sessions.
    pub sessions: Sessions,
    /// How long it was watched, as far as the clock can be believed, in milliseconds.
    pub watched: u64,
    /// Whether the clock was set while it was watched.
    pub clock_was_set: bool,
    cells: [Cell; 4],
    copying: [Copying; 2],
    /// Audit's number of the latest record, and its boot.
    latest: (u64, u64),
    /// How many records were asked for.
    pub(crate) taken: u64,
}

/// 2020, in milliseconds since 1970. PCI records are younger: an earlier time is that of a clock
/// that was not set yet.
const NOT_SET: u64 = 1_577_836_800_000;
const DAY: u64 = 24 * 60 * 60 * 1000;

impl Device {
    pub(crate) fn new(time: u64, recent: usize, with_places: bool) -> Self {
        let sessions = match with_places {
            true => Sessions::with_places(recent),
            false => Sessions::new(recent),
        };
        Self {
            first: time,
            last: time,
            sessions,
            watched: 0,
            clock_was_set: false,
            latest: (0, 0),
            taken: 0,
            cells: Default::default(),
            copying: Default::default(),
        }
    }

    /// What was done to it, and with which result.
    pub fn cell(&self, op: Op, allowed: bool) -> &Cell {
        &self.cells[index(op, allowed)]
    }

    /// Each operation with each result.
    pub fn cells(&self) -> impl Iterator<Item = (Op, bool, &Cell)> {
        CELLS
            .into_iter()
            .map(|(op, allowed)| (op, allowed, self.cell(op, allowed)))
    }

    /// Note the time of a record.
    fn at(&mut self, record: &Record<'_>, boot: u64) {
        if self.taken == 0 {
            self.first = record.time;
            self.last = record.time;
        } else if let Some(gap) = record.time.checked_sub(self.last) {
            // On a machine that runs, audit has something to note every day.
            let (serial, of) = self.latest;
            let days = gap / DAY;
            let quiet = of == boot && record.serial.saturating_sub(serial) < days;
            if quiet || self.last < NOT_SET && record.time >= NOT_SET {
                self.clock_was_set = true;
            } else {
                self.watched += gap;
            }
        }
        self.taken += 1;
        self.first = self.first.min(record.time);
        if record.time >= self.last {
            self.last = record.time;
            self.latest = (record.serial, boot);
        }
    }

    pub(crate) fn add(&mut self, record: &Record<'_>, boot: u64, taken: bool) {
        self.sessions.add(record, boot, taken);
        if !taken {
            return;
        }
        self.at(record, boot);
        let (Some(allowed), Some(op)) = (record.res, record.kind.op()) else {
            return;
        };
        let cell = &mut self.cells[index(op, allowed)];
        cell.at(record.time);
        match record.kind {
            Kind::Access { offset, size, .. } => {
                cell.recorded += 1;
                cell.heat.add(offset..offset + size);
                if self.copying[op as usize].has(record.time, offset..offset + size) {
                    cell.copies += 1;
                } else {
                    cell.by_drivers.add(offset..offset + size);
                }
            }
            Kind::Suppressed { count, lost, .. } => {
                // A forged record may say anything.
                cell.suppressed = cell.suppressed.saturating_add(count);
                cell.lost = cell.lost.saturating_add(lost);
            }
            Kind::Touched { offset, size, .. } => cell.touched.add(offset..offset + size),
            Kind::Open | Kind::Close(_) => {}
        }
    }
}

/// The order in which they are told: what matters most comes first.
const CELLS: [(Op, bool); 4] = [
    (Op::Write, true),
    (Op::Write, false),
    (Op::Read, true),
    (Op::Read, false),
];

fn index(op: Op, allowed: bool) -> usize {
    2 * op as usize + usize::from(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record;

    #[test]
    fn a_clock_that_was_set_is_not_believed() {
        let watched = |records: &[(u64, u64)]| {
            let mut device = None;
            for (time, serial) in records {
                let line = format!("type=PCI msg=audit({time}.000:{serial}): device=\"0000:01:00.0\" op=read offset=0x40 size=4 res=1");
                let record = record::parse(line.as_bytes()).unwrap().unwrap();
                let device = device.get_or_insert_with(|| Device::new(record.time, 0, false));
                device.add(&record, 0, true);
            }
            let device: Device = device.unwrap();
            (device.watched, device.clock_was_set)
        };
        const NOW: u64 = 1_747_758_000;
        const DAY: u64 = 24 * 60 * 60;
        // From 1970, and from another wrong time.
        assert_eq!(
            watched(&[(12, 1), (14, 2), (NOW, 3), (NOW + 5, 4)]),
            (7000, true)
        );
        assert_eq!(watched(&[(NOW, 1), (NOW + 400 * DAY, 9)]), (0, true));
        // A device that is used every other week, on a machine that is used.
        let fortnight = 14 * DAY;
        assert_eq!(
            watched(&[(NOW, 1), (NOW + fortnight, 900)]),
            (fortnight * 1000, false)
        );
        // Back, and on.
        assert_eq!(
            watched(&[(NOW, 1), (NOW - 100, 2), (NOW + 10, 3)]),
            (10_000, false)
        );
    }
}
