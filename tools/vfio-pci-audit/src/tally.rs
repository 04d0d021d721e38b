// SPDX-License-Identifier: GPL-2.0

//! What is known of every device, record by record, in memory that does not grow with the log.
//!
//! A device takes 256 KiB if all of its bytes were accessed in every way, and a few KiB as a rule.
//! There are [`MAX_DEVICES`] at most; records of more are counted, no more.

use std::collections::BTreeMap;

use pci_config::Bdf;

use crate::boots::Boots;
pub use crate::cell::{Cell, Place};
pub use crate::device::Device;
use crate::filter::{Filter, Verdict};
use crate::record::Record;
use crate::session::Session;
use crate::virt::Virt;
use crate::vms::Vms;

/// The most devices that are told apart. A host has tens; the log of a fleet has some of each host.
pub const MAX_DEVICES: usize = 2048;
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
    /// Whether it matches the filter, and is not only context for other records.
    pub taken: bool,
    /// By how much its time, in milliseconds, is before that of one of the same machine that came
    /// earlier, if that is more than records overtake each other.
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

    /// Count a record. Nothing if it is irrelevant, or there is no room for its device.
    pub fn add(&mut self, record: &Record<'_>) -> Option<Added> {
        if !self.filter.knows(record.node, Some(record.device)) {
            return None;
        }
        let Some(node) = self.node(record.node) else {
            self.passed_over += 1;
            return None;
        };
        let boot = node.boots.of(record.boot, record.time, record.serial);
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

    /// The session that the accesses of a record belong to which was just added.
    pub fn session(&self, record: &Record<'_>, boot: u64) -> Option<&Session> {
        let node = self.nodes.get(record.node.unwrap_or_default())?;
        node.devices.get(&record.device)?.sessions.of(record, boot)
    }

    /// Note what libvirt says of a virtual machine.
    pub fn add_vm(&mut self, virt: &Virt<'_>) {
        if !self.filter.knows(virt.node, None) {
            return;
        }
        if let Some(node) = self.node(virt.node) {
            let boot = node.boots.at(virt.boot);
            node.vms.add(virt, boot);
        }
    }

    /// Note that a machine was booted; this boot may have an identity.
    pub fn boot(&mut self, name: Option<&str>, id: Option<&str>) {
        if let Some(node) = self.node(name) {
            match id {
                Some(_) => _ = node.boots.at(id),
                None => node.boots.start(),
            }
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
    use crate::record::Op;

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
