// SPDX-License-Identifier: GPL-2.0

//! Accesses and sessions as rows for the database that a fleet has: JSON, a row a line.
//!
//! Logs are read twice: libvirt tells of a machine only after it opened its devices.

use std::collections::HashMap;
use std::io::{self, Write};

use anyhow::Result;
use pci_config::Bdf;
use serde::Serialize;

use crate::filter::Key;
use crate::record::{Kind, Record, SessionField};
use crate::report::TotalsReport;
use crate::scan::{Logs, Options, Scan};
use crate::session::Session;
use crate::time::Stamp;
use crate::words::result_text;

/// Which rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Which {
    /// One for each record of accesses.
    pub accesses: bool,
    /// One for each session.
    pub sessions: bool,
}

/// What is known of who held a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Who {
    /// The virtual machine's name.
    vm: Option<String>,
    /// Its UUID.
    uuid: Option<String>,
    /// The program of the process that held the device first.
    program: Option<String>,
    /// That process.
    pid: Option<u64>,
}

/// A row of accesses.
#[derive(Debug, Serialize)]
struct AccessRow<'a> {
    kind: &'static str,
    time: Stamp,
    host: Option<&'a str>,
    device: String,
    session: Option<u64>,
    /// Audit's number of the event; with host and time it tells the row from others.
    serial: u64,
    op: String,
    result: &'static str,
    /// The first byte; nothing for a number of accesses without a record of their own.
    offset: Option<usize>,
    /// How many bytes.
    size: Option<usize>,
    /// How many accesses.
    count: u64,
    /// How many more audit refused.
    lost: u64,
    #[serde(flatten)]
    who: &'a Who,
}

/// A row of a session.
#[derive(Debug, Serialize)]
struct SessionRow<'a> {
    kind: &'static str,
    first: Stamp,
    last: Stamp,
    host: Option<&'a str>,
    device: String,
    session: Option<u64>,
    /// Whether the logs have its start and its end.
    complete: bool,
    /// Whether this is the end of several sessions in one, and the totals are theirs.
    several: bool,
    /// Whether it has no end of its own, and its totals are in an end of several sessions.
    ended_with_others: bool,
    recorded: u64,
    missing_records: u64,
    /// How many processes made accesses.
    holders: u64,
    #[serde(flatten)]
    who: &'a Who,
    #[serde(flatten)]
    totals: Option<TotalsReport>,
}

/// Finds who held a device by one of its sessions.
#[derive(Default)]
struct Holders {
    numbered: HashMap<(String, Bdf, u64, u64), Who>,
    spans: HashMap<(String, Bdf), Vec<(Key, Who)>>,
    unknown: Who,
}

impl Holders {
    fn new(scan: &Scan) -> Self {
        let mut all = Self::default();
        for (node, bdf, device) in scan.tally.devices() {
            let name = node.unwrap_or_default().to_owned();
            let vms = scan.tally.vms(node);
            let sessions = device.sessions.recent().into_iter();
            for session in sessions.filter(|session| !session.several) {
                let vm = session.vm(vms, bdf);
                let first = session.holders.first();
                let who = Who {
                    vm: vm.as_ref().and_then(|vm| vm.name.clone()),
                    uuid: vm.and_then(|vm| vm.uuid),
                    program: first.map(|holder| holder.name().to_owned()),
                    pid: first.and_then(|holder| holder.pid),
                };
                let key = session.key();
                match key.number {
                    Some(number) => {
                        all.numbered
                            .insert((name.clone(), bdf, number, key.boot), who);
                    }
                    None => {
                        let spans = all.spans.entry((name.clone(), bdf)).or_default();
                        spans.push((key, who));
                    }
                }
            }
        }
        all
    }

    fn of(
        &self,
        node: Option<&str>,
        bdf: Bdf,
        session: SessionField,
        boot: u64,
        time: u64,
    ) -> &Who {
        let name = node.unwrap_or_default().to_owned();
        let found = match session {
            SessionField::None => None,
            SessionField::Number(number) => self.numbered.get(&(name, bdf, number, boot)),
            SessionField::Unsaid => self.spans.get(&(name, bdf)).and_then(|spans| {
                // They are in the order of their starts.
                let after = spans.partition_point(|(key, _)| key.first <= time);
                let (key, who) = spans[..after].last()?;
                (time <= key.last && boot == key.boot).then_some(who)
            }),
        };
        found.unwrap_or(&self.unknown)
    }
}

/// Write the rows of logs. `host` is the machine of records that do not name theirs.
pub fn rows(
    logs: &Logs,
    options: &Options,
    which: Which,
    host: Option<&str>,
    out: &mut impl Write,
) -> Result<Scan> {
    let holders = Holders::new(&logs.scan_all(options));
    let options = logs.chosen(options);
    let mut failure = None;
    let scan = logs.scan(&options, &mut |record, boot| {
        if which.accesses && failure.is_none() {
            failure = access(record, boot, &holders, host, out).err();
        }
    });
    if let Some(error) = failure {
        return Err(error.into());
    }
    if which.sessions {
        for (node, bdf, device) in scan.tally.devices() {
            for session in device.sessions.recent() {
                let over = device.sessions.ended_with_others(session);
                session_row(node, bdf, (session, over), &holders, host, out)?;
            }
        }
    }
    Ok(scan)
}

fn line(row: &impl Serialize, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, row)?;
    out.write_all(b"\n")
}

fn access(
    record: &Record<'_>,
    boot: u64,
    holders: &Holders,
    host: Option<&str>,
    out: &mut impl Write,
) -> io::Result<()> {
    let (kind, place, count, lost) = match record.kind {
        Kind::Access { offset, size, .. } => ("access", Some((offset, size)), 1, 0),
        Kind::Suppressed { count, lost, .. } => ("suppressed", None, count, lost),
        Kind::Touched { offset, size, .. } => ("touched", Some((offset, size)), 0, 0),
        Kind::Open | Kind::Close(_) => return Ok(()),
    };
    let (Some(op), Some(allowed)) = (record.kind.op(), record.res) else {
        return Ok(());
    };
    let (node, bdf) = (record.node, record.device);
    let row = AccessRow {
        kind,
        time: Stamp(record.time),
        host: node.or(host),
        device: bdf.to_string(),
        session: match record.session {
            SessionField::Number(number) => Some(number),
            SessionField::None | SessionField::Unsaid => None,
        },
        serial: record.serial,
        op: op.to_string(),
        result: result_text(allowed),
        offset: place.map(|(offset, _)| offset),
        size: place.map(|(_, size)| size),
        count,
        lost,
        who: holders.of(node, bdf, record.session, boot, record.time),
    };
    line(&row, out)
}

fn session_row(
    node: Option<&str>,
    bdf: Bdf,
    (session, ended_with_others): (&Session, bool),
    holders: &Holders,
    host: Option<&str>,
    out: &mut impl Write,
) -> io::Result<()> {
    let key = session.key();
    let field = match key.number {
        Some(number) => SessionField::Number(number),
        None if session.several => SessionField::None,
        None => SessionField::Unsaid,
    };
    let row = SessionRow {
        kind: "session",
        first: Stamp(session.first),
        last: Stamp(session.last),
        host: node.or(host),
        device: bdf.to_string(),
        session: session.number,
        complete: session.is_complete(),
        several: session.several,
        ended_with_others,
        recorded: session.recorded,
        missing_records: session.missing(),
        holders: session.holders.len() as u64 + session.more_holders,
        who: holders.of(node, bdf, field, key.boot, session.first),
        totals: session.totals.map(TotalsReport::new),
    };
    line(&row, out)
}
