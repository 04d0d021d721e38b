// SPDX-License-Identifier: GPL-2.0

//! Accesses and sessions as rows of tables: what is exported, and what is told while it happens.

use pci_config::Bdf;
use serde::Serialize;

use crate::holder::Holder;
use crate::record::{Kind, Record, SessionField};
use crate::report::TotalsReport;
use crate::session::Session;
use crate::time::Stamp;
use crate::vms::Vm;
use crate::words::{op_text, result_text};

/// What is known of who held a device or made an access.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Who {
    /// The virtual machine's name.
    pub vm: Option<String>,
    /// Its UUID.
    pub uuid: Option<String>,
    /// The program of the process; of a session, of the one that held the device first.
    pub program: Option<String>,
    /// That process.
    pub pid: Option<u64>,
}

impl Who {
    /// A process, and the virtual machine that it is.
    pub fn new(holder: Option<&Holder>, vm: Option<Vm>) -> Self {
        let (vm, uuid) = vm.map_or((None, None), |vm| (vm.name, vm.uuid));
        Self {
            vm,
            uuid,
            program: holder.map(|holder| holder.name().to_owned()),
            pid: holder.and_then(|holder| holder.pid),
        }
    }

    /// As people read it.
    pub fn text(&self) -> String {
        let program = self.program.as_deref().unwrap_or("a process");
        let process = match self.pid {
            Some(pid) => format!("{program} {pid}"),
            None => "an unknown process".to_owned(),
        };
        match self.vm.as_ref().or(self.uuid.as_ref()) {
            Some(vm) => format!("VM {vm} ({process})"),
            None => process,
        }
    }
}

/// A row of accesses.
#[derive(Debug, Serialize)]
pub struct AccessRow<'a> {
    /// "access", "suppressed" for a number of accesses without a record of their own, or "touched"
    /// for a range that those touched.
    pub kind: &'static str,
    /// When the record was made.
    pub time: Stamp,
    /// The machine.
    pub host: Option<&'a str>,
    /// The device.
    pub device: String,
    /// The number of the session.
    pub session: Option<u64>,
    /// Audit's number of the event; with host and time it tells the row from others.
    pub serial: u64,
    /// "read" or "write".
    pub op: &'static str,
    /// "allowed" or "blocked".
    pub result: &'static str,
    /// The first byte; nothing for a number of accesses without a record of their own.
    pub offset: Option<usize>,
    /// How many bytes.
    pub size: Option<usize>,
    /// How many accesses.
    pub count: u64,
    /// How many more audit refused.
    pub lost: u64,
    /// The registers and hidden capabilities that the bytes are known to be of.
    pub register: Option<&'a str>,
    /// Who held the device.
    #[serde(flatten)]
    pub who: &'a Who,
}

impl<'a> AccessRow<'a> {
    /// The row of a record; nothing if it tells of no accesses.
    pub fn new(
        record: &Record<'_>,
        host: Option<&'a str>,
        who: &'a Who,
        register: Option<&'a str>,
    ) -> Option<Self> {
        let (kind, place, count, lost) = match record.kind {
            Kind::Access { offset, size, .. } => ("access", Some((offset, size)), 1, 0),
            Kind::Suppressed { count, lost, .. } => ("suppressed", None, count, lost),
            Kind::Touched { offset, size, .. } => ("touched", Some((offset, size)), 0, 0),
            Kind::Open | Kind::Close(_) => return None,
        };
        Some(Self {
            kind,
            time: Stamp(record.time),
            host,
            device: record.device.to_string(),
            session: match record.session {
                SessionField::Number(number) => Some(number),
                SessionField::None | SessionField::Unsaid => None,
            },
            serial: record.serial,
            op: op_text(record.kind.op()?),
            result: result_text(record.res?),
            offset: place.map(|(offset, _)| offset),
            size: place.map(|(_, size)| size),
            count,
            lost,
            register,
            who,
        })
    }
}

/// A row of a session.
#[derive(Debug, Serialize)]
pub struct SessionRow<'a> {
    /// "session".
    pub kind: &'static str,
    /// When the first record was made.
    pub first: Stamp,
    /// When the last one was.
    pub last: Stamp,
    /// The machine.
    pub host: Option<&'a str>,
    /// The device.
    pub device: String,
    /// Its number.
    pub session: Option<u64>,
    /// Whether the logs have its start and its end.
    pub complete: bool,
    /// Whether this is the end of several sessions in one, and the totals are theirs.
    pub several: bool,
    /// Whether it has no end of its own, and its totals are in an end of several sessions.
    pub ended_with_others: bool,
    /// How many accesses have a record.
    pub recorded: u64,
    /// How many records the logs lack.
    pub missing_records: u64,
    /// How many processes made accesses.
    pub holders: u64,
    /// Who held the device.
    #[serde(flatten)]
    pub who: &'a Who,
    /// What the session says of itself at its end.
    #[serde(flatten)]
    pub totals: Option<TotalsReport>,
}

impl<'a> SessionRow<'a> {
    /// The row of a session of a device.
    pub fn new(
        host: Option<&'a str>,
        bdf: Bdf,
        (session, ended_with_others): (&Session, bool),
        who: &'a Who,
    ) -> Self {
        Self {
            kind: "session",
            first: Stamp(session.first),
            last: Stamp(session.last),
            host,
            device: bdf.to_string(),
            session: session.number,
            complete: session.is_complete(),
            several: session.several,
            ended_with_others,
            recorded: session.recorded,
            missing_records: session.missing(),
            holders: session.holders.len() as u64 + session.more_holders,
            who,
            totals: session.totals.map(TotalsReport::new),
        }
    }
}
