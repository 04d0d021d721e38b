// SPDX-License-Identifier: GPL-2.0

//! What changed between two periods: before and after an update of a driver, or before and after
//! blocking.

use std::collections::{BTreeMap, BTreeSet};

use pci_config::Bdf;
use serde::Serialize;

use crate::map::Unassigned;
use crate::record::Op;
use crate::scan::Scan;
use crate::tally::{Cell, Device};
use crate::time;
use crate::touched::Touched;
use crate::vms::Vms;
use crate::words::{range_text, result_text};

/// Everything that is compared.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// Every device of either period.
    pub devices: Vec<DeviceChange>,
}

/// One device.
#[derive(Debug, Serialize)]
pub struct DeviceChange {
    /// The machine that it is in, where records say so.
    pub node: Option<String>,
    /// Its address.
    pub device: String,
    /// How long it was watched, in milliseconds.
    pub watched: Pair<u64>,
    /// How many sessions it had.
    pub sessions: Pair<u64>,
    /// Who held it only before.
    pub holders_gone: Vec<String>,
    /// Who holds it only now.
    pub holders_new: Vec<String>,
    /// Accesses by operation and result; only those of which there are any.
    pub accesses: Vec<CellChange>,
}

/// A value before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Pair<T> {
    /// Before.
    pub old: T,
    /// After.
    pub new: T,
}

/// Accesses of one operation with one result.
#[derive(Debug, Serialize)]
pub struct CellChange {
    /// "read" or "write".
    pub op: String,
    /// "allowed" or "blocked".
    pub result: &'static str,
    /// How many accesses, with or without a record.
    pub count: Pair<u64>,
    /// Bytes that were accessed only before.
    pub gone: Vec<Unassigned>,
    /// Bytes that are accessed only now.
    pub new: Vec<Unassigned>,
}

/// A device of a scan, and the virtual machines of its machine.
type Found<'a> = (&'a Device, &'a Vms);

impl Comparison {
    /// Compare what two scans found.
    pub fn new(old: &Scan, new: &Scan) -> Self {
        let mut all: BTreeMap<(Option<String>, Bdf), Pair<Option<Found<'_>>>> = BTreeMap::new();
        let none = Pair {
            old: None,
            new: None,
        };
        for (node, bdf, device) in old.tally.devices() {
            let entry = all.entry((node.map(str::to_owned), bdf)).or_insert(none);
            entry.old = Some((device, old.tally.vms(node)));
        }
        for (node, bdf, device) in new.tally.devices() {
            let entry = all.entry((node.map(str::to_owned), bdf)).or_insert(none);
            entry.new = Some((device, new.tally.vms(node)));
        }
        let devices = all.into_iter();
        Self {
            devices: devices
                .map(|((node, bdf), pair)| DeviceChange::new(node, bdf, pair))
                .collect(),
        }
    }

    /// The text.
    pub fn text(&self) -> String {
        let texts: Vec<String> = self.devices.iter().map(DeviceChange::text).collect();
        texts.join("\n")
    }
}

impl DeviceChange {
    fn new(node: Option<String>, bdf: Bdf, pair: Pair<Option<Found<'_>>>) -> Self {
        let both = |pick: &dyn Fn(Found<'_>) -> u64| Pair {
            old: pair.old.map_or(0, pick),
            new: pair.new.map_or(0, pick),
        };
        let holders = |found: Option<Found<'_>>| found.map(names).unwrap_or_default();
        let (before, after) = (holders(pair.old), holders(pair.new));
        let without = |one: &BTreeSet<String>, other: &BTreeSet<String>| {
            one.difference(other).cloned().collect()
        };
        let cells = [
            (Op::Write, true),
            (Op::Write, false),
            (Op::Read, true),
            (Op::Read, false),
        ];
        Self {
            node,
            device: bdf.to_string(),
            watched: both(&|(device, _)| device.watched),
            sessions: both(&|(device, _)| device.sessions.summary().count),
            holders_gone: without(&before, &after),
            holders_new: without(&after, &before),
            accesses: cells
                .into_iter()
                .filter_map(|(op, allowed)| {
                    let cell = |found: Option<Found<'_>>| {
                        found.map(|(device, _)| device.cell(op, allowed).clone())
                    };
                    CellChange::new(op, allowed, cell(pair.old), cell(pair.new))
                })
                .collect(),
        }
    }

    fn text(&self) -> String {
        let on = self.node.as_ref().map(|node| format!(" on {node}"));
        let mut text = format!(
            "{}{}: {} sessions before, {} after; logs of {} before, {} after\n",
            self.device,
            on.unwrap_or_default(),
            self.sessions.old,
            self.sessions.new,
            time::span(self.watched.old),
            time::span(self.watched.new)
        );
        for (what, holders) in [("gone", &self.holders_gone), ("new", &self.holders_new)] {
            if !holders.is_empty() {
                text += &format!("  holders {what}: {}\n", holders.join(", "));
            }
        }
        if self.accesses.is_empty() {
            return text + "  accesses: none\n";
        }
        text += "  accesses               before       after      change\n";
        for cell in &self.accesses {
            let change = i128::from(cell.count.new) - i128::from(cell.count.old);
            text += &format!(
                "    {:5} {:8} {:>13}  {:>10}  {change:>+10}\n",
                cell.op, cell.result, cell.count.old, cell.count.new
            );
            for (what, ranges) in [("no more", &cell.gone), ("new", &cell.new)] {
                if !ranges.is_empty() {
                    let all = ranges.iter().map(|range| range_text(&range.range()));
                    text += &format!("      {what} at {}\n", all.collect::<Vec<_>>().join(", "));
                }
            }
        }
        text
    }
}

/// Who held a device: virtual machines by name, other programs by theirs. A process is another one
/// every time.
fn names((device, vms): Found<'_>) -> BTreeSet<String> {
    let all = device.sessions.summary().holders;
    let name = |held: &crate::sessions::Held| match vms.find(&held.holder, held.first, held.boot) {
        Some(vm) => format!("VM {}", vm.text()),
        None => held.holder.name().to_owned(),
    };
    all.iter().map(name).collect()
}

impl CellChange {
    fn new(op: Op, allowed: bool, old: Option<Cell>, new: Option<Cell>) -> Option<Self> {
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        let count = Pair {
            old: old.accesses(),
            new: new.accesses(),
        };
        let (before, after) = (touched(&old), touched(&new));
        let without = |one: &Touched, other: &Touched| {
            let ranges = one.without(other).ranges();
            ranges.iter().map(Unassigned::new).collect::<Vec<_>>()
        };
        let change = Self {
            op: op.to_string(),
            result: result_text(allowed),
            count,
            gone: without(&before, &after),
            new: without(&after, &before),
        };
        let any = count.old > 0 || count.new > 0;
        (any || !change.gone.is_empty() || !change.new.is_empty()).then_some(change)
    }
}

fn touched(cell: &Cell) -> Touched {
    let mut all = Touched::default();
    for place in cell.places() {
        all.add(place.range);
    }
    all
}
