// SPDX-License-Identifier: GPL-2.0

//! Joins errors with accesses, by device and by time.

use std::collections::HashMap;

use pci_config::Bdf;
use serde::Serialize;

use super::accesses::Access;
use super::error::{DeviceError, Severity};
use super::history;
use super::once::once;
use super::timeline::{lines, Line};
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
    /// Only errors from then on, in microseconds since 1970; also those whose time of day is
    /// unknown.
    pub since: Option<u64>,
}

/// Join errors and accesses.
pub fn blame(
    errors: &[DeviceError],
    accesses: &[Access],
    topology: &Topology,
    question: &Question,
) -> Vec<Charge> {
    let asked = errors
        .iter()
        .filter(|error| question.corrected || error.severity != Severity::Corrected)
        .filter(|error| concerns(error, topology, &question.devices));
    let mut asked = once(asked);
    asked.sort_by_key(|error| (error.moment.wall, error.moment.up));
    let lines = lines(accesses, 0..accesses.len());
    let kinds = kinds(accesses);
    // What came before tells all the same which accesses no error followed.
    let mut charges: Vec<Charge> = asked
        .iter()
        .filter(|error| error.moment.is_since(question.since))
        .map(|error| charge(error, &lines, &kinds, topology, question))
        .collect();
    history::count(&mut charges, accesses, &asked, topology, question.window);
    let suspects = charges.iter_mut().flat_map(|charge| &mut charge.suspects);
    suspects.for_each(|suspect| suspect.strength = strength(suspect));
    charges
}

fn concerns(error: &DeviceError, topology: &Topology, devices: &[Bdf]) -> bool {
    devices.is_empty()
        || devices.iter().any(|device| match error.device {
            None => true,
            Some(of) => of == *device || topology.is_below(*device, of),
        })
}

/// A number for each access, the same for those of the same holder, bytes and result.
fn kinds(accesses: &[Access]) -> Vec<usize> {
    let mut known = HashMap::new();
    accesses
        .iter()
        .map(|access| {
            let kind = (
                (access.device, access.op == Op::Write, &access.range),
                (access.session, access.allowed, &access.who),
            );
            let next = known.len();
            *known.entry(kind).or_insert(next)
        })
        .collect()
}

/// An error with its suspects; how strong the evidence is comes later.
fn charge(
    error: &DeviceError,
    lines: &[Line<'_>],
    kinds: &[usize],
    topology: &Topology,
    question: &Question,
) -> Charge {
    let mut no_clock = 0;
    let mut found: Vec<(i64, usize, &Access)> = Vec::new();
    for line in lines {
        let Some(range) = line.before(&error.moment, question.window) else {
            no_clock += line.len() as u64;
            continue;
        };
        found.extend(range.rev().filter_map(|index| {
            let (access, place) = line.at(index);
            Some((access.moment.before(&error.moment)?, place, access))
        }));
    }
    // The nearest first. Each line is in that order, which the sort makes use of.
    found.sort_by_key(|(before, place, _)| (*before, *place));
    let mut suspects: Vec<Suspect> = Vec::new();
    let mut known: Vec<usize> = Vec::new();
    for (before, place, access) in found {
        let kind = kinds[place];
        if let Some(like) = known.iter().position(|known| *known == kind) {
            suspects[like].count += 1;
        } else if suspects.len() < MOST {
            known.push(kind);
            suspects.push(Suspect {
                access: access.clone(),
                before,
                count: 1,
                relation: relation(error, access.device, topology),
                without_error: 0,
                strength: Strength::None,
            });
        }
    }
    Charge {
        error: error.clone(),
        suspects,
        no_clock,
    }
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

fn strength(suspect: &Suspect) -> Strength {
    /// An error is reported within this time, in microseconds.
    const SOON: i64 = 2_000_000;

    if !suspect.access.allowed {
        return Strength::None;
    }
    let soon = suspect.before <= SOON && suspect.access.exact;
    let rare = suspect.without_error == 0;
    match suspect.relation {
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

#[cfg(test)]
#[path = "blame_model_tests.rs"]
mod model_tests;
