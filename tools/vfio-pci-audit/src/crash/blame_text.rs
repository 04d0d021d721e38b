// SPDX-License-Identifier: GPL-2.0

//! Tells what came before errors.

use std::fmt::Write;

use serde::Serialize;

use super::blame::{Charge, Relation, Strength, Suspect};
use super::devices::Devices;
use super::error::{Kind, Severity};
use super::last_boot::AccessReport;
use super::moment::span_text;
use super::setting::{setting, Setting};
use crate::known::machine::Machine;
use crate::time::{Stamp, Zone};
use crate::words::{plural, plural_es};

/// An access before an error.
#[derive(Debug, Serialize)]
pub struct SuspectReport {
    /// How long before, in microseconds.
    pub before_us: i64,
    /// Whether that is exact: accesses without a record of their own are told later.
    pub exact: bool,
    /// How many of the kind there are before the error.
    pub count: u64,
    /// What it has to do with the error.
    pub relation: Relation,
    /// The number of earlier accesses of this kind to these bytes without an error.
    pub without_error: u64,
    /// How strong the evidence is.
    pub strength: Strength,
    /// The access.
    #[serde(flatten)]
    pub access: AccessReport,
}

/// An error.
#[derive(Debug, Serialize)]
pub struct ChargeReport {
    /// When it was reported.
    pub time: Option<Stamp>,
    /// Seconds since the boot.
    pub since_boot: Option<String>,
    /// By whom.
    pub kind: Kind,
    /// How bad it is.
    pub severity: Severity,
    /// The device that it is of.
    pub device: Option<String>,
    /// The port that reports it.
    pub port: Option<String>,
    /// What else is said of it.
    pub details: Vec<String>,
    /// Where that is written.
    pub from: String,
    /// The accesses before it, the nearest first.
    pub accesses: Vec<SuspectReport>,
    /// Which of them is most likely the cause, from 0.
    pub culprit: Option<usize>,
    /// How many accesses could not be compared for lack of a clock in common.
    pub no_clock: u64,
    /// What blocks the culprit's bytes for its device alone.
    pub setting: Option<Setting>,
}

/// All errors.
#[derive(Debug, Serialize)]
pub struct BlameReport {
    /// What was read for errors.
    pub read: Vec<String>,
    /// How many accesses are known.
    pub known_accesses: usize,
    /// How many seconds before an error were looked at.
    pub window: u32,
    /// The errors, the first first.
    pub errors: Vec<ChargeReport>,
}

impl SuspectReport {
    fn new(suspect: &Suspect, devices: &mut Devices<'_>) -> Self {
        Self {
            before_us: suspect.before,
            exact: suspect.access.exact,
            count: suspect.count,
            relation: suspect.relation,
            without_error: suspect.without_error,
            strength: suspect.strength,
            access: AccessReport::new(&suspect.access, devices),
        }
    }

    fn evidence(&self) -> String {
        let strength = match self.strength {
            Strength::None => {
                return "no evidence: it was blocked and did not reach the device".to_owned()
            }
            Strength::Weak => "weak",
            Strength::Moderate => "moderate",
            Strength::Strong => "strong",
        };
        let relation = match self.relation {
            Relation::SameFunction => "the function that has the error",
            Relation::SameDevice => "another function of the same device",
            Relation::BelowPort => "below the port that has the error",
            Relation::SamePort => "on the same bus, below the same port",
            Relation::NoDevice => "time only: the error names no known device",
            Relation::TimeOnly => "time only: an unrelated device",
        };
        let before = match self.without_error {
            0 => "no such access without an error before".to_owned(),
            1 => "1 such access without an error before".to_owned(),
            n => format!("{n} such accesses without an error before"),
        };
        format!("{strength} evidence: {relation}; {before}")
    }

    fn text(&self, text: &mut String) {
        let when = match self.exact {
            true => span_text(self.before_us),
            false => format!("at least {}", span_text(self.before_us)),
        };
        let _ = write!(text, "    {when:>9} before: {}", self.access.what());
        if self.count > 1 {
            let _ = write!(text, ", {} times", self.count);
        }
        text.push('\n');
        for note in &self.access.notes {
            let _ = writeln!(text, "      {}", note.text);
        }
        let _ = writeln!(text, "      {}", self.evidence());
    }
}

impl ChargeReport {
    fn new(charge: &Charge, devices: &mut Devices<'_>) -> Self {
        let error = &charge.error;
        let culprit = charge.culprit();
        Self {
            time: error.moment.stamp(),
            since_boot: error.moment.up_text(),
            kind: error.kind,
            severity: error.severity,
            device: error.device.map(|bdf| bdf.to_string()),
            port: error.port.map(|bdf| bdf.to_string()),
            details: error.details.clone(),
            from: error.from.clone(),
            accesses: charge
                .suspects
                .iter()
                .map(|suspect| SuspectReport::new(suspect, devices))
                .collect(),
            culprit: culprit.and_then(|culprit| charge.suspects.iter().position(|s| s == culprit)),
            no_clock: charge.no_clock,
            setting: culprit.map(|culprit| {
                let access = &culprit.access;
                setting(devices, access.device, &access.range, access.op)
            }),
        }
    }

    fn text(&self, text: &mut String, zone: &Zone, window: u32) {
        let when = match (self.time, &self.since_boot) {
            (Some(time), _) => zone.text(time),
            (None, Some(up)) => format!("{up} s after boot"),
            (None, None) => "At an unknown time".to_owned(),
        };
        let _ = write!(text, "{when}: {}, {}", self.kind, self.severity);
        if let Some(device) = &self.device {
            let _ = write!(text, ", {device}");
        }
        if let Some(port) = self
            .port
            .as_ref()
            .filter(|port| self.device.as_ref() != Some(port))
        {
            let _ = write!(text, ", reported by port {port}");
        }
        let _ = writeln!(text, " ({})", self.from);
        for detail in &self.details {
            let _ = writeln!(text, "    {detail}");
        }
        if self.accesses.is_empty() {
            let _ = writeln!(
                text,
                "  No access to unassigned bytes is known in the {} before it.",
                plural(window.into(), "second")
            );
        } else {
            let _ = writeln!(
                text,
                "  Accesses in the {} before it, latest first:",
                plural(window.into(), "second")
            );
        }
        for access in &self.accesses {
            access.text(text);
        }
        if self.no_clock > 0 {
            let _ = writeln!(
                text,
                "  {} could not be compared: no clock in common",
                plural_es(self.no_clock, "access")
            );
        }
        match self.culprit.and_then(|at| self.accesses.get(at)) {
            Some(culprit) => {
                let _ = writeln!(text, "  Suspect: {}", culprit.access.what());
            }
            None => {
                let _ = writeln!(text, "  No known access is a suspect: {NOT_OURS}.");
            }
        }
        if let Some(setting) = &self.setting {
            let _ = writeln!(
                text,
                "  To block these bytes of this device only (/etc/modprobe.d):\n\
                 \x20   options vfio_pci_audit {}",
                setting.options
            );
            for note in &setting.notes {
                let _ = writeln!(text, "    ({note})");
            }
        }
        text.push('\n');
    }
}

/// What the modules neither see nor block.
const NOT_OURS: &str = "vfio_pci_audit neither records nor blocks accesses to assigned \
                        configuration space and to memory and I/O BARs, nor DMA, and the device \
                        may have failed by itself";

impl BlameReport {
    /// Of errors that were joined with accesses.
    pub fn new(
        charges: &[Charge],
        machine: &Machine,
        read: Vec<String>,
        known_accesses: usize,
        window: u32,
    ) -> Self {
        let mut devices = Devices::new(machine);
        Self {
            read,
            known_accesses,
            window,
            errors: charges
                .iter()
                .map(|charge| ChargeReport::new(charge, &mut devices))
                .collect(),
        }
    }

    /// For people.
    pub fn text(&self, zone: &Zone) -> String {
        if self.errors.is_empty() {
            let read = match self.read.is_empty() {
                true => "nothing".to_owned(),
                false => self.read.join(", "),
            };
            return format!("No error was found (read: {read}).\n");
        }
        let mut text = String::new();
        for error in &self.errors {
            error.text(&mut text, zone, self.window);
        }
        text
    }
}
