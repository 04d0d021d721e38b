// SPDX-License-Identifier: GPL-2.0

//! What blocking would have stopped, and what keeps it working.
//!
//! Only accesses that were allowed count: what was blocked already is not stopped any more. Reads
//! that copy the configuration space in large pieces need no exemption: no driver acts upon what
//! unassigned bytes of a copy hold.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Context, Result};
use pci_config::{Bdf, Id};
use serde::Serialize;

use crate::known::exceptions::{too_long_for, united, Exceptions};
use crate::known::knowledge::{needed, notes, unknown, Note};
use crate::known::subject::Subject;
use crate::map::Unassigned;
use crate::record::Op;
use crate::scan::Scan;
use crate::tally::{Cell, Device};
use crate::time::{self, Stamp, Zone};
use crate::touched::Touched;
use crate::vms::{Vm, Vms};
use crate::words::{plural, plural_es, range_text};

/// Sessions from start to end that a period should have for every device, and how long it should
/// be.
const ENOUGH_SESSIONS: u64 = 3;
const ENOUGH_TIME: u64 = 24 * 60 * 60 * 1000;

/// A device of a machine, or of any if none is named.
pub type Place = (Option<String>, Bdf);

/// The ids of devices that `--id` gives.
pub type Ids = BTreeMap<Place, Id>;

/// Read `[NODE/]BDF=VENDOR:DEVICE`.
pub fn parse_id(text: &str) -> Result<(Place, Id)> {
    let (place, id) = text
        .split_once('=')
        .context("expected [NODE/]BDF=VENDOR:DEVICE, such as 01:00.0=8086:10d3")?;
    let (node, bdf) = match place.rsplit_once('/') {
        Some((node, bdf)) => (Some(node.to_owned()), bdf),
        None => (None, place),
    };
    Ok(((node, bdf.parse()?), id.parse()?))
}

/// The id that is given for a device of that machine, or else the one given for any machine.
pub fn said(ids: &Ids, node: Option<&str>, bdf: Bdf) -> Option<Id> {
    let of_node = || ids.get(&(Some(node?.to_owned()), bdf));
    of_node().or_else(|| ids.get(&(None, bdf))).copied()
}

/// The advice.
#[derive(Debug, Serialize)]
pub struct Advice {
    /// The advice for each device that has records.
    pub devices: Vec<DeviceAdvice>,
    /// What to set to block writes, and keep what was seen working.
    pub block_writes: Setting,
    /// The same for reads and writes.
    pub block_both: Setting,
    /// What the toggles of this machine do that is dangerous, if the logs are of it.
    pub dangerous: Option<&'static str>,
    /// The number of lines and logs that could not be read.
    pub complaints: u64,
}

/// What the log tells of one device.
#[derive(Debug, Serialize)]
pub struct DeviceAdvice {
    /// The machine, where records say so.
    pub node: Option<String>,
    /// The device.
    pub device: String,
    /// `vendor:device`; nothing if it is not known.
    pub id: Option<String>,
    /// The writes that blocking would stop.
    pub writes: Stopped,
    /// The reads that blocking would answer with zeros.
    pub reads: Stopped,
    /// Where reads were blocked and writes were not.
    pub only_reads_blocked: Vec<Unassigned>,
    /// The evidence for it.
    pub evidence: Evidence,
}

/// What blocking would stop.
#[derive(Debug, Serialize)]
pub struct Stopped {
    /// How many accesses would have been stopped.
    pub accesses: u64,
    /// How many of them only copied a large piece of the configuration space.
    pub copies: u64,
    /// Where the others went.
    pub ranges: Vec<Unassigned>,
    /// What is known of these bytes.
    pub known: Vec<Note>,
    /// Those of them that no driver is known to need; nothing if it is not known which device it
    /// is.
    pub needed_by_none: Option<Vec<Unassigned>>,
    /// The whole of each register among them that a driver may fail without.
    pub needed: Vec<Unassigned>,
}

/// The evidence for the advice on a device.
#[derive(Debug, Serialize)]
pub struct Evidence {
    /// Sessions in the logs.
    pub sessions: u64,
    /// Those of them that are there from start to end.
    pub complete: u64,
    /// How many different holders there were.
    pub holders: usize,
    /// The virtual machines among them.
    pub vms: Vec<Vm>,
    /// The time of the earliest record.
    pub first: Stamp,
    /// That of the latest.
    pub last: Stamp,
    /// How many records were written and are not in the logs.
    pub missing_records: u64,
    /// The reasons why it is weak; none if it is not.
    pub weaknesses: Vec<String>,
}

/// Parameters to set.
#[derive(Debug, Serialize)]
pub struct Setting {
    /// The value of `uaccess_allow_ids` that keeps all of it working.
    pub uaccess_allow_ids: String,
    /// The value that excepts only what drivers are known to need.
    pub known_only: String,
    /// Devices that may need exceptions, but whose ids are unknown.
    pub unknown: Vec<String>,
}

impl Advice {
    /// Derives advice from a scan. `subject` identifies devices; `dangerous` warns of the toggles
    /// of a machine.
    pub fn new(
        scan: &Scan,
        subject: impl Fn(Option<&str>, Bdf) -> Option<Subject>,
        dangerous: impl Fn(Option<&str>) -> Option<&'static str>,
    ) -> Self {
        let devices: Vec<(DeviceAdvice, Option<Id>)> = scan
            .tally
            .devices()
            .map(|(node, bdf, device)| {
                let subject = subject(node, bdf);
                let id = subject.as_ref().map(|subject| subject.device.id);
                let vms = scan.tally.vms(node);
                (
                    DeviceAdvice::new(node, bdf, subject.as_ref(), device, vms),
                    id,
                )
            })
            .collect();
        Self {
            dangerous: scan.tally.devices().find_map(|(node, ..)| dangerous(node)),
            block_writes: Setting::new(&devices, &[|advice| &advice.writes]),
            block_both: Setting::new(&devices, &[|advice| &advice.writes, |advice| &advice.reads]),
            complaints: scan.broken + scan.failures.len() as u64 + scan.tally.passed_over(),
            devices: devices.into_iter().map(|(advice, _)| advice).collect(),
        }
    }

    /// The text.
    pub fn text(&self, zone: &Zone) -> String {
        let mut text = String::new();
        for device in &self.devices {
            text += &device.text(zone);
            text.push('\n');
        }
        if self.devices.iter().any(DeviceAdvice::is_suspicious) {
            text += "Accesses that no driver is known to need are suspicious: find out what makes \
                     them before you\n\
                     except them.\n\n";
        }
        if let Some(what) = self.dangerous {
            text += &format!("{what}\n\n");
        }
        for (what, parameters, setting) in [
            ("writes", &["write"][..], &self.block_writes),
            ("reads and writes", &["read", "write"], &self.block_both),
        ] {
            text += &format!("To block {what}, and keep all of the above working:\n");
            text += &setting.text(parameters);
        }
        if self.complaints > 0 {
            text += "Some of the logs could not be read: the missing records may need more \
                     exceptions.\n";
        }
        text
    }
}

impl DeviceAdvice {
    fn new(
        node: Option<&str>,
        bdf: Bdf,
        subject: Option<&Subject>,
        device: &Device,
        vms: &Vms,
    ) -> Self {
        Self {
            node: node.map(str::to_owned),
            device: bdf.to_string(),
            id: subject.map(|subject| subject.device.id.to_string()),
            writes: Stopped::new(device, Op::Write, subject),
            reads: Stopped::new(device, Op::Read, subject),
            only_reads_blocked: only_reads_blocked(device),
            evidence: Evidence::new(device, vms),
        }
    }

    /// Whether there are accesses that no driver is known to need.
    fn is_suspicious(&self) -> bool {
        let mut stopped = [&self.writes, &self.reads].into_iter();
        stopped.any(|stopped| {
            stopped
                .needed_by_none
                .as_ref()
                .is_some_and(|left| !left.is_empty())
        })
    }

    fn name(&self) -> String {
        match &self.node {
            Some(node) => format!("{} on {node}", self.device),
            None => self.device.clone(),
        }
    }

    fn text(&self, zone: &Zone) -> String {
        let id = self.id.as_deref().unwrap_or("of unknown id");
        let mut text = format!("{} {id}\n", self.name());
        text += &self.writes.text("writes", "discarded");
        text += &self.reads.text("reads", "answered with zeros");
        if !self.only_reads_blocked.is_empty() {
            text += &format!(
                "  DANGEROUS: reads of {} were blocked and writes were not: a driver that changed \
                 a bit there may have cleared the others\n",
                range_list(&self.only_reads_blocked)
            );
        }
        let Evidence {
            sessions,
            complete,
            holders,
            vms,
            first,
            last,
            weaknesses,
            ..
        } = &self.evidence;
        text += &format!(
            "  evidence: {} ({complete} complete) of {}, {} to {}\n",
            plural(*sessions, "session"),
            plural(*holders as u64, "holder"),
            zone.text(*first),
            zone.text(*last)
        );
        if !vms.is_empty() {
            let names: Vec<&str> = vms.iter().map(Vm::text).collect();
            text += &format!("    VMs: {}\n", names.join(", "));
        }
        for weakness in weaknesses {
            text += &format!("    weak: {weakness}\n");
        }
        text
    }
}

impl Stopped {
    fn new(device: &Device, op: Op, subject: Option<&Subject>) -> Self {
        let cell = device.cell(op, true);
        // Writes in large pieces restore a state, and that must not be lost.
        let (copies, ranges) = match op {
            Op::Read => (cell.copies, read_by_drivers(cell).ranges()),
            Op::Write => {
                let places = cell.places().into_iter();
                (0, places.map(|place| place.range).collect())
            }
        };
        let left = |subject| {
            let ranges = ranges.iter();
            let left = ranges.flat_map(|range| unknown(subject, range, op));
            left.map(|range| Unassigned::new(&range)).collect()
        };
        Self {
            accesses: cell.accesses(),
            copies,
            known: known(subject, &ranges, op),
            needed_by_none: subject.map(left),
            needed: subject.map_or(Vec::new(), |subject| {
                let ranges = ranges.iter();
                let needed = ranges.flat_map(|range| needed(subject, range, op));
                united(&needed.collect::<Vec<_>>())
                    .iter()
                    .map(Unassigned::new)
                    .collect()
            }),
            ranges: ranges.iter().map(Unassigned::new).collect(),
        }
    }

    /// How many accesses a driver may depend on.
    fn used(&self) -> u64 {
        self.accesses.saturating_sub(self.copies)
    }

    /// The bytes to except: those that were accessed, and all others of the registers that they are
    /// in.
    fn excepted(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let known = self.known.iter().filter_map(Note::register);
        self.ranges.iter().map(Unassigned::range).chain(known)
    }

    fn text(&self, what: &str, fate: &str) -> String {
        let mut text = match self.used() {
            0 => format!("  {what}: none\n"),
            used => format!(
                "  {what}: {} would have been {fate}\n    at {}\n",
                plural_es(used, "access"),
                self.places()
            ),
        };
        for note in &self.known {
            text += &format!("      {}\n", note.text);
        }
        if let Some(left @ [_, ..]) = self.needed_by_none.as_deref() {
            let which = match left == self.ranges {
                true => "any of them".to_owned(),
                false => range_list(left),
            };
            text += &format!("    no driver is known to need {which}\n");
        }
        if self.copies > 0 {
            text += &format!(
                "    not counted: {} of large pieces, as QEMU makes when it starts; zeros do no \
                 harm there\n",
                plural(self.copies, "read")
            );
        }
        text
    }

    fn places(&self) -> String {
        if self.ranges.is_empty() {
            return "bytes that the logs do not name".to_owned();
        }
        range_list(&self.ranges)
    }
}

fn range_list(ranges: &[Unassigned]) -> String {
    let ranges = ranges.iter().map(|range| range_text(&range.range()));
    ranges.collect::<Vec<_>>().join(", ")
}

/// The bytes that drivers read, without those that were only copied.
fn read_by_drivers(cell: &Cell) -> Touched {
    let mut read = cell.by_drivers.clone();
    read.merge(&cell.touched);
    read
}

/// The bytes of which reads were blocked while writes reached the device.
fn only_reads_blocked(device: &Device) -> Vec<Unassigned> {
    let (reads, writes) = (device.cell(Op::Read, false), device.cell(Op::Write, true));
    if !reads.overlaps(writes) {
        return Vec::new();
    }
    let read = read_by_drivers(reads);
    let mut written = Touched::default();
    for place in writes.places() {
        written.add(place.range);
    }
    let both = read.without(&read.without(&written)).ranges();
    both.iter().map(Unassigned::new).collect()
}

/// What is known of ranges, each thing once.
fn known(subject: Option<&Subject>, ranges: &[Range<usize>], op: Op) -> Vec<Note> {
    let mut all: Vec<Note> = subject
        .into_iter()
        .flat_map(|subject| ranges.iter().flat_map(|range| notes(subject, range, op)))
        .collect();
    // Several ranges may lie in one register.
    all.dedup_by(|a, b| a.text == b.text);
    all
}

impl Evidence {
    fn new(device: &Device, vms: &Vms) -> Self {
        let sessions = device.sessions.summary();
        let mut weaknesses = Vec::new();
        if sessions.complete < ENOUGH_SESSIONS {
            weaknesses.push(format!(
                "fewer than {ENOUGH_SESSIONS} complete sessions: drivers access most when a guest \
                 starts and stops"
            ));
        }
        let seen = device.watched;
        if device.clock_was_set {
            weaknesses
                .push("the clock was set during this time: the jump is not counted".to_owned());
        }
        if seen < ENOUGH_TIME {
            weaknesses.push(format!(
                "the logs cover {} only: record for a day or more",
                time::span(seen)
            ));
        }
        if sessions.missing > 0 {
            weaknesses.push(format!(
                "{} missing from the logs: they were rotated away, or the daemon dropped them",
                plural(sessions.missing, "record")
            ));
        }
        let (blocked_reads, blocked_writes) = (
            device.cell(Op::Read, false).accesses(),
            device.cell(Op::Write, false).accesses(),
        );
        if blocked_reads.saturating_add(blocked_writes) > 0 {
            weaknesses.push(format!(
                "{} and {} were already blocked: what the driver would have done after them is \
                 unknown",
                plural(blocked_reads, "read"),
                plural(blocked_writes, "write")
            ));
        }
        let mut names: Vec<Vm> = sessions
            .holders
            .iter()
            .filter_map(|held| vms.find(&held.holder, held.first, held.boot))
            .collect();
        names.sort();
        names.dedup();
        Self {
            vms: names,
            sessions: sessions.count,
            complete: sessions.complete,
            holders: sessions.holders.len(),
            first: Stamp(device.first),
            last: Stamp(device.last),
            missing_records: sessions.missing,
            weaknesses,
        }
    }
}

impl Setting {
    fn new(
        devices: &[(DeviceAdvice, Option<Id>)],
        blocked: &[fn(&DeviceAdvice) -> &Stopped],
    ) -> Self {
        let mut all = Exceptions::default();
        let mut known_only = Exceptions::default();
        let mut unknown = Vec::new();
        for (advice, id) in devices {
            let stopped = blocked.iter().map(|pick| pick(advice));
            let stopped: Vec<&Stopped> = stopped.filter(|stopped| stopped.used() > 0).collect();
            match id {
                Some(id) => {
                    for stopped in stopped {
                        stopped.excepted().for_each(|range| all.add(*id, range));
                        let needed = stopped.needed.iter().map(Unassigned::range);
                        needed.for_each(|range| known_only.add(*id, range));
                    }
                }
                None if stopped.is_empty() => {}
                None => unknown.push(advice.name()),
            }
        }
        Self {
            uaccess_allow_ids: all.to_string(),
            known_only: known_only.to_string(),
            unknown,
        }
    }

    fn text(&self, ops: &[&str]) -> String {
        let mut text = options(ops, &self.uaccess_allow_ids);
        for device in &self.unknown {
            text += &format!("  {device} may need more: its id is unknown here (--id names it)\n");
        }
        if self.known_only != self.uaccess_allow_ids {
            text += "  or, to except only what drivers are known to need:\n";
            text += &options(ops, &self.known_only);
        }
        text
    }
}

/// A line for /etc/modprobe.d.
fn options(ops: &[&str], list: &str) -> String {
    let mut text = String::from("  options vfio_pci_audit");
    for op in ops {
        text += &format!(" block_pci_unassigned_{op}=Y");
    }
    if !list.is_empty() {
        text += &format!(" uaccess_allow_ids={list}");
    }
    text.push('\n');
    if let Some(why) = too_long_for(list) {
        text += &format!("  ({why})\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read() {
        let bdf: Bdf = "01:00.0".parse().unwrap();
        let here = parse_id("01:00.0=8086:10D3").unwrap();
        assert_eq!(here, ((None, bdf), Id::new(0x8086, 0x10d3)));
        let there = parse_id("host1/01:00.0=10de:1eb8").unwrap();
        assert_eq!(there.0, (Some("host1".into()), bdf));
        let ids: Ids = [here, there].into_iter().collect();
        let nvidia = Some(Id::new(0x10de, 0x1eb8));
        assert_eq!(said(&ids, Some("host1"), bdf), nvidia);
        assert_eq!(
            said(&ids, Some("host2"), bdf),
            Some(Id::new(0x8086, 0x10d3))
        );
        assert_eq!(said(&ids, None, bdf), Some(Id::new(0x8086, 0x10d3)));
        for text in [
            "",
            "01:00.0",
            "01:00.0=",
            "01:00.0=8086",
            "x=8086:10d3",
            "01:00.0=1:2,3:4",
        ] {
            assert!(parse_id(text).is_err(), "{text}");
        }
    }
}
