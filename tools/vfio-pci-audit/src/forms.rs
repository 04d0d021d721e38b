// SPDX-License-Identifier: GPL-2.0

//! The forms in which hosts keep audit records, undone: each record comes out as auditd writes it.
//!
//! - [`kernel`]: what the kernel prints where no daemon takes records, with whatever a console,
//!   syslog or journalctl puts in front of it; also what programs forward to syslog.
//! - [`journal`]: `journalctl -o json` and `-o export` of the records that journald takes.
//! - [`json`]: the events of laurel and of Auditbeat.
//! - [`interpreted`]: what `ausearch -i` prints.

pub(crate) mod bytes;
mod interpreted;
mod journal;
mod json;
mod kernel;

use jiff::tz::TimeZone;
use memchr::memmem;

pub(crate) use self::bytes::CUT_OFF;
use self::journal::Export;
use crate::lines::Long;
use crate::printable::is_printable;
use crate::record;

/// What a line of a log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A record as auditd writes it.
    Record(&'a [u8]),
    /// Any number of them, a line for each, that were wrapped in something else.
    Records(&'a [u8]),
    /// A record of a type that does not matter here, or a part of one.
    Other,
    /// The kernel says that it did not print this many records.
    Unprinted(u64),
    /// The kernel starts, of a machine that the line may name.
    Boot(Option<&'a str>),
    /// No record at all.
    None,
}

/// Extracts records from the other formats, line by line.
pub struct Forms {
    records: String,
    export: Export,
    zone: TimeZone,
}

impl Forms {
    /// For one log. `zone` is where `ausearch -i` was run.
    pub fn new(zone: TimeZone) -> Self {
        Self {
            records: String::new(),
            export: Export::default(),
            zone,
        }
    }

    /// Whether what comes next is no line, whatever it looks like.
    #[inline]
    pub fn is_within_bytes(&self) -> bool {
        self.export.is_within_bytes()
    }

    /// Take a long line within a field that is no text.
    pub fn long_line(&mut self, line: &Long) {
        self.export.field(&line.start, line.length);
    }

    /// What the next line is.
    pub fn line<'a>(&'a mut self, line: &'a [u8]) -> Found<'a> {
        if self.is_within_bytes() {
            self.records.clear();
            let found = self.export.line(line, &mut self.records);
            return self.told(found);
        }
        if line.starts_with(b"type=") || line.starts_with(b"node=") {
            return self.plain(line);
        }
        self.records.clear();
        match line.first() {
            Some(b'{') => {
                let found = journal::json(line, &mut self.records)
                    .or_else(|| json::event(line, &mut self.records));
                return self.told(found);
            }
            _ if self.export.takes(line) => {
                let found = self.export.line(line, &mut self.records);
                return self.told(found);
            }
            _ => {}
        }
        match kernel::line(line) {
            Found::Records(found) => self.of_host(line, found),
            other => other,
        }
    }

    /// A record behind a prefix, which may name the host.
    fn of_host<'a>(&'a mut self, line: &'a [u8], found: &'a [u8]) -> Found<'a> {
        if found.starts_with(b"node=") || !record::matters(found) {
            return Found::Records(found);
        }
        let (Some(host), Ok(text)) = (kernel::host(line), std::str::from_utf8(found)) else {
            return Found::Records(found);
        };
        from(&mut self.records, (Some(host), None));
        self.records.push_str(text);
        Found::Records(self.records.as_bytes())
    }

    /// What is left when the log ends.
    pub fn end(&mut self) -> Found<'_> {
        self.records.clear();
        let found = self.export.end(&mut self.records);
        self.told(found)
    }

    fn told(&self, found: Option<bool>) -> Found<'_> {
        match found {
            Some(true) => Found::Records(self.records.as_bytes()),
            Some(false) => Found::Other,
            None => Found::None,
        }
    }

    /// A line that begins as auditd's do; those of `ausearch -i` do, too.
    fn plain<'a>(&'a mut self, line: &'a [u8]) -> Found<'a> {
        // Only the records that matter are looked at any closer.
        if !interpreted::may_be(line) {
            return Found::Record(line);
        }
        self.records.clear();
        match interpreted::undo(line, &self.zone, &mut self.records) {
            true => Found::Records(self.records.as_bytes()),
            false => Found::Record(line),
        }
    }
}

/// When the record of a line was made, in milliseconds since 1970, whatever form it has; to put
/// logs in order. `zone` is where `ausearch -i` was run.
pub fn time(line: &[u8], zone: &TimeZone) -> Option<u64> {
    for (mark, unit) in [
        (&b"audit("[..], 0),
        (b"\"_SOURCE_REALTIME_TIMESTAMP\":\"", 1000),
        (b"_SOURCE_REALTIME_TIMESTAMP=", 1000),
        (b"\"__REALTIME_TIMESTAMP\":\"", 1000),
        (b"__REALTIME_TIMESTAMP=", 1000),
        (b"\"ID\":\"", 0),
    ] {
        let Some(at) = memmem::find(line, mark) else {
            continue;
        };
        let rest = &line[at + mark.len()..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number: Option<u64> = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok();
        match (number, unit) {
            (Some(seconds), 0) if rest.get(digits) == Some(&b'.') => {
                let fraction = rest.get(digits + 1..digits + 4)?;
                let milliseconds: u64 = std::str::from_utf8(fraction).ok()?.parse().ok()?;
                return seconds.checked_mul(1000)?.checked_add(milliseconds);
            }
            (Some(_), 0) => {
                if let Some(time) = interpreted::time(rest, zone) {
                    return Some(time);
                }
            }
            (Some(time), 1000) => return Some(time / unit),
            _ => {}
        }
    }
    let at = memmem::find(line, b"\"@timestamp\":\"")?;
    let rest = &line[at + 14..];
    let end = memchr::memchr(b'"', rest)?;
    let stamp: jiff::Timestamp = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    u64::try_from(stamp.as_millisecond()).ok()
}

/// Write which machine a record is from, as auditd does, and which boot of it.
fn from(record: &mut String, (node, boot): (Option<&str>, Option<&str>)) {
    // What is no word would end the name, or the line.
    let word = |value: &&str| is_printable(value) && !value.contains(char::is_whitespace);
    for (key, value) in [("node=", node), ("boot=", boot)] {
        if let Some(value) = value.filter(word) {
            record.push_str(key);
            record.push_str(value);
            record.push(' ');
        }
    }
}

/// Write the start of a record as auditd does.
fn start(
    record: &mut String,
    origin: (Option<&str>, Option<&str>),
    kind: &str,
    time: u64,
    serial: &str,
) {
    use std::fmt::Write;

    if !record.is_empty() {
        record.push('\n');
    }
    from(record, origin);
    // Writing to a String cannot fail.
    let _ = write!(
        record,
        "type={kind} msg=audit({}.{:03}:{serial}): ",
        time / 1000,
        time % 1000
    );
}

#[cfg(test)]
#[path = "forms/tests.rs"]
mod tests;
