// SPDX-License-Identifier: GPL-2.0

//! Many counts of the same thing, and what stands for them.

use serde::{Deserialize, Serialize};

/// Counts of one thing, each with an instruction count of its own.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Figure {
    /// The median count.
    pub(crate) median: u64,
    /// The smallest.
    pub(crate) min: u64,
    /// By how much the medians of repetitions differ.
    pub(crate) spread: u64,
}

impl Figure {
    /// The figure of one repetition.
    pub(crate) fn of(mut counts: Vec<u64>) -> Self {
        counts.sort_unstable();
        Self {
            median: counts[counts.len() / 2],
            min: counts[0],
            spread: 0,
        }
    }

    /// The figure of several repetitions: their middle one, and how far they are apart.
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
