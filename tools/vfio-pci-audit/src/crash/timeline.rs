// SPDX-License-Identifier: GPL-2.0

//! Accesses in the order of time, to be searched by a moment.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;

use super::accesses::Access;
use super::moment::{Boot, Moment};

/// What the moments of a line have in common, so that they are in one order for any other moment.
#[derive(PartialEq, Eq, Hash)]
struct Clocks {
    boot: Option<Boot>,
    has_up: bool,
    has_wall: bool,
    /// How far two clocks are apart.
    apart: Option<i128>,
    within: u64,
}

impl Clocks {
    fn of(moment: &Moment) -> Self {
        let apart = |(wall, up)| i128::from(wall) - i128::from(up);
        Self {
            boot: moment.boot,
            has_up: moment.up.is_some(),
            has_wall: moment.wall.is_some(),
            apart: moment.wall.zip(moment.up).map(apart),
            within: moment.within,
        }
    }
}

/// Accesses whose moments are by the same clocks, by their places in the list that they are of, in
/// the order of time. Of those of one moment the last in the list comes first.
pub struct Line<'a> {
    accesses: &'a [Access],
    places: Vec<usize>,
    within: u64,
}

impl<'a> Line<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The access at an index of the line, and its place in the list.
    pub fn at(&self, index: usize) -> (&'a Access, usize) {
        let place = self.places[index];
        (&self.accesses[place], place)
    }

    /// Those that are asked for.
    pub fn filtered(&self, mut wanted: impl FnMut(usize, &Access) -> bool) -> Self {
        let indices = (0..self.len()).filter(|index| wanted(*index, self.at(*index).0));
        Self {
            accesses: self.accesses,
            places: indices.map(|index| self.places[index]).collect(),
            within: self.within,
        }
    }

    /// The indices of those that were in the time before a moment, as far as clocks are exact;
    /// nothing without a clock in common.
    pub fn before(&self, moment: &Moment, window: u64) -> Option<Range<usize>> {
        let late = moment.within.max(self.within);
        let late = late.min(i64::MAX as u64) as i64;
        let start = self.earlier(moment, window)?;
        let end = self.until(|access| {
            let before = access.moment.before(moment);
            before.is_some_and(|before| before >= -late)
        });
        Some(start..end.max(start))
    }

    /// How many were longer before a moment than that; nothing without a clock in common.
    pub fn earlier(&self, moment: &Moment, window: u64) -> Option<usize> {
        let window = window.min(i64::MAX as u64) as i64;
        let first = self.places.first()?;
        self.accesses[*first].moment.before(moment)?;
        Some(self.until(|access| {
            let before = access.moment.before(moment);
            before.is_some_and(|before| before > window)
        }))
    }

    fn until(&self, is_before: impl Fn(&Access) -> bool) -> usize {
        self.places
            .partition_point(|place| is_before(&self.accesses[*place]))
    }
}

/// Lines of the accesses at some places of a list.
pub fn lines(accesses: &[Access], places: impl IntoIterator<Item = usize>) -> Vec<Line<'_>> {
    let mut by_clocks: HashMap<Clocks, Vec<usize>> = HashMap::new();
    for place in places {
        let clocks = Clocks::of(&accesses[place].moment);
        by_clocks.entry(clocks).or_default().push(place);
    }
    let lines = by_clocks.into_iter().map(|(clocks, mut places)| {
        places.sort_by_key(|place| {
            let moment = &accesses[*place].moment;
            (moment.up, moment.wall, Reverse(*place))
        });
        Line {
            accesses,
            places,
            within: clocks.within,
        }
    });
    lines.collect()
}
