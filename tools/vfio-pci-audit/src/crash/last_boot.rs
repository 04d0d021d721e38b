// SPDX-License-Identifier: GPL-2.0

//! What the accesses of the last boot tell.

use std::fmt::Write;

use serde::Serialize;

use super::accesses::Access;
use super::devices::Devices;
use super::ended::Ended;
use super::saved::Ring;
use crate::known::knowledge::{notes, Note};
use crate::known::machine::Machine;
use crate::rows::Who;
use crate::time::{Stamp, Zone};
use crate::words::{plural_es, range_text, result_text};

/// One access.
#[derive(Debug, Serialize)]
pub struct AccessReport {
    /// When; nothing if only the time since the boot is known.
    pub time: Option<Stamp>,
    /// Seconds since the boot.
    pub since_boot: Option<String>,
    /// The device.
    pub device: String,
    /// "read" or "write".
    pub op: String,
    /// The first byte.
    pub offset: usize,
    /// How many bytes.
    pub size: usize,
    /// "allowed" or "blocked".
    pub result: &'static str,
    /// The session.
    pub session: Option<u64>,
    /// Who made it.
    #[serde(flatten)]
    pub who: Who,
    /// What is known of the bytes.
    pub notes: Vec<Note>,
}

impl AccessReport {
    /// Of an access to one of some devices.
    pub fn new(access: &Access, devices: &mut Devices<'_>) -> Self {
        let subject = devices.subject(access.device);
        let notes = subject.map(|subject| notes(subject, &access.range, access.op));
        Self {
            time: access.moment.stamp(),
            since_boot: access.moment.up_text(),
            device: access.device.to_string(),
            op: access.op.to_string(),
            offset: access.range.start,
            size: access.range.len(),
            result: result_text(access.allowed),
            session: access.session,
            who: access.who.clone(),
            notes: notes.unwrap_or_default(),
        }
    }

    /// When, as people read it.
    pub fn when(&self, zone: &Zone) -> String {
        match (self.time, &self.since_boot) {
            (Some(time), _) => zone.text(time),
            (None, Some(up)) => format!("{up} s after boot"),
            (None, None) => "at an unknown time".to_owned(),
        }
    }

    /// What it did, and who.
    pub fn what(&self) -> String {
        let range = range_text(&(self.offset..self.offset + self.size));
        let mut text = format!(
            "{} {} {range} {}, {}",
            self.device,
            self.op,
            self.result,
            self.who.text()
        );
        if let Some(session) = self.session {
            let _ = write!(text, ", session {session}");
        }
        text
    }
}

/// The report.
#[derive(Debug, Serialize)]
pub struct LastBoot {
    /// Where they were read.
    pub from: String,
    /// How the boot ended.
    pub ended: Ended,
    /// How many accesses there are.
    pub count: usize,
    /// How many were overwritten before.
    pub lost: u64,
    /// How many events could not be decoded, or were decoded wrongly.
    pub undecoded: u64,
    /// The last ones, the latest first.
    pub accesses: Vec<AccessReport>,
}

impl LastBoot {
    /// Of a ring and its accesses.
    pub fn new(
        ring: &Ring,
        accesses: &[Access],
        ended: Ended,
        machine: &Machine,
        last: usize,
    ) -> Self {
        let latest = accesses.iter().rev().take(last);
        let mut devices = Devices::new(machine);
        Self {
            from: ring.from.clone(),
            ended,
            count: accesses.len(),
            lost: ring.lost,
            undecoded: ring.unknown + ring.wrong + ring.bad,
            accesses: latest
                .map(|access| AccessReport::new(access, &mut devices))
                .collect(),
        }
    }

    /// For people.
    pub fn text(&self, zone: &Zone) -> String {
        let mut text = format!("The last boot ended {}.\n", self.ended.text());
        let count = plural_es(self.count as u64, "access");
        match (self.count, self.undecoded) {
            (0, 0) => {
                text += "It left no accesses: there was none to unassigned bytes, or the memory \
                               was cleared (a power cycle does that).\n"
            }
            (0, _) => text += "The accesses that it left cannot be read.\n",
            _ => {
                let _ = write!(text, "It left {count} to unassigned bytes ({})", self.from);
                if self.lost > 0 {
                    let lost = plural_es(self.lost, "access");
                    let _ = write!(text, "; {lost} before them were overwritten");
                }
                text += match self.accesses.len() {
                    all if all == self.count => ". Latest first:\n\n",
                    _ => ". The last ones, latest first:\n\n",
                };
            }
        }
        for access in &self.accesses {
            let _ = writeln!(text, "  {}  {}", access.when(zone), access.what());
            for note in &access.notes {
                let _ = writeln!(text, "    {}", note.text);
            }
        }
        text
    }
}
