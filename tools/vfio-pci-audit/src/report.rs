// SPDX-License-Identifier: GPL-2.0

//! What logs tell of each device.

use std::io;

use pci_config::Bdf;
use serde::{Deserialize, Serialize};

use crate::holder::Holder;
use crate::known::knowledge::{notes, Note};
use crate::known::machine::Machine;
use crate::known::subject::Subject;
use crate::record::{Op, Totals};
use crate::scan::{BrokenLine, Failure, Scan};
use crate::session::Session;
use crate::sessions::Held;
use crate::tally::{Cell, Device, Place};
use crate::time::Stamp;
use crate::vms::{Vm, Vms};
use crate::words::result_text;

/// The report, in the order in which it is printed.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Report {
    /// The machine that the report was made on.
    pub host: Option<String>,
    /// How many logs were read.
    pub files: usize,
    /// How many lines they have, of any type.
    pub lines: u64,
    /// How many of those are PCI records.
    pub records: u64,
    /// How many lines cannot be read.
    pub broken_lines: u64,
    /// The first of them.
    pub broken: Vec<BrokenLine>,
    /// The logs that cannot be read to their end.
    pub failures: Vec<Failure>,
    /// How many records two logs have; they count once.
    pub twice: u64,
    /// The time of the earliest record.
    pub first: Option<Stamp>,
    /// That of the latest.
    pub last: Option<Stamp>,
    /// Every device.
    pub devices: Vec<DeviceReport>,
}

/// One device.
#[derive(Debug, Deserialize, Serialize)]
pub struct DeviceReport {
    /// The machine that it is in, where records say so.
    pub node: Option<String>,
    /// Its address.
    pub device: String,
    /// The time of its earliest record.
    pub first: Stamp,
    /// That of its latest.
    pub last: Stamp,
    /// Its sessions.
    pub sessions: SessionsReport,
    /// Accesses by operation and result; only those of which there were any.
    pub accesses: Vec<AccessReport>,
}

/// The sessions of a device.
#[derive(Debug, Deserialize, Serialize)]
pub struct SessionsReport {
    /// How many.
    pub count: u64,
    /// How many have their start and their end in the logs.
    pub complete: u64,
    /// Whether the last one has no end in the logs.
    pub open: bool,
    /// How many ends there are that are each of several sessions.
    #[serde(default)]
    pub several: u64,
    /// How many records complete sessions wrote that are not in the logs.
    pub missing_records: u64,
    /// Who held the device.
    pub holders: Vec<HolderReport>,
    /// Sessions of holders that are too many to tell apart.
    pub by_others: u64,
    /// The last sessions, one by one.
    pub recent: Vec<SessionReport>,
}

/// Who held a device.
#[derive(Debug, Deserialize, Serialize)]
pub struct HolderReport {
    /// The virtual machine that it was; nothing if it was none, or the logs do not say.
    pub vm: Option<Vm>,
    /// What people call it: its program's name.
    pub name: String,
    /// The name of the process.
    pub comm: String,
    /// Its program.
    pub exe: String,
    /// Its user.
    pub uid: Option<u64>,
    /// The user who logged in to start it.
    pub auid: Option<u64>,
    /// Its security context.
    pub subj: String,
    /// The process.
    pub last_pid: Option<u64>,
    /// How many sessions.
    pub sessions: u64,
    /// How many accesses in them have a record.
    pub recorded: u64,
    /// When the first session began.
    pub first: Stamp,
    /// The time of the last record.
    pub last: Stamp,
}

/// One session.
#[derive(Debug, Deserialize, Serialize)]
pub struct SessionReport {
    /// The virtual machine that held the device; nothing if it was none, or the logs do not say.
    pub vm: Option<Vm>,
    /// The time of its first record.
    pub first: Stamp,
    /// That of its last one.
    pub last: Stamp,
    /// Its number; nothing from a kernel that gives none.
    pub session: Option<u64>,
    /// Whether this is the end of several sessions in one, and the totals are theirs.
    #[serde(default)]
    pub several: bool,
    /// Whether it has no end of its own, and its totals are in an end of several sessions.
    #[serde(default)]
    pub ended_with_others: bool,
    /// The name of the process that held the device first.
    pub comm: Option<String>,
    /// That process.
    pub pid: Option<u64>,
    /// Every process that made accesses, the first first.
    pub holders: Vec<ProcessReport>,
    /// How many more there were.
    pub more_holders: u64,
    /// How many of its accesses have a record in the logs.
    pub recorded: u64,
    /// How many records of a whole session were written and are not in the logs.
    pub missing_records: u64,
    /// What the session said at its end.
    pub totals: Option<TotalsReport>,
}

/// A process that made accesses of a session.
#[derive(Debug, Deserialize, Serialize)]
pub struct ProcessReport {
    /// What people call it: its program's name.
    pub name: String,
    /// Its name, or that of one of its threads.
    pub comm: String,
    /// Its program.
    pub exe: String,
    /// Its number.
    pub pid: Option<u64>,
}

impl ProcessReport {
    fn new(holder: &Holder) -> Self {
        Self {
            name: holder.name().to_owned(),
            comm: holder.comm.clone(),
            exe: holder.exe.clone(),
            pid: holder.pid,
        }
    }
}

/// The totals of a session.
#[derive(Debug, Deserialize, Serialize)]
#[allow(missing_docs)]
pub struct TotalsReport {
    pub reads: u64,
    pub writes: u64,
    pub blocked_reads: u64,
    pub blocked_writes: u64,
    pub records: u64,
    pub suppressed: u64,
    pub lost: u64,
}

/// Accesses of one operation with one result.
#[derive(Debug, Deserialize, Serialize)]
pub struct AccessReport {
    /// "read" or "write".
    pub op: String,
    /// "allowed" or "blocked".
    pub result: String,
    /// How many have a record of their own.
    pub recorded: u64,
    /// How many were over the limit.
    pub suppressed: u64,
    /// How many audit refused.
    pub lost: u64,
    /// Where.
    pub ranges: Vec<RangeReport>,
}

/// Bytes that were accessed.
#[derive(Debug, Deserialize, Serialize)]
pub struct RangeReport {
    /// The first one.
    pub offset: usize,
    /// How many.
    pub size: usize,
    /// How many accesses with a record began there.
    pub recorded: u64,
    /// Whether accesses without a record of their own were made there, too.
    pub more: bool,
    /// What is known of these bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<Note>,
}

impl Report {
    /// What a scan found, of devices that a machine may have.
    pub fn new(scan: &Scan, machine: &Machine) -> Self {
        let bounds = |pick: fn(&Device) -> u64| {
            let times: Vec<u64> = scan.tally.devices().map(|(_, _, d)| pick(d)).collect();
            times
        };
        Self {
            host: None,
            files: scan.files,
            lines: scan.lines,
            records: scan.tally.records(),
            broken_lines: scan.broken,
            broken: scan.named.clone(),
            failures: scan.failures.clone(),
            twice: scan.twice,
            first: bounds(|d| d.first).into_iter().min().map(Stamp),
            last: bounds(|d| d.last).into_iter().max().map(Stamp),
            devices: scan
                .tally
                .devices()
                .map(|(node, bdf, device)| {
                    let subject = machine.subject(node, bdf);
                    let vms = scan.tally.vms(node);
                    DeviceReport::new(node, bdf, device, vms, subject.as_ref())
                })
                .collect(),
        }
    }

    /// As one table: a line for each operation and result of a device, with the totals and no
    /// offset, and one for each range.
    pub fn csv(&self, out: impl io::Write) -> csv::Result<()> {
        let mut table = csv::Writer::from_writer(out);
        table.write_record([
            "node",
            "device",
            "op",
            "result",
            "offset",
            "size",
            "recorded",
            "suppressed",
            "lost",
            "more",
            "vms",
            "uuids",
        ])?;
        for device in &self.devices {
            let node = device.node.as_deref().unwrap_or_default();
            let vms = device.vms();
            for access in &device.accesses {
                let start = [node, &device.device, &access.op, &access.result];
                let row = |rest: [String; 6]| {
                    start
                        .iter()
                        .map(|field| (*field).to_owned())
                        .chain(rest)
                        .chain(vms.clone())
                        .collect::<Vec<_>>()
                };
                table.write_record(row([
                    String::new(),
                    String::new(),
                    access.recorded.to_string(),
                    access.suppressed.to_string(),
                    access.lost.to_string(),
                    String::new(),
                ]))?;
                for range in &access.ranges {
                    table.write_record(row([
                        format!("{:#x}", range.offset),
                        range.size.to_string(),
                        range.recorded.to_string(),
                        String::new(),
                        String::new(),
                        if range.more { "yes" } else { "no" }.to_owned(),
                    ]))?;
                }
            }
        }
        table.flush()?;
        Ok(())
    }
}

impl DeviceReport {
    /// What people call it.
    pub fn name(&self) -> String {
        match &self.node {
            Some(node) => format!("{} on {node}", self.device),
            None => self.device.clone(),
        }
    }

    /// Names and UUIDs of the virtual machines that held it, each as one field of a table.
    fn vms(&self) -> [String; 2] {
        let mut vms: Vec<&Vm> = self
            .sessions
            .holders
            .iter()
            .filter_map(|holder| holder.vm.as_ref())
            .chain(self.sessions.recent.iter().filter_map(|s| s.vm.as_ref()))
            .collect();
        vms.sort();
        vms.dedup();
        let join = |field: fn(&Vm) -> Option<&String>| {
            let all: Vec<&str> = vms
                .iter()
                .map(|vm| field(vm).map_or("", String::as_str))
                .collect();
            all.join(" ")
        };
        [join(|vm| vm.name.as_ref()), join(|vm| vm.uuid.as_ref())]
    }

    fn new(
        node: Option<&str>,
        bdf: Bdf,
        device: &Device,
        vms: &Vms,
        subject: Option<&Subject>,
    ) -> Self {
        let sessions = &device.sessions;
        let all = sessions.summary();
        Self {
            node: node.map(str::to_owned),
            device: bdf.to_string(),
            first: Stamp(device.first),
            last: Stamp(device.last),
            sessions: SessionsReport {
                count: all.count,
                complete: all.complete,
                open: sessions.is_open(),
                several: all.several,
                missing_records: all.missing,
                holders: all
                    .holders
                    .iter()
                    .map(|held| HolderReport::new(held, vms))
                    .collect(),
                by_others: all.by_others,
                recent: sessions
                    .recent()
                    .into_iter()
                    .map(|session| SessionReport {
                        ended_with_others: sessions.ended_with_others(session),
                        ..SessionReport::new(session, session.vm(vms, bdf))
                    })
                    .collect(),
            },
            accesses: device
                .cells()
                .filter(|(_, _, cell)| cell.accesses() > 0 || !cell.places().is_empty())
                .map(|(op, allowed, cell)| AccessReport::new(op, allowed, cell, subject))
                .collect(),
        }
    }
}

impl HolderReport {
    fn new(held: &Held, vms: &Vms) -> Self {
        let name = held.holder.name().to_owned();
        let Holder {
            pid,
            uid,
            auid,
            comm,
            exe,
            subj,
        } = held.holder.clone();
        Self {
            vm: vms.find(&held.holder, held.first, held.boot),
            name,
            comm,
            exe,
            uid,
            auid,
            subj,
            last_pid: pid,
            sessions: held.sessions,
            recorded: held.recorded,
            first: Stamp(held.first),
            last: Stamp(held.last),
        }
    }
}

impl SessionReport {
    fn new(session: &Session, vm: Option<Vm>) -> Self {
        Self {
            vm,
            first: Stamp(session.first),
            last: Stamp(session.last),
            session: session.number,
            several: session.several,
            ended_with_others: false,
            comm: session.holders.first().map(|holder| holder.comm.clone()),
            pid: session.holders.first().and_then(|holder| holder.pid),
            holders: session.holders.iter().map(ProcessReport::new).collect(),
            more_holders: session.more_holders,
            recorded: session.recorded,
            missing_records: session.missing(),
            totals: session.totals.map(TotalsReport::new),
        }
    }
}

impl TotalsReport {
    /// Totals as a value.
    pub fn new(totals: Totals) -> Self {
        Self {
            reads: totals.reads,
            writes: totals.writes,
            blocked_reads: totals.blocked_reads,
            blocked_writes: totals.blocked_writes,
            records: totals.records,
            suppressed: totals.suppressed,
            lost: totals.lost,
        }
    }
}

impl AccessReport {
    fn new(op: Op, allowed: bool, cell: &Cell, subject: Option<&Subject>) -> Self {
        Self {
            op: op.to_string(),
            result: result_text(allowed).to_owned(),
            recorded: cell.recorded,
            suppressed: cell.suppressed,
            lost: cell.lost,
            ranges: cell
                .places()
                .iter()
                .map(|place| RangeReport::new(place, op, subject))
                .collect(),
        }
    }
}

impl RangeReport {
    /// A place as a value.
    pub fn new(place: &Place, op: Op, subject: Option<&Subject>) -> Self {
        Self {
            offset: place.range.start,
            size: place.range.len(),
            recorded: place.recorded,
            more: place.more,
            known: subject.map_or(Vec::new(), |subject| notes(subject, &place.range, op)),
        }
    }
}
