// SPDX-License-Identifier: GPL-2.0

//! Sums of totals, which only host programs need.

use crate::totals::Totals;
use std::ops::AddAssign;

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.reads += other.reads;
        self.writes += other.writes;
        self.blocked_reads += other.blocked_reads;
        self.blocked_writes += other.blocked_writes;
        self.records += other.records;
        self.suppressed += other.suppressed;
        self.lost += other.lost;
    }
}
