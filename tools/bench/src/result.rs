// SPDX-License-Identifier: GPL-2.0

//! Results, as the measured machine passes them to the host that checks them.

use serde::{Deserialize, Serialize};

use crate::sample::Figure;

/// One row of the table.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Row {
    /// The modules and settings.
    pub(crate) name: String,
    /// One figure for each of [`cell::ALL`](crate::cell::ALL).
    pub(crate) figures: Vec<Figure>,
}

/// How a figure grows with a quantity.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Growth {
    /// The figure.
    pub(crate) what: String,
    /// The quantity.
    pub(crate) with: String,
    /// Quantities and figures.
    pub(crate) points: Vec<(u64, u64)>,
}

/// The results on a stock kernel.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Stock {
    /// The kernel's release.
    pub(crate) kernel: String,
    /// Further rows of the table.
    pub(crate) rows: Vec<Row>,
}

/// All results.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Results {
    /// The release of the kernel, and of the stock kernel if its rows are in the table.
    pub(crate) kernel: String,
    /// The number of rounds.
    pub(crate) rounds: usize,
    /// The table.
    pub(crate) rows: Vec<Row>,
    /// The cost of a bare record from C.
    pub(crate) yardstick: Figure,
    /// The charts of growth.
    pub(crate) growth: Vec<Growth>,
    /// Bytes of kernel memory per session.
    pub(crate) session_bytes: u64,
}

impl Results {
    /// The row with this name.
    pub(crate) fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }
}
