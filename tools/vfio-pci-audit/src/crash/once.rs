// SPDX-License-Identifier: GPL-2.0

//! Tells each error once, of which several sources tell.

use std::collections::{BTreeMap, HashMap};

use pci_config::Bdf;

use super::error::{DeviceError, Kind, Severity};

/// By how many microseconds the times of one error differ: rasdaemon hears of it a little later.
const LATER: u64 = 1_500_000;

/// What the errors of one source have in common that may be those of another.
type Key = (Kind, Option<Bdf>, Severity);

/// Errors by a clock, in microseconds.
type Clock<'a> = BTreeMap<u64, Vec<&'a DeviceError>>;

/// The errors of one source and key so far, by their clocks.
#[derive(Default)]
struct Known<'a> {
    wall: Clock<'a>,
    up: Clock<'a>,
    within: u64,
}

impl<'a> Known<'a> {
    fn add(&mut self, error: &'a DeviceError) {
        let moment = &error.moment;
        for (clock, time) in [(&mut self.wall, moment.wall), (&mut self.up, moment.up)] {
            if let Some(time) = time {
                clock.entry(time).or_default().push(error);
            }
        }
        self.within = self.within.max(moment.within);
    }

    fn has(&self, error: &DeviceError) -> bool {
        let moment = &error.moment;
        let reach = LATER.saturating_add(self.within.max(moment.within));
        let near = |clock: &Clock<'a>, time: u64| {
            let mut near = clock.range(time.saturating_sub(reach)..=time.saturating_add(reach));
            near.any(|(_, errors)| errors.iter().any(|known| is_close(known, error)))
        };
        moment.wall.is_some_and(|wall| near(&self.wall, wall))
            || moment.up.is_some_and(|up| near(&self.up, up))
    }
}

fn is_close(a: &DeviceError, b: &DeviceError) -> bool {
    let close = LATER.saturating_add(a.moment.within.max(b.moment.within));
    a.moment
        .before(&b.moment)
        .is_some_and(|us| us.unsigned_abs() <= close)
}

/// The source of an error: where it is written, without the number of the line or row.
fn source(error: &DeviceError) -> &str {
    let name = error.from.trim_end_matches(|c: char| c.is_ascii_digit());
    name.strip_suffix([':', ' ']).unwrap_or(&error.from)
}

/// The errors that no other source told of before: the first that is read says most.
pub fn once<'a>(errors: impl Iterator<Item = &'a DeviceError>) -> Vec<&'a DeviceError> {
    let mut all: HashMap<Key, HashMap<&str, Known<'a>>> = HashMap::new();
    errors
        .filter(|error| {
            let error: &'a DeviceError = error;
            let source = source(error);
            let sources = all
                .entry((error.kind, error.device, error.severity))
                .or_default();
            let is_known = sources
                .iter()
                .any(|(other, known)| *other != source && known.has(error));
            sources.entry(source).or_default().add(error);
            !is_known
        })
        .collect()
}
