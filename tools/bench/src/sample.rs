// SPDX-License-Identifier: GPL-2.0

//! Statistics of repeated counts.

use serde::{Deserialize, Serialize};

/// Repeated counts of the same access.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Figure {
    /// The median count.
    pub(crate) median: u64,
    /// The smallest.
    pub(crate) min: u64,
    /// The spread of the medians of several rounds.
    pub(crate) spread: u64,
}

impl Figure {
    /// The statistics of one round.
    pub(crate) fn of(mut counts: Vec<u64>) -> Self {
        counts.sort_unstable();
        Self {
            median: counts[counts.len() / 2],
            min: counts[0],
            spread: 0,
        }
    }

    /// The statistics of several rounds: the middle median, and the spread.
    pub(crate) fn join(mut all: Vec<Self>) -> Self {
        all.sort_unstable_by_key(|figure| figure.median);
        let spread = all[all.len() - 1].median - all[0].median;
        let middle = &all[all.len() / 2];
        Self {
            median: middle.median,
            min: all.iter().map(|figure| figure.min).min().unwrap_or(0),
            spread,
        }
    }
}
