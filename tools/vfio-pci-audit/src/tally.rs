// SPDX-License-Identifier: GPL-2.0

//! What is known of every device, record by record, in memory that does not grow with the log.
//!
//! A device takes 256 KiB if all of its bytes were accessed in every way, and a few KiB as a rule. There are
//! [`MAX_DEVICES`] at most; records of more are counted, no more.

use std::collections::BTreeMap;
use std::ops::Range;

use pci_config::Bdf;

use crate::boots::Boots;
use crate::filter::{Filter, Verdict};
use crate::heat::Heat;
use crate::record::{Kind, Op, Record};
use crate::sessions::Sessions;
use crate::touched::Touched;
use crate::virt::Virt;
use crate::vms::Vms;

/// The most devices that are told apart. A host has tens; the log of a fleet has some of each host.
pub const MAX_DEVICES: usize = 2048;

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
}

/// Recognises the parts of a copy: one read(2) of a large piece is an access for each of its unassigned runs.
#[derive(Clone, Copy, Debug, Default)]
struct Copying {
    /// The time of the last part, and where it ended.
    last: Option<(u64, usize)>,
}

impl Copying {
    /// The most bytes that one access of a driver has: no instruction moves more to or from configuration space.
    /// Longer ones are of programs that copy all of it, as QEMU does when it starts and lspci does.
    const LONGEST_OF_A_DRIVER: usize = 8;
    /// The records of one system call follow each other closely.
    const CLOSE: u64 = 10;

    /// Whether an access is part of a copy: a long one, or one behind it at the same time.
    fn has(&mut self, time: u64, range: Range<usize>) -> bool {
        let follows = self
            .last
            .is_some_and(|(before, end)| range.start > end && time.abs_diff(before) <= Self::CLOSE);
        let copied = follows || range.len() > Self::LONGEST_OF_A_DRIVER;
        self.last = copied.then_some((time, range.end));
        copied
    }
}

impl Cell {
    /// All accesses, however the log tells of them.
    pub fn accesses(&self) -> u64 {
        self.recorded
            .saturating_add(self.suppressed)
            .saturating_add(self.lost)
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
    taken: u64,
}

/// 2020: before there was such a record, so that a time before that is that of a clock that was not set yet.
const NOT_SET: u64 = 1_577_836_800_000;
const DAY: u64 = 24 * 60 * 60 * 1000;

impl Device {
    fn new(time: u64, recent: usize, with_places: bool) -> Self {
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

    fn add(&mut self, record: &Record<'_>, boot: u64, taken: bool) {
        self.sessions.add(record, boot, taken);
        if !taken {
            return;
        }
        self.at(record, boot);
        let (Some(allowed), Some(op)) = (record.res, record.kind.op()) else {
            return;
        };
        let cell = &mut self.cells[index(op, allowed)];
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

/// One machine.
#[derive(Clone, Debug, Default)]
struct Node {
    devices: BTreeMap<Bdf, Device>,
    boots: Boots,
    vms: Vms,
    /// The time of the latest record.
    latest: u64,
}

/// Records of one machine overtake each other by less than this, in milliseconds.
const OVERTAKES: u64 = 60_000;

/// What is found out of a record that was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Added {
    /// In which boot of its machine it was made.
    pub boot: u64,
    /// Whether it is asked for, and does not only tell of the session of others.
    pub taken: bool,
    /// By how much its time, in milliseconds, is before that of one of the same machine that came earlier, if that is
    /// more than records overtake each other.
    pub back: Option<u64>,
}

/// All devices, by the machine that they are in and by address.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    nodes: BTreeMap<Box<str>, Node>,
    filter: Filter,
    devices: usize,
    recent: usize,
    with_places: bool,
    records: u64,
    passed_over: u64,
    no_vms: Vms,
}

impl Tally {
    /// An empty one, which remembers the last `recent` sessions of each device one by one.
    pub fn new(recent: usize) -> Self {
        Self {
            recent,
            ..Self::default()
        }
    }

    /// The same, of records that are asked for, and if asked to, with the places of each session.
    pub fn filtered(recent: usize, filter: Filter, with_places: bool) -> Self {
        Self {
            filter,
            with_places,
            ..Self::new(recent)
        }
    }

    /// Count a record. Nothing if it has nothing to do with what is asked for, or there is no room for its device.
    pub fn add(&mut self, record: &Record<'_>) -> Option<Added> {
        if !self.filter.knows(record.node, Some(record.device)) {
            return None;
        }
        let Some(node) = self.node(record.node) else {
            self.passed_over += 1;
            return None;
        };
        let boot = node.boots.of(record.time, record.serial);
        let back = node.latest.saturating_sub(record.time);
        node.latest = node.latest.max(record.time);
        let back = Some(back).filter(|back| *back > OVERTAKES);
        let taken = match self.filter.judge(record, boot) {
            Verdict::Take => true,
            Verdict::Context => false,
            Verdict::Drop => return None,
        };
        self.records += u64::from(taken);
        let (devices, recent, with_places) = (self.devices, self.recent, self.with_places);
        let added = Added { boot, taken, back };
        let node = self.node(record.node)?;
        if let Some(device) = node.devices.get_mut(&record.device) {
            device.add(record, boot, taken);
        } else if devices < MAX_DEVICES {
            let device = Device::new(record.time, recent, with_places);
            let device = node.devices.entry(record.device).or_insert(device);
            device.add(record, boot, taken);
            self.devices += 1;
        } else {
            self.passed_over += 1;
            return None;
        }
        Some(added)
    }

    /// Find or make room for a machine.
    fn node(&mut self, name: Option<&str>) -> Option<&mut Node> {
        let name = name.unwrap_or_default();
        if !self.nodes.contains_key(name) {
            if self.nodes.len() == MAX_DEVICES {
                return None;
            }
            self.nodes.insert(name.into(), Node::default());
        }
        self.nodes.get_mut(name)
    }

    /// Note what libvirt says of a virtual machine.
    pub fn add_vm(&mut self, virt: &Virt<'_>) {
        if !self.filter.knows(virt.node, None) {
            return;
        }
        if let Some(node) = self.node(virt.node) {
            let boot = node.boots.current();
            node.vms.add(virt, boot);
        }
    }

    /// Note that a machine was booted.
    pub fn boot(&mut self, name: Option<&str>) {
        if let Some(node) = self.node(name) {
            node.boots.start();
        }
    }

    /// The virtual machines of a machine.
    pub fn vms(&self, node: Option<&str>) -> &Vms {
        let node = self.nodes.get(node.unwrap_or_default());
        node.map_or(&self.no_vms, |node| &node.vms)
    }

    /// How many runs of virtual machines were forgotten.
    pub fn forgotten_vms(&self) -> u64 {
        self.nodes.values().map(|node| node.vms.forgotten()).sum()
    }

    /// How many records there were.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// How many of them are of devices beyond [`MAX_DEVICES`].
    pub fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// Every device, with the machine that it is in, where records say so.
    pub fn devices(&self) -> impl Iterator<Item = (Option<&str>, Bdf, &Device)> {
        self.nodes.iter().flat_map(|(name, node)| {
            let name = (!name.is_empty()).then_some(&**name);
            node.devices
                .iter()
                .filter(|(_, device)| device.taken > 0)
                .map(move |(bdf, device)| (name, *bdf, device))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record;

    fn tally(lines: &[&str]) -> Tally {
        let mut tally = Tally::new(4);
        for line in lines {
            let line = format!("type=PCI msg=audit({line}");
            tally.add(&record::parse(line.as_bytes()).unwrap().unwrap());
        }
        tally
    }

    #[test]
    // A list of one range is meant.
    #[allow(clippy::single_range_in_vec_init)]
    fn cells_are_apart() {
        let tally = tally(&[
            r#"5.000:1): device="0000:01:00.0" op=read offset=0x40 size=4 res=1"#,
            r#"2.000:1): device="0000:01:00.0" op=read offset=0x40 size=4 res=0"#,
            r#"9.000:1): device="0000:01:00.0" op=suppressed access=write count=7 lost=2 ranges=1 res=0"#,
            r#"9.000:1): device="0000:01:00.0" op=touched access=write offset=0x50 size=2 res=0"#,
            r#"3.000:1): device="0000:02:00.0" op=write offset=0x41 size=1 res=1"#,
        ]);
        let devices: Vec<_> = tally.devices().collect();
        assert_eq!(devices.len(), 2);
        let device = devices[0].2;
        assert_eq!((device.first, device.last), (2000, 9000));
        assert_eq!((device.watched, device.clock_was_set), (4000, false));
        let counts: Vec<_> = device
            .cells()
            .map(|(op, allowed, cell)| (op, allowed, cell.recorded, cell.suppressed, cell.lost))
            .collect();
        assert_eq!(
            counts,
            [
                (Op::Write, true, 0, 0, 0),
                (Op::Write, false, 0, 7, 2),
                (Op::Read, true, 1, 0, 0),
                (Op::Read, false, 1, 0, 0),
            ]
        );
        assert_eq!(device.cell(Op::Write, false).touched.ranges(), [0x50..0x52]);
        assert_eq!(tally.records(), 5);
    }

    #[test]
    fn a_clock_that_was_set_is_not_believed() {
        let watched = |records: &[(u64, u64)]| {
            let mut tally = Tally::new(0);
            for (time, serial) in records {
                let line = format!("type=PCI msg=audit({time}.000:{serial}): device=\"0000:01:00.0\" op=read offset=0x40 size=4 res=1");
                tally.add(&record::parse(line.as_bytes()).unwrap().unwrap());
            }
            let device = tally.devices().next().unwrap().2;
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

    #[test]
    fn nodes_are_apart_and_devices_bounded() {
        let mut tally = Tally::new(0);
        for number in 0..=MAX_DEVICES {
            for _ in 0..2 {
                let line = format!(
                    "node=n{number} type=PCI msg=audit(1.000:1): device=\"0000:01:00.0\" op=open res=1"
                );
                tally.add(&record::parse(line.as_bytes()).unwrap().unwrap());
            }
        }
        assert_eq!(tally.devices().count(), MAX_DEVICES);
        assert_eq!(tally.passed_over(), 2);
    }
}
