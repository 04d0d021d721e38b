// SPDX-License-Identifier: GPL-2.0

//! A simulated device, worker and audit subsystem, on a virtual clock.
//!
//! Calls the ledger in the same order as the kernel: `session.rs` (access, `access_slow`, record,
//! name) and `session/device.rs` (close, report, write, run).

use crate::model::{
    Fate,
    Model, //
};
use pci_audit::{
    access::CONFIG_SPACE_SIZE,
    Op,
    Outcome,
    Range, //
};
use pci_audit_core::{
    account::GROUPS,
    bucket::Time,
    holders::Process,
    ledger::{
        Decision,
        Entry,
        Ledger,
        Limits,
        Step, //
    },
    record::Record,
    totals::Totals,
    touched::Bitmap, //
};

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1000 * MS;

const TICK: u64 = 4 * MS;
/// As in `session/worker.rs`, which does not build on the host.
const FIRST_REPORT: u64 = SECOND;
const RETRY: u64 = 30 * SECOND;

/// The behaviour of audit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Audit {
    Off,
    /// Refuses each record whose number is a multiple of this; 0 for none, 1 for all.
    RefusesEvery(u64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Emitted {
    Written,
    Off,
    Refused,
}

/// The time at which the ledger returned a record, whether or not audit accepted it. `At::limits`
/// counts the changes of the limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(crate) ns: u64,
    pub(crate) limits: usize,
    pub(crate) open: bool,
    /// The operation of the access, also of an access that an op=open precedes.
    pub(crate) op: Option<Op>,
}

/// An access on another processor that was decided. Its record is not made yet, or the result is
/// not booked yet.
#[derive(Clone, Copy, Debug)]
struct Held {
    op: Op,
    range: Range,
    outcome: Outcome,
    process: Process,
    named: bool,
    result: Option<Emitted>,
}

/// The step of an access at which other processors continue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Hold {
    No,
    BeforeRecord,
    BeforeBooking,
}

/// A record during which audit sleeps.
struct Writing {
    entry: Entry,
    until: u64,
    /// The sessions that a close record covers.
    of: Vec<u64>,
}

pub(crate) struct Sim {
    pub(crate) now: u64,
    pub(crate) ledger: Ledger<Box<[Bitmap; GROUPS]>>,
    pub(crate) limits: Vec<Limits>,
    pub(crate) audit: Audit,
    /// The time that audit needs for a record of the worker.
    pub(crate) sleep: u64,
    /// The delay of the worker.
    pub(crate) late: u64,
    pub(crate) model: Model,
    pub(crate) log: Vec<At>,
    pub(crate) closed: Totals,
    pub(crate) done: Totals,
    /// The times at which reports began.
    pub(crate) reports: Vec<u64>,
    pub(crate) first_suppressed: Option<u64>,
    pub(crate) session: Option<u64>,
    last_session: u64,
    work_queued: bool,
    pending: Option<u64>,
    writing: Option<Writing>,
    held: Vec<Held>,
    records: u64,
}

fn bitmaps() -> Box<[Bitmap; GROUPS]> {
    Box::new([[0; CONFIG_SPACE_SIZE / 64]; GROUPS])
}

impl Sim {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            now: 1000 * SECOND + 1_234_567,
            ledger: Ledger::new(bitmaps(), bitmaps()),
            limits: vec![limits],
            audit: Audit::RefusesEvery(0),
            sleep: 0,
            late: 0,
            model: Model::default(),
            log: Vec::new(),
            closed: Totals::default(),
            done: Totals::default(),
            reports: Vec::new(),
            first_suppressed: None,
            session: None,
            last_session: 0,
            work_queued: false,
            pending: None,
            writing: None,
            held: Vec::new(),
            records: 0,
        }
    }

    fn limits(&self) -> Limits {
        self.limits[self.limits.len() - 1]
    }

    pub(crate) fn set_limits(&mut self, limits: Limits) {
        self.limits.push(limits);
        self.ledger.fill();
    }

    fn emit(&mut self) -> Emitted {
        match self.audit {
            Audit::Off => Emitted::Off,
            Audit::RefusesEvery(n) => {
                self.records += 1;
                if n > 0 && self.records % n == 0 {
                    Emitted::Refused
                } else {
                    Emitted::Written
                }
            }
        }
    }

    fn let_go(&mut self, open: bool, op: Option<Op>) {
        self.log.push(At {
            ns: self.now,
            limits: self.limits.len(),
            open,
            op,
        });
    }

    pub(crate) fn open(&mut self) {
        if self.session.is_none() {
            self.last_session += 1;
            self.session = Some(self.last_session);
            self.ledger.begin(self.last_session);
        }
    }

    pub(crate) fn close(&mut self) {
        self.release();
        let Some(session) = self.session.take() else {
            return;
        };
        self.ledger.end();
        self.model.end(session);
        let pending = self.ledger.has_unreported();
        self.work_queued |= pending;
        if pending {
            self.pending = Some(self.now);
        }
    }

    fn book(&mut self, op: Op, range: Range, outcome: Outcome, fate: Fate) {
        let session = self.session.expect("it is open");
        self.model.access(session, op, range, outcome, fate);
        let blocked = u64::from(outcome == Outcome::Blocked);
        let read = u64::from(op == Op::Read);
        self.done += Totals {
            reads: read,
            writes: 1 - read,
            blocked_reads: read * blocked,
            blocked_writes: (1 - read) * blocked,
            records: u64::from(fate == Fate::Recorded),
            suppressed: u64::from(fate == Fate::Suppressed),
            lost: u64::from(fate == Fate::Lost),
        };
        if fate == Fate::Suppressed && self.first_suppressed.is_none() {
            self.first_suppressed = Some(self.now);
        }
    }

    pub(crate) fn access(
        &mut self,
        process: Process,
        op: Op,
        range: Range,
        outcome: Outcome,
        hold: Hold,
    ) {
        if self.session.is_none() || self.audit == Audit::Off {
            return;
        }
        let tick = self.now / TICK;
        if self.ledger.is_shut(op, tick) {
            self.ledger.suppress(op, range, outcome);
            self.book(op, range, outcome, Fate::Suppressed);
            return;
        }
        let now = Time {
            ns: self.now,
            tick,
            tick_ns: TICK,
        };
        let decision = self
            .ledger
            .access(op, range, outcome, process, self.limits(), now);
        let Decision::Record { named } = decision else {
            self.book(op, range, outcome, Fate::Suppressed);
            self.queue();
            return;
        };
        // The tokens are taken now, even if the record is written later.
        if !named {
            self.let_go(true, Some(op));
        }
        self.let_go(false, Some(op));
        let mut held = Held {
            op,
            range,
            outcome,
            process,
            named,
            result: None,
        };
        match hold {
            Hold::No => self.finish(held),
            Hold::BeforeRecord => self.held.push(held),
            Hold::BeforeBooking => {
                held.result = Some(self.record(&held));
                self.held.push(held);
            }
        }
    }

    /// Completes the accesses on other processors.
    pub(crate) fn release(&mut self) {
        for held in std::mem::take(&mut self.held) {
            self.finish(held);
        }
    }

    fn record(&mut self, held: &Held) -> Emitted {
        let session = self.session.expect("it is open");
        if !held.named {
            match self.name(held.process) {
                Emitted::Written => (),
                other => return other,
            }
        }
        let emitted = self.emit();
        if emitted == Emitted::Written {
            let Held {
                op,
                range,
                outcome,
                process,
                ..
            } = *held;
            self.model.said_access(session, process, op, range, outcome);
        }
        emitted
    }

    fn finish(&mut self, held: Held) {
        let result = match held.result {
            Some(result) => result,
            None => self.record(&held),
        };
        let Held {
            op, range, outcome, ..
        } = held;
        match result {
            Emitted::Written => {
                self.ledger.recorded(op, outcome);
                self.book(op, range, outcome, Fate::Recorded);
            }
            Emitted::Off => return,
            Emitted::Refused => {
                self.ledger.lost(op, range, outcome);
                self.book(op, range, outcome, Fate::Lost);
            }
        }
        if self.ledger.has_unreported() {
            self.queue();
        }
    }

    fn name(&mut self, process: Process) -> Emitted {
        if self.ledger.is_named(process) {
            return Emitted::Written;
        }
        let emitted = self.emit();
        if emitted == Emitted::Written {
            let session = self.session.expect("it is open");
            self.model.said_open(session, process);
        }
        // While auditing is off, op=open is not recorded, and the process is not named.
        if emitted == Emitted::Written {
            self.ledger.named(process);
        }
        emitted
    }

    fn queue(&mut self) {
        if !std::mem::replace(&mut self.work_queued, true) {
            self.queue_work(FIRST_REPORT);
        }
    }

    fn queue_work(&mut self, delay: u64) {
        if self.pending.is_none() {
            self.pending = Some(self.now + delay);
        }
    }

    /// Advances the clock, and runs the worker when it is due.
    pub(crate) fn pass(&mut self, ns: u64) {
        let end = self.now + ns;
        loop {
            let next = match (&self.writing, self.pending) {
                (Some(writing), _) => writing.until,
                // Jiffies are rounded up, and the processor may be busy.
                (None, Some(at)) => at + self.late,
                (None, None) => break,
            };
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            match self.writing.take() {
                Some(writing) => self.written(writing),
                None => {
                    self.pending = None;
                    self.report();
                }
            }
        }
        self.now = end;
    }

    /// Corresponds to Device::report(), up to a record during which audit sleeps.
    fn report(&mut self) {
        if self.audit == Audit::Off {
            return self.ran(None);
        }
        let quiet = self.model.ended.is_empty();
        match self.ledger.step(self.limits(), self.now) {
            Step::Write(entry) => {
                self.let_go(false, None);
                self.model
                    .let_go(entry.record.session.0, &entry.record.record);
                if quiet && matches!(entry.record.record, Record::Suppressed { .. }) {
                    self.reports.push(self.now);
                }
                let of = match entry.record.record {
                    Record::Close(_) => self.model.ended.clone(),
                    _ => Vec::new(),
                };
                self.writing = Some(Writing {
                    entry,
                    until: self.now + self.sleep,
                    of,
                });
            }
            step => {
                self.model.waits();
                self.ran(match step {
                    Step::Wait(ns) => Some(ns),
                    _ => None,
                });
            }
        }
    }

    fn written(&mut self, writing: Writing) {
        let Writing { entry, of, .. } = writing;
        if self.emit() == Emitted::Written {
            let record = &entry.record;
            self.model
                .said_report(record.session.0, &record.record, &of);
            if let Record::Close(totals) = &record.record {
                self.closed += *totals;
            }
            return self.report();
        }
        self.ledger.refused(&entry);
        self.model.refused();
        self.ran(Some(RETRY));
    }

    /// The end of a work item.
    fn ran(&mut self, again: Option<u64>) {
        let on = self.audit != Audit::Off;
        let again = again.or_else(|| (on && self.ledger.has_unreported()).then_some(FIRST_REPORT));
        self.work_queued = again.is_some();
        match again {
            Some(delay) => self.queue_work(delay),
            None => self.ledger.open_gates(),
        }
    }

    /// Every access is in a close record, in the open session, or in a pending close record.
    pub(crate) fn check_sums(&self) {
        let mut sum = self.closed;
        if let Some((number, totals)) = self.ledger.open() {
            assert_eq!(Some(number), self.session);
            let done = self.model.done.get(&number).map(|done| done.totals);
            assert_eq!(totals, done.unwrap_or_default(), "session {number}");
            sum += totals;
        }
        if let Some((_, totals)) = self.ledger.closing() {
            sum += totals;
        }
        if let Some(Writing { entry, .. }) = &self.writing {
            if let Record::Close(totals) = &entry.record.record {
                sum += *totals;
            }
        }
        assert_eq!(sum, self.done);
        assert_eq!(
            sum.reads + sum.writes,
            sum.records + sum.suppressed + sum.lost
        );
    }
}
