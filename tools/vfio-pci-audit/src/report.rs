// SPDX-License-Identifier: GPL-2.0

//! What logs tell of each device.

use std::io;

use serde::Serialize;

use crate::holder::Holder;
use crate::known::knowledge::{notes, Note};
use crate::known::machine::Machine;
use crate::known::subject::Subject;
use crate::record::Op;
use crate::scan::{BrokenLine, Failure, Scan};
use crate::session::{Held, Session};
use crate::tally::{Cell, Device, Place};
use crate::time;
use crate::words::result_text;

/// Everything that is told, in the order in which it is.
#[derive(Debug, Serialize)]
pub struct Report {
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
    /// The time of the earliest record.
    pub first: Option<String>,
    /// That of the latest.
    pub last: Option<String>,
    /// Every device.
    pub devices: Vec<DeviceReport>,
}

/// One device.
#[derive(Debug, Serialize)]
pub struct DeviceReport {
    /// The machine that it is in, where records say so.
    pub node: Option<String>,
    /// Its address.
    pub device: String,
    /// The time of its earliest record.
    pub first: String,
    /// That of its latest.
    pub last: String,
    /// Its sessions.
    pub sessions: SessionsReport,
    /// Accesses by operation and result; only those of which there were any.
    pub accesses: Vec<AccessReport>,
}

/// The sessions of a device.
#[derive(Debug, Serialize)]
pub struct SessionsReport {
    /// How many.
    pub count: u64,
    /// How many have their start and their end in the logs.
    pub complete: u64,
    /// Whether the last one has no end in the logs.
    pub open: bool,
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
#[derive(Debug, Serialize)]
pub struct HolderReport {
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
    /// The process that held it last.
    pub last_pid: Option<u64>,
    /// How many sessions.
    pub sessions: u64,
    /// How many accesses in them have a record.
    pub recorded: u64,
    /// When the first session began.
    pub first: String,
    /// The time of the last record.
    pub last: String,
}

/// One session.
#[derive(Debug, Serialize)]
pub struct SessionReport {
    /// The time of its first record.
    pub first: String,
    /// That of its last one.
    pub last: String,
    /// The name of the process that held the device.
    pub comm: Option<String>,
    /// The process.
    pub pid: Option<u64>,
    /// How many of its accesses have a record in the logs.
    pub recorded: u64,
    /// What the session said at its end.
    pub totals: Option<TotalsReport>,
}

/// The totals of a session.
#[derive(Debug, Serialize)]
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
#[derive(Debug, Serialize)]
pub struct AccessReport {
    /// "read" or "write".
    pub op: String,
    /// "allowed" or "blocked".
    pub result: &'static str,
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
#[derive(Debug, Serialize)]
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
    #[serde(skip_serializing_if = "Vec::is_empty")]
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
            files: scan.files,
            lines: scan.lines,
            records: scan.tally.records(),
            broken_lines: scan.broken,
            broken: scan.named.clone(),
            failures: scan.failures.clone(),
            first: bounds(|d| d.first).into_iter().min().map(time::stamp),
            last: bounds(|d| d.last).into_iter().max().map(time::stamp),
            devices: scan
                .tally
                .devices()
                .map(|(node, bdf, device)| {
                    let subject = machine.subject(node, bdf);
                    DeviceReport::new(node, &bdf.to_string(), device, subject.as_ref())
                })
                .collect(),
        }
    }

    /// As one table: a line for each operation and result of a device, with the totals and no offset, and one for
    /// each range.
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
        ])?;
        for device in &self.devices {
            let node = device.node.as_deref().unwrap_or_default();
            for access in &device.accesses {
                let start = [node, &device.device, &access.op, access.result];
                let row = |rest: [String; 6]| {
                    start
                        .iter()
                        .map(|field| (*field).to_owned())
                        .chain(rest)
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
    fn new(node: Option<&str>, bdf: &str, device: &Device, subject: Option<&Subject>) -> Self {
        let sessions = &device.sessions;
        Self {
            node: node.map(str::to_owned),
            device: bdf.to_owned(),
            first: time::stamp(device.first),
            last: time::stamp(device.last),
            sessions: SessionsReport {
                count: sessions.count,
                complete: sessions.complete,
                open: sessions.is_open(),
                missing_records: sessions.missing,
                holders: sessions.holders.iter().map(HolderReport::new).collect(),
                by_others: sessions.by_others,
                recent: sessions.recent().map(SessionReport::new).collect(),
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
    fn new(held: &Held) -> Self {
        let Holder {
            pid,
            uid,
            auid,
            comm,
            exe,
            subj,
        } = held.holder.clone();
        Self {
            comm,
            exe,
            uid,
            auid,
            subj,
            last_pid: pid,
            sessions: held.sessions,
            recorded: held.recorded,
            first: time::stamp(held.first),
            last: time::stamp(held.last),
        }
    }
}

impl SessionReport {
    fn new(session: &Session) -> Self {
        Self {
            first: time::stamp(session.first),
            last: time::stamp(session.last),
            comm: session.holder.as_ref().map(|holder| holder.comm.clone()),
            pid: session.holder.as_ref().and_then(|holder| holder.pid),
            recorded: session.recorded,
            totals: session.totals.map(|totals| TotalsReport {
                reads: totals.reads,
                writes: totals.writes,
                blocked_reads: totals.blocked_reads,
                blocked_writes: totals.blocked_writes,
                records: totals.records,
                suppressed: totals.suppressed,
                lost: totals.lost,
            }),
        }
    }
}

impl AccessReport {
    fn new(op: Op, allowed: bool, cell: &Cell, subject: Option<&Subject>) -> Self {
        Self {
            op: op.to_string(),
            result: result_text(allowed),
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
