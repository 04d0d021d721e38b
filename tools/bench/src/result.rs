// SPDX-License-Identifier: GPL-2.0

//! Measured results, as the machine under test passes them to the host that checks them.

use serde::{Deserialize, Serialize};

use crate::sample::Figure;

/// One row of the table.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Row {
    /// What is loaded and set.
    pub(crate) name: String,
    /// One figure for each of [`cell::ALL`](crate::cell::ALL).
    pub(crate) figures: Vec<Figure>,
}

/// How a figure grows with something.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Growth {
    /// What is counted.
    pub(crate) what: String,
    /// With what it may grow.
    pub(crate) with: String,
    /// How many, and what it costs then.
    pub(crate) points: Vec<(u64, u64)>,
}

/// What was measured on a stock kernel.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Stock {
    /// The kernel's release.
    pub(crate) kernel: String,
    /// More rows of the table.
    pub(crate) rows: Vec<Row>,
}

/// Everything.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Results {
    /// The release of the kernel, and of the stock kernel once its rows are in the table too.
    pub(crate) kernel: String,
    /// How often everything was measured anew.
    pub(crate) rounds: usize,
    /// The table.
    pub(crate) rows: Vec<Row>,
    /// The bare record from C.
    pub(crate) yardstick: Figure,
    /// The charts of growth.
    pub(crate) growth: Vec<Growth>,
    /// Bytes of kernel memory that a session takes.
    pub(crate) session_bytes: u64,
}

impl Results {
    /// The row of this name.
    pub(crate) fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }
}
