// SPDX-License-Identifier: GPL-2.0

//! Errors in the kernel's log, and how the boots that it is of ended.
//!
//! The wording is that of Linux 4.19 to 7.3.

use pci_config::{hex, Bdf};

use super::error::{DeviceError, Kind, Severity};
use super::moment::{Boot, Moment};
use crate::printable::printable;
use crate::record::number;

/// Details of one error that are kept.
const MOST_DETAILS: usize = 16;

/// Lines of one error are this close together, in microseconds.
const TOGETHER: i64 = 3_000_000;

/// What was found in a log.
#[derive(Clone, Debug, Default)]
pub struct KernelLog {
    /// What it is called.
    name: String,
    boot: Option<Boot>,
    /// The errors.
    pub errors: Vec<DeviceError>,
    /// What the kernel said last when it gave up, in the last boot of the log.
    pub panic: Option<String>,
    /// Whether the last boot of the log was shut down.
    pub shut_down: bool,
    /// The same of the boot before, if the log has that too.
    pub before: Option<(Option<String>, bool)>,
    /// The moment of the last line.
    pub last: Option<Moment>,
    /// How many boots begin in it.
    pub boots: u64,
    /// When the current boot began, in microseconds since 1970, as far as lines tell.
    booted: Option<u64>,
    /// Where the errors of the current boot begin.
    of_boot: usize,
    /// What the firmware says of the errors that follow.
    firmware: Option<Severity>,
}

impl KernelLog {
    /// An empty one.
    pub fn new(name: String, boot: Option<Boot>) -> Self {
        Self {
            name,
            boot,
            ..Self::default()
        }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Of which boot it is, if that is known.
    pub fn boot(&self) -> Option<Boot> {
        self.boot
    }

    /// Take a message into account.
    pub fn message(&mut self, moment: Moment, text: &str, number: u64) {
        let moment = Moment {
            boot: self.boot,
            ..moment
        };
        if text.starts_with("Linux version ") {
            self.begin();
        }
        if let Some(booted) = booted(&moment, text) {
            self.booted = Some(booted);
        }
        self.last = Some(moment.booted_at(self.booted));
        if let Some(reason) = text.split_once("Kernel panic - not syncing: ") {
            // A second one only says that the first went wrong.
            if self.panic.is_none() {
                self.panic = Some(printable(reason.1.trim()).into_owned());
                self.push(moment, Kind::Panic, Severity::Fatal, number, reason.1);
            }
        } else if is_end(text) {
            self.shut_down = true;
        } else {
            self.hardware(moment, text, number);
        }
    }

    /// All lines were read.
    pub fn end(&mut self) {
        let booted = self.booted;
        for error in &mut self.errors[self.of_boot..] {
            error.moment = error.moment.booted_at(booted);
        }
        self.last = self.last.map(|last| last.booted_at(booted));
    }

    fn begin(&mut self) {
        self.end();
        if self.last.is_some() {
            self.before = Some((self.panic.take(), self.shut_down));
        }
        self.boots += 1;
        self.of_boot = self.errors.len();
        self.booted = None;
        self.panic = None;
        self.shut_down = false;
        self.firmware = None;
    }

    fn push(
        &mut self,
        moment: Moment,
        kind: Kind,
        severity: Severity,
        number: u64,
        detail: &str,
    ) -> &mut DeviceError {
        self.errors.push(DeviceError {
            moment,
            kind,
            severity,
            device: None,
            port: None,
            details: Vec::new(),
            from: match number {
                0 => self.name.clone(),
                _ => format!("{}:{number}", self.name),
            },
        });
        let at = self.errors.len() - 1;
        let error = &mut self.errors[at];
        error.detail(detail);
        error
    }

    /// The error that a line goes on with, if there is one of that kind close before it.
    fn open(&mut self, moment: &Moment, wanted: impl Fn(&DeviceError) -> bool) -> Option<usize> {
        let from = self.of_boot.max(self.errors.len().saturating_sub(8));
        let close = |error: &DeviceError| {
            let gap = error.moment.before(moment);
            gap.is_none_or(|gap| (0..=TOGETHER).contains(&gap))
        };
        let found = self.errors[from..]
            .iter()
            .rposition(|error| wanted(error) && close(error));
        found.map(|at| from + at)
    }

    fn hardware(&mut self, moment: Moment, text: &str, number: u64) {
        if let Some((_, rest)) = text.split_once("[Hardware Error]: ") {
            if text.starts_with("mce: ") {
                self.machine_check(moment, rest, number);
            } else {
                self.by_firmware(moment, rest.trim(), number);
            }
        } else if is_nmi(text) {
            self.push(moment, Kind::Nmi, Severity::Fatal, number, text);
        } else if let Some((bdf, rest)) = of_device(text) {
            self.of_device(moment, bdf, rest, number);
        }
    }

    fn machine_check(&mut self, moment: Moment, rest: &str, number: u64) {
        let begins = rest.starts_with("CPU ") && rest.contains("Machine Check");
        if begins {
            let severity = match rest.contains("Exception") {
                true => Severity::Fatal,
                false => Severity::Corrected,
            };
            self.push(moment, Kind::MachineCheck, severity, number, rest);
        } else if let Some(at) = self.open(&moment, |error| error.kind == Kind::MachineCheck) {
            self.errors[at].detail(rest);
        }
    }

    fn by_firmware(&mut self, moment: Moment, rest: &str, number: u64) {
        if let Some(severity) = rest.strip_prefix("event severity: ") {
            self.firmware = Severity::read(severity);
        } else if let Some(device) = rest.strip_prefix("device_id: ") {
            let severity = self.firmware.unwrap_or(Severity::NonFatal);
            let device = device.parse().ok();
            self.push(moment, Kind::Firmware, severity, number, "")
                .device = device;
        } else if let Some(at) = self.open(&moment, |error| error.kind == Kind::Firmware) {
            if rest.contains("_status: ") || rest.starts_with("TLP Header") {
                self.errors[at].detail(rest);
            }
        }
    }

    fn of_device(&mut self, moment: Moment, bdf: Bdf, rest: &str, number: u64) {
        let rest = rest.strip_prefix("AER: ").unwrap_or(rest);
        if let Some((_, severity)) = rest.split_once("Bus Error: severity=") {
            let severity = Severity::read(severity).unwrap_or(Severity::NonFatal);
            // The port said so just before.
            let announced = self.open(&moment, |error| {
                error.kind == Kind::Aer && error.device == Some(bdf) && error.details.is_empty()
            });
            match announced {
                Some(at) => {
                    self.errors[at].severity = severity;
                    self.errors[at].detail(rest);
                }
                None => self.push(moment, Kind::Aer, severity, number, rest).device = Some(bdf),
            }
        } else if let Some((severity, from)) = announcement(rest) {
            let error = self.push(moment, Kind::Aer, severity, number, "");
            error.port = Some(bdf);
            error.device = Some(from);
        } else if let Some(rest) = rest
            .strip_prefix("DPC: ")
            .unwrap_or(rest)
            .strip_prefix("containment event, ")
        {
            let error = self.push(
                moment,
                Kind::Dpc,
                match rest.contains("ERR_NONFATAL") {
                    true => Severity::NonFatal,
                    false => Severity::Fatal,
                },
                number,
                rest,
            );
            error.port = Some(bdf);
            error.device = Some(contained(rest, bdf).unwrap_or(bdf));
        } else if rest.contains("device recovery ") || rest.contains("can't recover") {
            let below = self.open(&moment, |error| error.device.is_some());
            if let Some(at) = below {
                self.errors[at].detail(rest);
            }
        } else if is_detail(rest) {
            if let Some(at) = self.open(&moment, |error| error.device == Some(bdf)) {
                self.errors[at].detail(rest);
            }
        }
    }
}

impl DeviceError {
    fn detail(&mut self, text: &str) {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let text = printable(text).into_owned();
        let known = text.is_empty() || self.details.contains(&text);
        if !known && self.details.len() < MOST_DETAILS {
            self.details.push(text);
        }
    }
}

/// The device that a message is of: `vfio-pci 0000:01:00.0: TEXT`.
fn of_device(text: &str) -> Option<(Bdf, &str)> {
    let (head, rest) = text.split_once(": ")?;
    let word = head.rsplit(' ').next()?;
    // With a domain, as the kernel prints it; else words of other messages might pass for one.
    let bdf = (word.len() >= 12).then(|| word.parse().ok())??;
    Some((bdf, rest))
}

/// `Uncorrectable (Fatal) error message received from 0000:01:00.0`, in all versions.
fn announcement(rest: &str) -> Option<(Severity, Bdf)> {
    let lower = rest.to_ascii_lowercase();
    let is_one = lower.contains("error message received from ")
        || lower.contains("error messages received, first one from ")
        || lower.contains("error received: ");
    if !is_one {
        return None;
    }
    let from = rest
        .rsplit_once(" from ")
        .or_else(|| rest.rsplit_once("received: "))?
        .1;
    let word = from.split_whitespace().next()?;
    Some((Severity::read(rest)?, word.parse().ok()?))
}

/// The device below a port that made it cut off what is there.
fn contained(rest: &str, port: Bdf) -> Option<Bdf> {
    if let Some((_, from)) = rest.split_once("received from ") {
        return from.split_whitespace().next()?.parse().ok();
    }
    let (_, source) = rest.split_once("source:0x")?;
    let source = hex(source.split_whitespace().next()?, 4)?;
    let [bus, devfn] = u16::try_from(source).ok()?.to_be_bytes();
    (source != 0).then(|| Bdf::new(port.domain(), bus, devfn))
}

/// Lines below an error: `[18] MalfTLP (First)`, `device [8086:10d3] error status/mask=…`.
fn is_detail(rest: &str) -> bool {
    let rest = rest.trim_start();
    let numbered = rest
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .is_some_and(|(digits, _)| number(digits.trim()).is_some());
    numbered
        || rest.starts_with("device [")
        || rest.starts_with("TLP Header")
        || rest.contains("error containment")
        || rest.contains("unmasked uncorrectable error detected")
}

fn is_nmi(text: &str) -> bool {
    text.starts_with("NMI: PCI system error (SERR)")
        || text.starts_with("NMI: IOCK error")
        || text.starts_with("Uhhuh. NMI received for unknown reason")
}

/// The last words of a machine that is shut down.
fn is_end(text: &str) -> bool {
    let reboot = text.strip_prefix("reboot: ").is_some_and(|rest| {
        [
            "Restarting system",
            "Power down",
            "machine restart",
            "System halted",
        ]
        .iter()
        .any(|words| rest.starts_with(words))
    });
    reboot || text.starts_with("systemd-shutdown[")
}

/// When the machine was booted, by a line that has both clocks.
fn booted(moment: &Moment, text: &str) -> Option<u64> {
    let up = moment.up?;
    if let Some(wall) = moment.wall {
        return wall.checked_sub(up);
    }
    // What audit has to say without a daemon, and at its start.
    if let Some((_, rest)) = text.split_once("audit(") {
        let (stamp, _) = rest.split_once(':')?;
        let (seconds, milliseconds) = stamp.split_once('.')?;
        let seconds = number(seconds)?.checked_mul(1_000_000)?;
        let wall = seconds.checked_add(number(milliseconds)?.checked_mul(1000)?)?;
        return wall.checked_sub(up);
    }
    let (_, rest) = text.split_once("setting system clock to ")?;
    let (_, seconds) = rest.rsplit_once('(')?;
    let seconds = number(seconds.trim_end().strip_suffix(')')?)?;
    seconds.checked_mul(1_000_000)?.checked_sub(up)
}

#[cfg(test)]
#[path = "kernel_log_tests.rs"]
mod tests;
