// SPDX-License-Identifier: GPL-2.0

//! Joins errors with accesses, by device and by time.

use pci_config::Bdf;
use serde::Serialize;

use super::accesses::Access;
use super::error::{DeviceError, Kind, Severity};
use super::topology::Topology;
use crate::record::Op;

/// What an access has to do with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// Nothing but the time.
    TimeOnly,
    /// The error is not of a device that is known.
    NoDevice,
    /// Its device is on the same bus, or below the same port.
    SamePort,
    /// Its device is below the port that has the error.
    BelowPort,
    /// Another function of the same device.
    SameDevice,
    /// The function that has the error.
    SameFunction,
}

/// How strong the evidence is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Strength {
    /// It did not reach the device.
    None,
    /// It may be a coincidence.
    Weak,
    /// It may be the cause.
    Moderate,
    /// It is most likely the cause.
    Strong,
}

/// Accesses of one kind before an error: the last of them, and how many there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// The last one.
    pub access: Access,
    /// How long before the error, in microseconds.
    pub before: i64,
    /// How many of the same holder, bytes and result there are before the error.
    pub count: u64,
    /// What it has to do with the error.
    pub relation: Relation,
    /// The number of earlier accesses of this kind to these bytes without an error.
    pub without_error: u64,
    /// How strong the evidence is.
    pub strength: Strength,
}

/// An error, and the accesses before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The error.
    pub error: DeviceError,
    /// The accesses, the nearest first.
    pub suspects: Vec<Suspect>,
    /// The number of accesses that have no clock in common with the error.
    pub no_clock: u64,
}

/// The most suspects of an error that are kept.
const MOST: usize = 20;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Question {
    /// How long before an error accesses are looked at, in microseconds.
    pub window: u64,
    /// Only errors of these devices and of ports above them; all if there is none.
    pub devices: Vec<Bdf>,
    /// Whether errors count that were corrected.
    pub corrected: bool,
}

/// Join errors and accesses.
pub fn blame(
    errors: &[DeviceError],
    accesses: &[Access],
    topology: &Topology,
    question: &Question,
) -> Vec<Charge> {
    let mut asked: Vec<&DeviceError> = errors
        .iter()
        .filter(|error| question.corrected || error.severity != Severity::Corrected)
        .filter(|error| concerns(error, topology, &question.devices))
        .collect();
    // Several sources tell of one error; the first that is read says most.
    asked = asked
        .iter()
        .enumerate()
        .filter(|(at, error)| !asked[..*at].iter().any(|known| is_same(known, error)))
        .map(|(_, error)| *error)
        .collect();
    asked.sort_by_key(|error| (error.moment.wall, error.moment.up));
    asked
        .iter()
        .map(|error| charge(error, &asked, accesses, topology, question))
        .collect()
}

fn concerns(error: &DeviceError, topology: &Topology, devices: &[Bdf]) -> bool {
    devices.is_empty()
        || devices.iter().any(|device| match error.device {
            None => true,
            Some(of) => of == *device || topology.is_below(*device, of),
        })
}

/// Whether two sources tell of the same error.
fn is_same(a: &DeviceError, b: &DeviceError) -> bool {
    // rasdaemon tells seconds, and hears of it a little later.
    let close = 1_500_000 + a.moment.within.max(b.moment.within) as i64;
    a.kind == b.kind
        && a.device == b.device
        && a.severity == b.severity
        && a.from.split(':').next() != b.from.split(':').next()
        && a.moment
            .before(&b.moment)
            .is_some_and(|us| us.abs() <= close)
}

fn charge(
    error: &DeviceError,
    errors: &[&DeviceError],
    accesses: &[Access],
    topology: &Topology,
    question: &Question,
) -> Charge {
    let mut suspects: Vec<Suspect> = Vec::new();
    let mut no_clock = 0;
    let mut found: Vec<(i64, &Access)> = Vec::new();
    for access in accesses {
        match access.moment.before(&error.moment) {
            Some(before) if is_before(before, access, error, question.window) => {
                found.push((before, access));
            }
            Some(_) => {}
            None => no_clock += 1,
        }
    }
    found.sort_by_key(|(before, _)| *before);
    for (before, access) in found {
        let like = suspects
            .iter_mut()
            .find(|known| is_alike(&known.access, access));
        if let Some(like) = like {
            like.count += 1;
            continue;
        }
        if suspects.len() == MOST {
            continue;
        }
        let relation = relation(error, access.device, topology);
        let without_error =
            without_error(access, accesses, error, errors, topology, question.window);
        suspects.push(Suspect {
            access: access.clone(),
            before,
            count: 1,
            relation,
            without_error,
            strength: strength(relation, access, before, without_error),
        });
    }
    Charge {
        error: error.clone(),
        suspects,
        no_clock,
    }
}

/// Whether an access was in the time before an error, as far as clocks are exact.
fn is_before(before: i64, access: &Access, error: &DeviceError, window: u64) -> bool {
    let late = error.moment.within.max(access.moment.within);
    let late = late.min(i64::MAX as u64) as i64;
    before >= -late && before <= window.min(i64::MAX as u64) as i64
}

fn is_alike(a: &Access, b: &Access) -> bool {
    (a.device, a.op, &a.range, a.session, a.allowed, &a.who)
        == (b.device, b.op, &b.range, b.session, b.allowed, &b.who)
}

/// What an access to a device has to do with an error.
pub fn relation(error: &DeviceError, device: Bdf, topology: &Topology) -> Relation {
    let Some(of) = error.device else {
        return match error.port {
            Some(port) if topology.is_below(device, port) => Relation::BelowPort,
            _ => Relation::NoDevice,
        };
    };
    let parent = topology.parent(of);
    let same_port = parent.is_some() && parent == topology.parent(device)
        || error
            .port
            .is_some_and(|port| topology.is_below(device, port))
        // A root bus is no port.
        || (of.domain(), of.bus()) == (device.domain(), device.bus()) && of.bus() != 0;
    if of == device {
        Relation::SameFunction
    } else if topology.is_below(device, of) {
        Relation::BelowPort
    } else if of.is_same_device(device) {
        Relation::SameDevice
    } else if same_port {
        Relation::SamePort
    } else {
        Relation::TimeOnly
    }
}

/// The number of earlier accesses of the same kind to these bytes that no error of the device
/// followed.
fn without_error(
    access: &Access,
    accesses: &[Access],
    error: &DeviceError,
    errors: &[&DeviceError],
    topology: &Topology,
    window: u64,
) -> u64 {
    let near: Vec<&&DeviceError> = errors
        .iter()
        .filter(|error| error.kind != Kind::Panic)
        .filter(|error| relation(error, access.device, topology) > Relation::TimeOnly)
        .collect();
    let like = accesses.iter().filter(|other| {
        other.device == access.device
            && other.op == access.op
            && other.allowed == access.allowed
            && other.range.start < access.range.end
            && access.range.start < other.range.end
    });
    // If it is unknown whether an error followed, the access is no evidence.
    let late = |other: &&Access| {
        let before = other.moment.before(&error.moment);
        before.is_some_and(|before| before > 0 && before.unsigned_abs() > window)
    };
    let harmless = like.filter(late).filter(|other| {
        near.iter().all(|error| {
            let before = other.moment.before(&error.moment);
            before.is_some_and(|before| !is_before(before, other, error, window))
        })
    });
    harmless.count() as u64
}

fn strength(relation: Relation, access: &Access, before: i64, without_error: u64) -> Strength {
    /// An error is reported within this time, in microseconds.
    const SOON: i64 = 2_000_000;

    if !access.allowed {
        return Strength::None;
    }
    let (soon, rare) = (before <= SOON && access.exact, without_error == 0);
    match relation {
        Relation::SameFunction if soon && rare => Strength::Strong,
        Relation::SameFunction if soon || rare => Strength::Moderate,
        Relation::BelowPort | Relation::SameDevice if soon && rare => Strength::Moderate,
        _ => Strength::Weak,
    }
}

impl Charge {
    /// The access that is most likely the cause.
    pub fn culprit(&self) -> Option<&Suspect> {
        self.suspects
            .iter()
            .filter(|suspect| suspect.strength > Strength::None)
            // Time alone makes no access a suspect.
            .filter(|suspect| suspect.relation > Relation::TimeOnly)
            .max_by_key(|suspect| {
                (
                    suspect.strength,
                    suspect.relation,
                    suspect.access.op == Op::Write,
                    -suspect.before,
                )
            })
    }
}

#[cfg(test)]
#[path = "blame_tests.rs"]
mod tests;
