// SPDX-License-Identifier: GPL-2.0

//! What is kept about a device: its limits, the account of its session, and what the log does not
//! have yet.
//!
//! Imports only `core` and what `pci_audit` has of that kind. The limits are the device's: another
//! session, another process and audit switched off and on bring no new tokens. The memory is
//! bounded too: of the sessions that ended, the ledger keeps one account. If a second session ends
//! before the log has the first one's end, both ends become one, which is recorded with
//! `session=?`.

use super::{
    account::{
        self,
        Account,
        Counters,
        Report,
        GROUPS, //
    },
    bucket::{
        Bucket,
        Gate,
        Limit,
        Time, //
    },
    holders::{
        Holders,
        Process, //
    },
    pace::Pace,
    record::{
        Record,
        SessionRecord, //
    },
    totals::Totals,
    touched::Bitmap,
};
use core::ops::DerefMut;
use pci_audit::{
    Op,
    Outcome,
    Range,
    Session, //
};

/// Maximum number of records in one report.
pub const REPORT_RECORDS: usize = 12;

/// How much the accesses of a device may write to the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Records of accesses, for reads and for writes.
    accesses: Limit,
    /// `op=open` records. A path makes one up to 9 kB long.
    opens: Limit,
    /// Whether reports and ends have a limit over time.
    pace: bool,
}

impl Limits {
    /// `rate` records per second of reads, and of writes; 0 for no limit. `burst` at once.
    pub const fn new(rate: u32, burst: u32) -> Self {
        Self {
            accesses: Limit::per_second(rate, burst),
            opens: if rate == 0 {
                Limit::NONE
            } else {
                Limit::one_in(120, 24)
            },
            pace: rate != 0,
        }
    }
}

/// What to do about an access.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decision {
    /// Record it. If the log does not name the process yet, name it first.
    Record {
        /// Whether the log names the process.
        named: bool,
    },
    /// The access is over the limit, and counted as suppressed.
    Suppress,
}

/// What the worker does next.
// One is on the stack at a time; a box would have to be allocated.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// Write this record, and call [`Ledger::refused`] if audit does not take it.
    Write(Entry),
    /// Come back in so many nanoseconds.
    Wait(u64),
    /// The log has everything.
    Done,
}

/// A record to write. [`Ledger::refused`] takes it back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// The record.
    pub record: SessionRecord,
    /// The counters that a close record sums up; zero for other records.
    counters: [Counters; GROUPS],
}

/// The session that the account of ended sessions is of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ended {
    /// There is none.
    No,
    /// One session.
    One(u64),
    /// More than one.
    Several,
}

impl Ended {
    fn session(self) -> Session {
        match self {
            Ended::One(number) => Session(Some(number)),
            Ended::No | Ended::Several => Session::NONE,
        }
    }

    fn and(self, number: Option<u64>) -> Self {
        match (self, number) {
            (Ended::No, Some(number)) => Ended::One(number),
            _ => Ended::Several,
        }
    }
}

/// A report that is being written.
struct Reporting {
    session: Session,
    /// Records that it may still have.
    room: usize,
    /// The groups that it still has to cover: bit `2 * op + outcome`.
    groups: u8,
    /// The group that is being written, and which of its ranges is next.
    group: Option<(Report, usize)>,
    /// Whether it is the last one of its session.
    last: bool,
}

/// A session that is open.
struct Open {
    number: u64,
    holders: Holders,
}

/// The ledger of one device. `M` owns bitmaps.
pub struct Ledger<M> {
    gates: [Gate; 2],
    opens: Bucket,
    pace: Pace,
    open: Option<Open>,
    /// The accesses of the open session.
    account: Account<M>,
    ended: Ended,
    /// The accesses of sessions that ended.
    ended_account: Account<M>,
    reporting: Option<Reporting>,
}

const fn group_bit(op: Op, outcome: Outcome) -> u8 {
    1 << (2 * op as u32 + outcome as u32)
}

impl<M: DerefMut<Target = [Bitmap; GROUPS]>> Ledger<M> {
    /// A ledger with full buckets and without sessions. Both sets of bitmaps are all zero.
    pub fn new(touched: M, ended_touched: M) -> Self {
        Self {
            gates: [Gate::new(); 2],
            opens: Bucket::new(),
            pace: Pace::new(),
            open: None,
            account: Account::new(touched),
            ended: Ended::No,
            ended_account: Account::new(ended_touched),
            reporting: None,
        }
    }

    /// Fills all buckets, since the administrator set another limit.
    pub fn fill(&mut self) {
        self.gates = [Gate::new(); 2];
        self.opens = Bucket::new();
        self.pace = Pace::new();
    }

    /// Session `number` begins. None is open.
    pub fn begin(&mut self, number: u64) {
        self.open = Some(Open {
            number,
            holders: Holders::new(),
        });
    }

    /// The open session ends. No access is under way. What the log does not have yet is kept.
    pub fn end(&mut self) {
        let Some(open) = self.open.take() else {
            return;
        };

        if !self.account.is_empty() {
            self.ended = self.ended.and(Some(open.number));
            self.ended_account.absorb(&mut self.account);
        }
        // A report under way goes no further than the group that it is at: the other groups are now
        // those of another session, or of more sessions than its records say.
        if let Some(reporting) = &mut self.reporting {
            reporting.groups = 0;
        }
    }

    /// The open session's number and totals.
    pub fn open(&self) -> Option<(u64, Totals)> {
        let open = self.open.as_ref()?;

        Some((open.number, self.account.totals()))
    }

    /// The session and totals of an end that the log does not have yet.
    pub fn closing(&self) -> Option<(Session, Totals)> {
        (self.ended != Ended::No).then(|| (self.ended.session(), self.ended_account.totals()))
    }

    /// No gate is shut, so that the next access calls [`Ledger::access`]. Brings no tokens.
    pub fn open_gates(&mut self) {
        self.gates.iter_mut().for_each(Gate::open);
    }

    /// Whether there is certainly no token for `op` at `tick`, as long as the limit is the same and
    /// [`Ledger::open_gates`] is not called.
    #[inline(always)]
    pub fn is_shut(&self, op: Op, tick: u64) -> bool {
        self.gates[op as usize].is_shut(tick)
    }

    /// Counts an access that is over the limit.
    #[inline(always)]
    pub fn suppress(&mut self, op: Op, range: Range, outcome: Outcome) {
        self.account.suppressed(op, range, outcome);
    }

    /// Decides whether an access of the open session by `process` is recorded, and takes the tokens
    /// for its records.
    pub fn access(
        &mut self,
        op: Op,
        range: Range,
        outcome: Outcome,
        process: Process,
        limits: Limits,
        now: Time,
    ) -> Decision {
        let named = self.is_named(process);
        let may_name = named || self.opens.wait(limits.opens, now.ns) == 0;
        let tokens = if named { 1 } else { 2 };

        if !may_name || !self.gates[op as usize].take(limits.accesses, now, tokens) {
            self.suppress(op, range, outcome);
            return Decision::Suppress;
        }
        if !named {
            let _ = self.opens.take(limits.opens, now.ns, 1);
        }
        Decision::Record { named }
    }

    /// Whether the log names `process` as a holder of the open session.
    pub fn is_named(&self, process: Process) -> bool {
        self.open
            .as_ref()
            .is_some_and(|open| open.holders.contains(process))
    }

    /// The log names `process` as a holder of the open session.
    pub fn named(&mut self, process: Process) {
        if let Some(open) = &mut self.open {
            open.holders.add(process);
        }
    }

    /// An access has a record of its own.
    pub fn recorded(&mut self, op: Op, outcome: Outcome) {
        self.account.recorded(op, outcome);
    }

    /// An access's record was refused.
    pub fn lost(&mut self, op: Op, range: Range, outcome: Outcome) {
        self.account.lost(op, range, outcome);
    }

    /// Whether there is something that the log does not have yet.
    pub fn has_unreported(&self) -> bool {
        self.reporting.is_some() || self.ended != Ended::No || self.account.unreported() > 0
    }

    /// What the worker does next. A record that this returns is taken out of the ledger.
    pub fn step(&mut self, limits: Limits, now: u64) -> Step {
        if !self.has_unreported() {
            return Step::Done;
        }
        match self.pace.wait(now, limits.pace) {
            0 => (),
            wait => return Step::Wait(wait),
        }
        if self.reporting.is_none() && self.ended == Ended::No {
            match self.pace.wait_for_report(now) {
                0 => self.pace.begin_report(now),
                wait => return Step::Wait(wait),
            }
        }

        match self.next_entry() {
            Some(entry) => {
                self.pace.take(now);
                Step::Write(entry)
            }
            None if self.has_unreported() => Step::Wait(self.pace.wait_for_report(now)),
            None => Step::Done,
        }
    }

    /// As [`Ledger::step`], without regard to the pace: for the end of the module.
    pub fn flush(&mut self) -> Option<Entry> {
        if self.has_unreported() {
            self.next_entry()
        } else {
            None
        }
    }

    fn next_entry(&mut self) -> Option<Entry> {
        loop {
            if self.reporting.is_none() {
                self.begin_report();
            }
            if let Some(entry) = self.next_of_report() {
                return Some(entry);
            }

            self.reporting = None;
            // A session may have ended while the report was written.
            if self.ended == Ended::No {
                return None;
            }
            if self.ended_account.unreported() == 0 {
                return Some(self.take_close());
            }
        }
    }

    /// Begins a report of the sessions that ended or else of the open one.
    fn begin_report(&mut self) {
        let last = self.ended != Ended::No;
        let (session, account) = if last {
            (self.ended.session(), &self.ended_account)
        } else {
            let number = self.open.as_ref().map(|open| open.number);
            (Session(number), &self.account)
        };
        let mut groups = 0;

        for op in Op::ALL {
            for outcome in Outcome::ALL {
                if account.is_unreported(op, outcome) {
                    groups |= group_bit(op, outcome);
                }
            }
        }
        self.reporting = Some(Reporting {
            session,
            room: REPORT_RECORDS,
            groups,
            group: None,
            last,
        });
    }

    fn next_of_report(&mut self) -> Option<Entry> {
        let reporting = self.reporting.as_mut()?;
        let session = reporting.session;

        if let Some((report, next)) = &mut reporting.group {
            if let Some(range) = report.ranges().nth(*next) {
                *next += 1;
                return Some(Entry::new(
                    session,
                    Record::Touched(report.op, range, report.outcome),
                ));
            }
            reporting.group = None;
        }

        for op in Op::ALL {
            for outcome in Outcome::ALL {
                if reporting.groups & group_bit(op, outcome) == 0 {
                    continue;
                }
                // One record is for the counts, the rest of this group's share for ranges.
                let share = reporting.room / reporting.groups.count_ones() as usize;
                let account = if reporting.last {
                    &mut self.ended_account
                } else {
                    &mut self.account
                };

                reporting.groups &= !group_bit(op, outcome);
                let Some(report) = account.take(op, outcome, share - 1, reporting.last) else {
                    continue;
                };
                let ranges = report.ranges().count();
                reporting.room -= 1 + ranges;
                reporting.group = Some((report, 0));
                return Some(Entry::new(
                    session,
                    Record::Suppressed {
                        op,
                        outcome,
                        count: report.suppressed,
                        lost: report.lost,
                        ranges: ranges as u32,
                    },
                ));
            }
        }
        None
    }

    fn take_close(&mut self) -> Entry {
        let session = self.ended.session();
        let counters = self.ended_account.take_counters();

        self.ended = Ended::No;
        Entry {
            record: SessionRecord {
                session,
                record: Record::Close(account::totals(&counters)),
            },
            counters,
        }
    }

    /// Audit did not take a record: what it would have said stays in the ledger. So does the rest
    /// of its report.
    pub fn refused(&mut self, entry: &Entry) {
        let SessionRecord { session, record } = entry.record;
        let reporting = self.reporting.take();
        let open = self.open.as_ref().map(|open| open.number);
        let is_open = session.0.is_some() && session.0 == open;

        if let Record::Close(_) = record {
            self.ended_account.add_counters(&entry.counters);
            self.ended = self.ended.and(session.0);
            return;
        }

        // The session may have ended since the record was taken out.
        let account = if is_open {
            &mut self.account
        } else {
            &mut self.ended_account
        };

        if let Record::Suppressed {
            op,
            outcome,
            count,
            lost,
            ..
        } = record
        {
            account.restore_counts(op, outcome, count, lost);
        }
        if let Record::Touched(op, range, outcome) = record {
            account.restore_range(op, outcome, range);
        }
        if let Some((report, next)) = reporting.and_then(|reporting| reporting.group) {
            for range in report.ranges().skip(next) {
                account.restore_range(report.op, report.outcome, range);
            }
        }
    }
}

impl Entry {
    fn new(session: Session, record: Record) -> Self {
        Self {
            record: SessionRecord { session, record },
            counters: [Counters::default(); GROUPS],
        }
    }
}
