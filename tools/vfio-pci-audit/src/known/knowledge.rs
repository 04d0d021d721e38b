// SPDX-License-Identifier: GPL-2.0

//! What is known of an access to unassigned bytes.

use std::ops::Range;

use pci_config::hidden::Hidden;
use serde::{Deserialize, Serialize};

use super::data::{Register, DATA};
use super::exceptions::united;
use super::subject::Subject;
use crate::record::Op;
use crate::words::range_text;

/// Something that is known of bytes.
#[derive(Clone, Debug)]
pub struct Known<'a> {
    /// The bytes, all of them, also those that were not accessed.
    pub range: Range<usize>,
    /// What they are.
    pub what: What<'a>,
}

/// What bytes are.
#[derive(Clone, Debug)]
pub enum What<'a> {
    /// A register that drivers use.
    Register(&'static Register),
    /// A capability that VFIO hides.
    Hidden(&'a Hidden),
}

/// What is known of accesses to a range, in the order of the bytes.
pub fn of<'a>(subject: &'a Subject, range: &Range<usize>, op: Op) -> Vec<Known<'a>> {
    let registers = subject.registers().filter(|row| row.op.has(op));
    let registers = registers.map(|row| Known {
        range: row.bytes.range().clone(),
        what: What::Register(row),
    });
    let hidden = subject.hidden().iter().map(|hidden| Known {
        range: hidden.range.clone(),
        what: What::Hidden(hidden),
    });
    let mut known: Vec<Known<'_>> = registers
        .chain(hidden)
        .filter(|known| known.range.start < range.end && range.start < known.range.end)
        .collect();
    known.sort_by_key(|known| known.range.start);
    known
}

/// The registers that drivers are known to access so, on any device that it may be.
fn used(subject: &Subject, op: Op) -> impl Iterator<Item = &'static Register> + '_ {
    let rows = DATA.registers.iter();
    rows.filter(move |row| row.op.has(op) && row.devices.may_be_of(&subject.device))
}

/// The registers, each with all of its bytes, that a range has a part of and that a driver may fail
/// without.
pub fn needed(subject: &Subject, range: &Range<usize>, op: Op) -> Vec<Range<usize>> {
    let rows = used(subject, op).filter(|row| !row.harmless);
    let ranges = rows.map(|row| row.bytes.range());
    ranges
        .filter(|bytes| bytes.start < range.end && range.start < bytes.end)
        .cloned()
        .collect()
}

/// The bytes of a range that no driver is known to access so, on any device that it may be.
pub fn unknown(subject: &Subject, range: &Range<usize>, op: Op) -> Vec<Range<usize>> {
    let used: Vec<_> = used(subject, op)
        .map(|row| row.bytes.range().clone())
        .collect();
    let mut left = Vec::new();
    let mut start = range.start;
    for used in united(&used) {
        if start < used.start.min(range.end) {
            left.push(start..used.start.min(range.end));
        }
        start = start.max(used.end);
    }
    if start < range.end {
        left.push(start..range.end);
    }
    left
}

impl Known<'_> {
    /// One sentence of it.
    pub fn text(&self, subject: &Subject) -> String {
        let bytes = range_text(&self.range);
        match &self.what {
            What::Register(row) => {
                let verified = subject.map().is_some() || row.layout.is_verified(&subject.device);
                let doubt = if verified {
                    ""
                } else {
                    ", layout not verified"
                };
                let advice = if row.harmless {
                    "harmless if blocked"
                } else {
                    "allow it"
                };
                format!(
                    "{bytes}: {}, {} ({}){doubt}; {advice}",
                    row.name, row.function, row.source
                )
            }
            What::Hidden(hidden) => {
                let name = hidden.capability.name().map_or_else(
                    || format!("capability {}", hidden.capability.id_text()),
                    str::to_owned,
                );
                format!("{bytes} is in {name}, which VFIO hides")
            }
        }
    }
}

/// What is known of accesses to a range, as a value.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Note {
    /// The first byte that it is of.
    pub offset: usize,
    /// How many bytes.
    pub size: usize,
    /// What it is of.
    pub kind: Kind,
    /// What it is.
    pub text: String,
}

/// What a note is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A register that drivers use.
    Register,
    /// A capability that VFIO hides.
    Hidden,
}

impl Note {
    /// The bytes of the register that it is of, if it is of one.
    pub fn register(&self) -> Option<Range<usize>> {
        (self.kind == Kind::Register).then(|| self.offset..self.offset + self.size)
    }
}

/// The notes on accesses to a range.
pub fn notes(subject: &Subject, range: &Range<usize>, op: Op) -> Vec<Note> {
    let known = of(subject, range, op).into_iter();
    known
        .map(|known| Note {
            offset: known.range.start,
            size: known.range.len(),
            kind: match known.what {
                What::Register(_) => Kind::Register,
                What::Hidden(_) => Kind::Hidden,
            },
            text: known.text(subject),
        })
        .collect()
}

#[cfg(test)]
#[path = "knowledge_tests.rs"]
mod tests;
