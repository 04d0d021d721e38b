// SPDX-License-Identifier: GPL-2.0

//! What was done to a device before without an error.

use std::collections::HashMap;
use std::ops::Range;

use pci_config::Bdf;

use super::accesses::Access;
use super::blame::{relation, Charge, Relation};
use super::error::{DeviceError, Kind};
use super::moment::Moment;
use super::timeline::{lines, Line};
use super::topology::Topology;
use crate::record::Op;

/// What accesses do to a device that are of one kind.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Deed {
    is_write: bool,
    allowed: bool,
    range: Range<usize>,
}

impl Deed {
    fn of(access: &Access) -> Self {
        Self {
            is_write: access.op == Op::Write,
            allowed: access.allowed,
            range: access.range.clone(),
        }
    }

    fn is_like(&self, other: &Access) -> bool {
        self.is_write == (other.op == Op::Write)
            && self.allowed == other.allowed
            && other.range.start < self.range.end
            && self.range.start < other.range.end
    }
}

/// The accesses to a device that no error of it followed. If it is unknown whether one did, an
/// access is no evidence.
struct History<'a>(Vec<Line<'a>>);

impl<'a> History<'a> {
    fn new(accesses: &'a [Access], places: &[usize], errors: &[&DeviceError], window: u64) -> Self {
        let all = lines(accesses, places.iter().copied());
        Self(
            all.into_iter()
                .filter_map(|line| {
                    let mut followed = Followed::new(line.len());
                    for error in errors {
                        followed.mark(line.before(&error.moment, window)?);
                    }
                    let followed = followed.each();
                    Some(line.filtered(|index, _| !followed[index]))
                })
                .collect(),
        )
    }

    fn like(&self, deed: &Deed) -> Self {
        let like = |_, access: &Access| deed.is_like(access);
        Self(self.0.iter().map(|line| line.filtered(like)).collect())
    }

    /// How many there are longer before a moment than that.
    fn earlier(&self, moment: &Moment, window: u64) -> u64 {
        let lines = self.0.iter();
        let counts = lines.filter_map(|line| line.earlier(moment, window));
        counts.map(|count| count as u64).sum()
    }
}

/// Which of a line an error followed: the difference of each to the one before it.
struct Followed(Vec<i64>);

impl Followed {
    fn new(count: usize) -> Self {
        Self(vec![0; count + 1])
    }

    fn mark(&mut self, range: Range<usize>) {
        self.0[range.start] += 1;
        self.0[range.end] -= 1;
    }

    fn each(self) -> Vec<bool> {
        let mut errors = 0;
        let add = |change| {
            errors += change;
            errors > 0
        };
        self.0.into_iter().map(add).collect()
    }
}

/// Count for each suspect the earlier accesses of the same kind to these bytes that no error of the
/// device followed.
pub fn count(
    charges: &mut [Charge],
    accesses: &[Access],
    errors: &[&DeviceError],
    topology: &Topology,
    window: u64,
) {
    /// The charge and the suspect that want to know.
    type Asks = HashMap<Deed, Vec<(usize, usize)>>;

    let mut asked: HashMap<Bdf, Asks> = HashMap::new();
    for (charge, of) in charges.iter().enumerate() {
        for (suspect, of) in of.suspects.iter().enumerate() {
            let deeds = asked.entry(of.access.device).or_default();
            let asks = deeds.entry(Deed::of(&of.access)).or_default();
            asks.push((charge, suspect));
        }
    }
    let mut places: HashMap<Bdf, Vec<usize>> = HashMap::new();
    for (place, access) in accesses.iter().enumerate() {
        if asked.contains_key(&access.device) {
            places.entry(access.device).or_default().push(place);
        }
    }
    for (device, deeds) in asked {
        let near: Vec<&DeviceError> = errors
            .iter()
            .filter(|error| error.kind != Kind::Panic)
            .filter(|error| relation(error, device, topology) > Relation::TimeOnly)
            .copied()
            .collect();
        let history = History::new(accesses, &places[&device], &near, window);
        for (deed, asks) in deeds {
            let like = history.like(&deed);
            for (charge, suspect) in asks {
                let charge = &mut charges[charge];
                charge.suspects[suspect].without_error = like.earlier(&charge.error.moment, window);
            }
        }
    }
}
