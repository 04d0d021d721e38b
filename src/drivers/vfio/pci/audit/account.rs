// SPDX-License-Identifier: GPL-2.0

//! A session's account: what was accessed, and what of it the log does not have yet.
//!
//! Imports only `core`. At every moment accesses = records + suppressed + lost, and every byte of
//! an access without a record of its own is marked until a report has named it.

use super::{
    access::{
        Op,
        Outcome,
        Range, //
    },
    totals::Totals,
    touched::{
        self,
        Bitmap, //
    },
};
use core::ops::DerefMut;

/// One [`Gap`] and one [`Bitmap`] for each operation and outcome.
pub const GAPS: usize = 4;

/// Ranges that one report of one gap names at most.
pub const MAX_RANGES: usize = 11;

/// The accesses of one operation and outcome, each counted once, by what became of its record.
#[derive(Clone, Copy, Debug, Default)]
struct Gap {
    recorded: u64,
    suppressed: u64,
    lost: u64,
    /// How many of `suppressed` reports have told of.
    told_suppressed: u64,
    /// How many of `lost` reports have told of.
    told_lost: u64,
}

impl Gap {
    fn accesses(&self) -> u64 {
        self.recorded + self.suppressed + self.lost
    }

    fn is_told(&self) -> bool {
        self.suppressed == self.told_suppressed && self.lost == self.told_lost
    }
}

/// What a report says of one operation and outcome.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// What the accesses did.
    pub op: Op,
    /// Whether they were let through.
    pub outcome: Outcome,
    /// How many were over the limit.
    pub suppressed: u64,
    /// How many the audit subsystem refused.
    pub lost: u64,
    ranges: [Option<Range>; MAX_RANGES],
}

impl Report {
    /// The ranges that the accesses touched.
    pub fn ranges(&self) -> impl Iterator<Item = Range> + '_ {
        self.ranges.iter().flatten().copied()
    }
}

/// A session's account. `M` owns the bitmaps, which are too large for a stack.
pub struct Account<M> {
    gaps: [Gap; GAPS],
    touched: M,
}

const fn index(op: Op, outcome: Outcome) -> usize {
    2 * op as usize + outcome as usize
}

impl<M: DerefMut<Target = [Bitmap; GAPS]>> Account<M> {
    /// An account without accesses. `touched` is all zero.
    pub fn new(touched: M) -> Self {
        Self {
            gaps: [Gap::default(); GAPS],
            touched,
        }
    }

    /// What was accessed since the session began.
    pub fn totals(&self) -> Totals {
        let accesses = |op, outcome| self.gaps[index(op, outcome)].accesses();
        let sum = |of: fn(&Gap) -> u64| self.gaps.iter().map(of).sum();
        let blocked_reads = accesses(Op::Read, Outcome::Blocked);
        let blocked_writes = accesses(Op::Write, Outcome::Blocked);

        Totals {
            reads: blocked_reads + accesses(Op::Read, Outcome::Allowed),
            writes: blocked_writes + accesses(Op::Write, Outcome::Allowed),
            blocked_reads,
            blocked_writes,
            records: sum(|gap| gap.recorded),
            suppressed: sum(|gap| gap.suppressed),
            lost: sum(|gap| gap.lost),
        }
    }

    /// Whether there was any access.
    pub fn is_empty(&self) -> bool {
        self.gaps.iter().all(|gap| gap.accesses() == 0)
    }

    /// An access has a record of its own.
    #[inline]
    pub fn recorded(&mut self, op: Op, outcome: Outcome) {
        self.gaps[index(op, outcome)].recorded += 1;
    }

    /// An access was over the limit.
    #[inline(always)]
    pub fn suppressed(&mut self, op: Op, range: Range, outcome: Outcome) {
        let gap = index(op, outcome);

        self.gaps[gap].suppressed += 1;
        touched::mark(&mut self.touched[gap], range);
    }

    /// An access's record was refused.
    pub fn lost(&mut self, op: Op, range: Range, outcome: Outcome) {
        let gap = index(op, outcome);

        self.gaps[gap].lost += 1;
        touched::mark(&mut self.touched[gap], range);
    }

    fn is_reported(&self, gap: usize) -> bool {
        self.gaps[gap].is_told() && touched::is_empty(&self.touched[gap])
    }

    /// How many reports it takes to tell of everything, if each had room for all its ranges.
    pub fn unreported(&self) -> usize {
        (0..GAPS).filter(|&gap| !self.is_reported(gap)).count()
    }

    /// Takes what there is to report of `op` and `outcome`: the counts and at most `most` ranges,
    /// at least 1 and at most [`MAX_RANGES`]. The rest stays for the next report, unless this is
    /// the `last` one: then ranges that lie close together become one, so that `most` ranges
    /// cover every touched byte.
    pub fn take(&mut self, op: Op, outcome: Outcome, most: usize, last: bool) -> Option<Report> {
        let gap = index(op, outcome);
        let most = most.clamp(1, MAX_RANGES);

        if self.is_reported(gap) {
            return None;
        }

        let counts = &mut self.gaps[gap];
        let suppressed = counts.suppressed - counts.told_suppressed;
        let lost = counts.lost - counts.told_lost;
        counts.told_suppressed = counts.suppressed;
        counts.told_lost = counts.lost;

        let map = &mut self.touched[gap];
        let bridge = if last {
            touched::bridge_for(map, most)
        } else {
            0
        };
        let mut ranges = [None; MAX_RANGES];
        let mut from = 0;

        for slot in &mut ranges[..most] {
            let Some(range) = touched::next(map, from, bridge) else {
                break;
            };
            touched::clear(map, range);
            from = range.end();
            *slot = Some(range);
        }
        Some(Report {
            op,
            outcome,
            suppressed,
            lost,
            ranges,
        })
    }

    /// Takes back the counts of a report that was refused.
    pub fn restore_counts(&mut self, report: &Report) {
        let gap = &mut self.gaps[index(report.op, report.outcome)];

        gap.told_suppressed -= report.suppressed;
        gap.told_lost -= report.lost;
    }

    /// Takes back a range of a report that was refused.
    pub fn restore_range(&mut self, op: Op, outcome: Outcome, range: Range) {
        touched::mark(&mut self.touched[index(op, outcome)], range);
    }
}
