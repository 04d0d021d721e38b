// SPDX-License-Identifier: GPL-2.0

//! The records that `ausearch --raw` prints, as owned values.
//!
//! Each is compared with the exact form that it must have, so that no scenario passes with records
//! of another form.

use anyhow::{ensure, Context, Result};
use vfio_client::stream::Op;
use vfio_pci_audit::record;
pub(crate) use vfio_pci_audit::record::{Kind, Totals};

pub(crate) use crate::kernel::Session;
use crate::trace::without_session;

/// One PCI record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// The time, in milliseconds since 1970.
    pub(crate) time: u64,
    /// The serial number of the audit event.
    pub(crate) serial: u64,
    /// The device, without quotes.
    pub(crate) device: String,
    /// `session=`.
    pub(crate) session: Session,
    /// `res=`, where the record has one.
    pub(crate) res: Option<bool>,
    /// What the record contains.
    pub(crate) kind: Kind,
    /// All fields, exactly as they were written.
    pub(crate) text: String,
    /// The fields without `session=`, for comparisons that do not depend on the number.
    pub(crate) plain: String,
}

impl Record {
    /// Whether it records an access.
    pub(crate) fn is_access(&self) -> bool {
        matches!(self.kind, Kind::Access { .. })
    }

    /// The process that an op=open record names.
    pub(crate) fn pid(&self) -> Option<u32> {
        let mut words = self.text.split(' ');
        words.find_map(|word| word.strip_prefix("pid=")?.parse().ok())
    }

    /// Checks the names and the order of the fields.
    fn check_form(&self) -> Result<()> {
        let form = form(&self.device, self.session, self.res, &self.kind);
        let as_it_should_be = match self.kind {
            // The fields between are those of audit_log_task_info().
            Kind::Open => self.text.starts_with(&form) && self.text.ends_with(" res=1"),
            _ => self.text == form,
        };
        ensure!(as_it_should_be, "{:?} should be {form:?}", self.text);
        Ok(())
    }
}

/// `session=` and its value, as a record has it.
pub(crate) fn session_field(session: Session) -> String {
    match session {
        Some(number) => format!("session={number}"),
        None => "session=?".to_owned(),
    }
}

/// The expected text of a record. For op=open, the text up to the fields of the task.
fn form(device: &str, session: Session, res: Option<bool>, kind: &Kind) -> String {
    let name = |op: &Op| match op {
        Op::Read => "read",
        Op::Write => "write",
    };
    let session = session_field(session);
    let fields = match kind {
        Kind::Access { op, offset, size } => {
            format!("op={} offset={offset:#x} size={size} {session}", name(op))
        }
        Kind::Open => return format!("device=\"{device}\" op=open {session} "),
        Kind::Suppressed {
            op,
            count,
            lost,
            ranges,
        } => format!(
            "op=suppressed access={} {session} count={count} lost={lost} ranges={ranges}",
            name(op)
        ),
        Kind::Touched { op, offset, size } => format!(
            "op=touched access={} offset={offset:#x} size={size} {session}",
            name(op)
        ),
        Kind::Close(t) => format!(
            "op=close {session} reads={} writes={} blocked_reads={} blocked_writes={} records={} \
             suppressed={} lost={}",
            t.reads, t.writes, t.blocked_reads, t.blocked_writes, t.records, t.suppressed, t.lost
        ),
    };
    format!(
        "device=\"{device}\" {fields} res={}",
        u8::from(res.unwrap_or_default())
    )
}

/// Parses every PCI record of a text.
pub(crate) fn parse_all(text: &str) -> Result<Vec<Record>> {
    text.lines()
        .filter_map(|line| {
            parse(line)
                .with_context(|| format!("in the record {line:?}"))
                .transpose()
        })
        .collect()
}

fn parse(line: &str) -> Result<Option<Record>> {
    let Some(record) = record::parse(line.as_bytes())? else {
        return Ok(None);
    };
    let (session, plain) = without_session(record.text)?;
    let record = Record {
        time: record.time,
        serial: record.serial,
        device: record.device.to_string(),
        session,
        res: record.res,
        kind: record.kind,
        text: record.text.to_owned(),
        plain,
    };
    record.check_form()?;
    Ok(Some(record))
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
