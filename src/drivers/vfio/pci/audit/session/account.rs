// SPDX-License-Identifier: GPL-2.0

//! What was accessed, and what of it the log does not have yet.
//!
//! Imports only `core` and what `pci_audit` has of that kind. At every moment accesses = records +
//! suppressed + lost, and every byte of an access without a record of its own is marked until a
//! report has named it.

use super::{
    totals::Totals,
    touched::{
        self,
        Bitmap, //
    },
};
use core::ops::DerefMut;
use pci_audit::{
    Op,
    Outcome,
    Range, //
};

/// Number of pairs of an operation and an outcome. Each has [`Counters`] and a [`Bitmap`].
pub const GROUPS: usize = 4;

/// Maximum number of ranges in a [`Report`].
pub const MAX_RANGES: usize = 11;

/// The accesses of one group, each counted once, by what became of its record.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    recorded: u64,
    suppressed: u64,
    lost: u64,
    /// How many of `suppressed` are in a report.
    reported_suppressed: u64,
    /// How many of `lost` are in a report.
    reported_lost: u64,
}

impl Counters {
    fn accesses(&self) -> u64 {
        self.recorded + self.suppressed + self.lost
    }

    fn is_reported(&self) -> bool {
        self.suppressed == self.reported_suppressed && self.lost == self.reported_lost
    }

    fn add(&mut self, other: &Self) {
        self.recorded += other.recorded;
        self.suppressed += other.suppressed;
        self.lost += other.lost;
        self.reported_suppressed += other.reported_suppressed;
        self.reported_lost += other.reported_lost;
    }
}

/// What a report says of one group.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// What the accesses did.
    pub op: Op,
    /// Whether they were allowed.
    pub outcome: Outcome,
    /// Number of accesses that were over the limit.
    pub suppressed: u64,
    /// Number of accesses whose record the audit subsystem refused.
    pub lost: u64,
    ranges: [Option<Range>; MAX_RANGES],
}

impl Report {
    /// The ranges that the accesses touched.
    pub fn ranges(&self) -> impl Iterator<Item = Range> + '_ {
        self.ranges.iter().flatten().copied()
    }
}

/// The accesses of one session, or of several that ended. `M` owns the bitmaps, which are too
/// large for a stack.
pub struct Account<M> {
    counters: [Counters; GROUPS],
    touched: M,
}

const fn index(op: Op, outcome: Outcome) -> usize {
    2 * op as usize + outcome as usize
}

/// The totals of the accesses in `counters`.
pub fn totals(counters: &[Counters; GROUPS]) -> Totals {
    let accesses = |op, outcome| counters[index(op, outcome)].accesses();
    let sum = |of: fn(&Counters) -> u64| counters.iter().map(of).sum();
    let blocked_reads = accesses(Op::Read, Outcome::Blocked);
    let blocked_writes = accesses(Op::Write, Outcome::Blocked);

    Totals {
        reads: blocked_reads + accesses(Op::Read, Outcome::Allowed),
        writes: blocked_writes + accesses(Op::Write, Outcome::Allowed),
        blocked_reads,
        blocked_writes,
        records: sum(|counters| counters.recorded),
        suppressed: sum(|counters| counters.suppressed),
        lost: sum(|counters| counters.lost),
    }
}

impl<M: DerefMut<Target = [Bitmap; GROUPS]>> Account<M> {
    /// An account without accesses. `touched` is all zero.
    pub fn new(touched: M) -> Self {
        Self {
            counters: [Counters::default(); GROUPS],
            touched,
        }
    }

    /// What was accessed.
    pub fn totals(&self) -> Totals {
        totals(&self.counters)
    }

    /// Whether there was no access.
    pub fn is_empty(&self) -> bool {
        self.counters
            .iter()
            .all(|counters| counters.accesses() == 0)
    }

    /// An access has a record of its own.
    #[inline]
    pub fn recorded(&mut self, op: Op, outcome: Outcome) {
        self.counters[index(op, outcome)].recorded += 1;
    }

    /// An access was over the limit.
    #[inline(always)]
    pub fn suppressed(&mut self, op: Op, range: Range, outcome: Outcome) {
        let group = index(op, outcome);

        self.counters[group].suppressed += 1;
        touched::mark(&mut self.touched[group], range);
    }

    /// An access's record was refused.
    pub fn lost(&mut self, op: Op, range: Range, outcome: Outcome) {
        let group = index(op, outcome);

        self.counters[group].lost += 1;
        touched::mark(&mut self.touched[group], range);
    }

    /// Whether a report would have something to say of `op` and `outcome`.
    pub fn is_unreported(&self, op: Op, outcome: Outcome) -> bool {
        let group = index(op, outcome);

        !self.counters[group].is_reported() || !touched::is_empty(&self.touched[group])
    }

    /// The number of groups that a report would have something to say of.
    pub fn unreported(&self) -> usize {
        Op::ALL
            .iter()
            .flat_map(|&op| Outcome::ALL.map(|outcome| (op, outcome)))
            .filter(|&(op, outcome)| self.is_unreported(op, outcome))
            .count()
    }

    /// Takes what there is to report of `op` and `outcome`: the counts and at most `most` ranges,
    /// at least 1 and at most [`MAX_RANGES`]. The rest stays for the next report, unless this is
    /// the `last` one: then ranges that lie close together become one, so that `most` ranges
    /// cover every touched byte.
    pub fn take(&mut self, op: Op, outcome: Outcome, most: usize, last: bool) -> Option<Report> {
        let group = index(op, outcome);
        let most = most.clamp(1, MAX_RANGES);

        if !self.is_unreported(op, outcome) {
            return None;
        }

        let counters = &mut self.counters[group];
        let suppressed = counters.suppressed - counters.reported_suppressed;
        let lost = counters.lost - counters.reported_lost;
        counters.reported_suppressed = counters.suppressed;
        counters.reported_lost = counters.lost;

        let map = &mut self.touched[group];
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

    /// Takes back the counts of a report that was refused. They may have moved here from another
    /// account in the meantime.
    pub fn restore_counts(&mut self, op: Op, outcome: Outcome, suppressed: u64, lost: u64) {
        let counters = &mut self.counters[index(op, outcome)];

        counters.reported_suppressed -= suppressed;
        counters.reported_lost -= lost;
    }

    /// Takes back a range of a report that was refused.
    pub fn restore_range(&mut self, op: Op, outcome: Outcome, range: Range) {
        touched::mark(&mut self.touched[index(op, outcome)], range);
    }

    /// Takes the counters, which leaves an account without accesses. Everything was reported.
    pub fn take_counters(&mut self) -> [Counters; GROUPS] {
        core::mem::take(&mut self.counters)
    }

    /// Adds counters that were taken from this account or another.
    pub fn add_counters(&mut self, counters: &[Counters; GROUPS]) {
        for (sum, counters) in self.counters.iter_mut().zip(counters) {
            sum.add(counters);
        }
    }

    /// Moves everything of `other` into this account.
    pub fn absorb(&mut self, other: &mut Self) {
        self.add_counters(&other.take_counters());
        for (map, other) in self.touched.iter_mut().zip(other.touched.iter_mut()) {
            touched::absorb(map, other);
        }
    }
}
