// SPDX-License-Identifier: GPL-2.0

//! What logs tell of each device.

use std::fmt::{self, Write as _};
use std::io;

use serde::Serialize;

use crate::picture;
use crate::record::{Holder, Op};
use crate::scan::{BrokenLine, Failure, Scan};
use crate::session::{Held, Session};
use crate::tally::{Cell, Device, Place};
use crate::time;

/// The most places of one operation and result that the text has. JSON and CSV have all.
const MAX_PLACES: usize = 20;

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
}

/// "allowed" or "blocked".
pub fn result_text(allowed: bool) -> &'static str {
    match allowed {
        true => "allowed",
        false => "blocked",
    }
}

/// `0x298`, or `0x298-0x29b`: the bytes as people name them.
pub fn range_text(range: &std::ops::Range<usize>) -> String {
    match range.len() {
        1 => format!("{:#05x}", range.start),
        _ => format!("{:#05x}-{:#05x}", range.start, range.end - 1),
    }
}

impl Report {
    /// What a scan found.
    pub fn new(scan: &Scan) -> Self {
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
                .map(|(node, bdf, device)| DeviceReport::new(node, &bdf.to_string(), device))
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
    fn new(node: Option<&str>, bdf: &str, device: &Device) -> Self {
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
                .map(|(op, allowed, cell)| AccessReport::new(op, allowed, cell))
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
    fn new(op: Op, allowed: bool, cell: &Cell) -> Self {
        Self {
            op: op.to_string(),
            result: result_text(allowed),
            recorded: cell.recorded,
            suppressed: cell.suppressed,
            lost: cell.lost,
            ranges: cell.places().iter().map(RangeReport::new).collect(),
        }
    }
}

impl RangeReport {
    /// A place as a value.
    pub fn new(place: &Place) -> Self {
        Self {
            offset: place.range.start,
            size: place.range.len(),
            recorded: place.recorded,
            more: place.more,
        }
    }
}

/// The text. With `heat`, each device has pictures of where its accesses went.
pub fn text(scan: &Scan, heat: bool) -> String {
    let report = Report::new(scan);
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = report.write_text(&mut text, |text, index| {
        let device = scan.tally.devices().nth(index);
        match device.filter(|_| heat) {
            Some((_, _, device)) => text.write_str(&picture::heat(device)),
            None => Ok(()),
        }
    });
    text
}

impl Report {
    fn write_text(
        &self,
        out: &mut String,
        picture: impl Fn(&mut String, usize) -> fmt::Result,
    ) -> fmt::Result {
        write!(
            out,
            "{} of {} in {}",
            plural(self.records, "PCI record"),
            plural(self.lines, "line"),
            plural(self.files as u64, "log")
        )?;
        match (&self.first, &self.last) {
            (Some(first), Some(last)) => writeln!(out, ", {first} to {last}")?,
            _ => writeln!(out)?,
        }
        for (index, device) in self.devices.iter().enumerate() {
            writeln!(out)?;
            device.write_text(out)?;
            picture(out, index)?;
        }
        Ok(())
    }
}

/// A number, and what it counts.
pub fn plural(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

impl DeviceReport {
    fn write_text(&self, out: &mut String) -> fmt::Result {
        write!(out, "{}", self.device)?;
        if let Some(node) = &self.node {
            write!(out, " on {node}")?;
        }
        writeln!(out, ": {} to {}", self.first, self.last)?;
        self.sessions.write_text(out)?;
        if self.accesses.is_empty() {
            return writeln!(out, "  accesses  none");
        }
        writeln!(
            out,
            "  accesses            recorded  suppressed        lost"
        )?;
        for access in &self.accesses {
            writeln!(
                out,
                "    {:5} {:8} {:>10}  {:>10}  {:>10}",
                access.op, access.result, access.recorded, access.suppressed, access.lost
            )?;
            for range in access.ranges.iter().take(MAX_PLACES) {
                let bytes = range_text(&(range.offset..range.offset + range.size));
                let more = match range.more {
                    true => " and more without a record",
                    false => "",
                };
                writeln!(out, "      {bytes:12} {:>10}{more}", range.recorded)?;
            }
            let left = access.ranges.len().saturating_sub(MAX_PLACES);
            if left > 0 {
                writeln!(
                    out,
                    "      and {} (--format csv has all)",
                    plural(left as u64, "more range")
                )?;
            }
        }
        Ok(())
    }
}

impl SessionsReport {
    fn write_text(&self, out: &mut String) -> fmt::Result {
        let open = match self.open {
            true => ", the last has no end here",
            false => "",
        };
        writeln!(
            out,
            "  sessions  {}, {} of them whole{open}",
            self.count, self.complete
        )?;
        if self.missing_records > 0 {
            writeln!(
                out,
                "            {} of theirs not here, though written",
                plural(self.missing_records, "record")
            )?;
        }
        for holder in &self.holders {
            holder.write_text(out)?;
        }
        if self.by_others > 0 {
            writeln!(
                out,
                "  held by   others: {}",
                plural(self.by_others, "session")
            )?;
        }
        for session in &self.recent {
            session.write_text(out)?;
        }
        Ok(())
    }
}

impl HolderReport {
    fn write_text(&self, out: &mut String) -> fmt::Result {
        write!(out, "  held by   {} ({})", self.comm, self.exe)?;
        for (name, value) in [("uid", self.uid), ("auid", self.auid)] {
            if let Some(value) = value {
                write!(out, ", {name} {value}")?;
            }
        }
        if !matches!(&*self.subj, "" | "?" | "unconfined" | "(null)") {
            write!(out, ", {}", self.subj)?;
        }
        write!(out, ": {}", plural(self.sessions, "session"))?;
        if let Some(pid) = self.last_pid {
            write!(out, ", pid {pid}")?;
        }
        writeln!(out, ", {} recorded", plural_es(self.recorded, "access"))
    }
}

/// The same for words that end with s.
pub fn plural_es(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}es"),
    }
}

impl SessionReport {
    fn write_text(&self, out: &mut String) -> fmt::Result {
        let comm = self.comm.as_deref().unwrap_or("start not here");
        write!(out, "  session   {} to {}, {comm}", self.first, self.last)?;
        if let Some(pid) = self.pid {
            write!(out, " {pid}")?;
        }
        match &self.totals {
            Some(totals) => writeln!(
                out,
                ": {} ({} blocked), {} ({} blocked), {} recorded, {} suppressed, {} lost",
                plural(totals.reads, "read"),
                totals.blocked_reads,
                plural(totals.writes, "write"),
                totals.blocked_writes,
                totals.records,
                totals.suppressed,
                totals.lost
            ),
            None => writeln!(
                out,
                ": end not here, {} recorded",
                plural_es(self.recorded, "access")
            ),
        }
    }
}
