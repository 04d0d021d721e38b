// SPDX-License-Identifier: GPL-2.0

//! Records that journald took, as `journalctl -o json` and `-o export` print them.

use memchr::memmem;
use serde::Deserialize;

use super::bytes::Bytes;
use super::{from, kernel, start, Found};
use crate::record::kind;

/// The fields of an entry that matter. journalctl prints null for those that are too large for it.
#[derive(Default, Deserialize)]
struct Entry {
    #[serde(rename = "_AUDIT_TYPE")]
    audit_type: Option<String>,
    #[serde(rename = "_TRANSPORT")]
    transport: Option<String>,
    #[serde(rename = "_AUDIT_ID")]
    audit_id: Option<String>,
    #[serde(rename = "_SOURCE_REALTIME_TIMESTAMP")]
    time: Option<String>,
    #[serde(rename = "_HOSTNAME")]
    host: Option<String>,
    #[serde(rename = "_BOOT_ID")]
    boot: Option<String>,
    #[serde(rename = "MESSAGE")]
    message: Option<Message>,
}

/// A message, or its bytes where they are no text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Message {
    Text(String),
    Bytes(Vec<u8>),
}

impl Message {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        }
    }
}

impl Entry {
    /// Write the entry's record, if it has one that matters.
    fn record(&self, record: &mut String) -> bool {
        let Some(message) = self.message.as_ref().map(Message::text) else {
            return false;
        };
        let message = message.replace('\n', " ");
        let word = |text: &&str| !text.contains(' ');
        let origin = (
            self.host.as_deref().filter(word),
            self.boot.as_deref().filter(word),
        );
        let Some(said) = &self.audit_type else {
            // The kernel's own line, of a host on which no daemon takes records. Any user may send
            // the same words to the journal, but journald says by which way they came.
            if self.transport.as_deref() != Some("kernel") {
                return false;
            }
            let Found::Records(found) = kernel::line(message.as_bytes()) else {
                return false;
            };
            if !found.starts_with(b"node=") {
                from(record, origin);
            }
            *record += &String::from_utf8_lossy(found);
            return true;
        };
        let (Some(kind), Some(time), Some(serial)) = (kind(said), &self.time, &self.audit_id)
        else {
            return false;
        };
        let Ok(time) = time.parse::<u64>() else {
            return false;
        };
        // The type's name comes first, as far as journald knows it.
        let text = message.split_once(' ').map_or("", |(_, text)| text);
        start(record, origin, kind, time / 1000, serial);
        record.push_str(text);
        true
    }
}

/// Read an entry as JSON; whether it has a record that matters, and nothing if it is no entry.
pub(super) fn json(line: &[u8], record: &mut String) -> Option<bool> {
    memmem::find(line, b"\"__REALTIME_TIMESTAMP\"")?;
    // Most entries are of other types, and need not be read.
    let matters = [&b"1340"[..], b"1127", b"250", b"type=PCI"]
        .iter()
        .any(|mark| memmem::find(line, mark).is_some());
    if !matters {
        let audit = memmem::find(line, b"\"_AUDIT_ID\"").is_some();
        return audit.then_some(false);
    }
    let entry: Entry = serde_json::from_slice(line).ok()?;
    match entry.record(record) {
        true => Some(true),
        false => entry.audit_id.map(|_| false),
    }
}

/// Entries in the export format: a line for each field, and an empty one behind them.
#[derive(Default)]
pub(super) struct Export {
    entry: Option<Entry>,
    bytes: Option<Bytes>,
}

impl Export {
    /// Whether what comes next is of a field that is no text, and not a line.
    pub(super) fn is_within_bytes(&self) -> bool {
        self.bytes.is_some()
    }

    /// Whether a line belongs to an entry.
    pub(super) fn takes(&self, line: &[u8]) -> bool {
        self.entry.is_some() || line.starts_with(b"__CURSOR=")
    }

    /// Take a line. Whether a record that matters ends with it; nothing if it is of an entry that
    /// is no record.
    pub(super) fn line(&mut self, line: &[u8], record: &mut String) -> Option<bool> {
        if self.field(line, line.len() as u64) {
            return Some(false);
        }
        if line.is_empty() {
            return self.end(record);
        }
        let entry = self.entry.get_or_insert_with(Entry::default);
        // None of the fields that matter is no text: the kernel writes in hexadecimal what is not.
        let Some(at) = memchr::memchr(b'=', line) else {
            self.bytes = Some(Bytes::default());
            return Some(false);
        };
        let (name, value) = (&line[..at], &line[at + 1..]);
        let value = || Some(String::from_utf8_lossy(value).into_owned());
        match name {
            b"_AUDIT_TYPE" => entry.audit_type = value(),
            b"_TRANSPORT" => entry.transport = value(),
            b"_AUDIT_ID" => entry.audit_id = value(),
            b"_SOURCE_REALTIME_TIMESTAMP" => entry.time = value(),
            b"_HOSTNAME" => entry.host = value(),
            b"_BOOT_ID" => entry.boot = value(),
            b"MESSAGE" => entry.message = value().map(Message::Text),
            _ => {}
        }
        Some(false)
    }

    /// Take a line as part of a field that is no text, if there is one: its first bytes and its
    /// length. Whether there is.
    pub(super) fn field(&mut self, start: &[u8], length: u64) -> bool {
        let Some(bytes) = &mut self.bytes else {
            return false;
        };
        bytes.take(start, length);
        if !bytes.take(b"\n", 1) {
            self.bytes = None;
        }
        true
    }

    /// The entry ends.
    pub(super) fn end(&mut self, record: &mut String) -> Option<bool> {
        self.bytes = None;
        let entry = self.entry.take()?;
        Some(entry.record(record))
    }
}
