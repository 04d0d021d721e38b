// SPDX-License-Identifier: GPL-2.0

//! A device: its ledger, and what of it goes to the log when.
//!
//! This is what the kernel module does around the same ledger, in `session.rs` and `device.rs`:
//! there for audit, here for a file.

use std::io;

use pci_audit::record::{Access as AccessRecord, Line, LineOf, Text};
use pci_audit::{Op, Outcome, Range, Session};
use pci_audit_core::account::GROUPS;
use pci_audit_core::bucket::Time;
use pci_audit_core::holders::Process;
use pci_audit_core::ledger::{Decision, Entry, Ledger, Limits, Step};
use pci_audit_core::record::{Record, SessionRecord};
use pci_audit_core::touched::Bitmap;

/// Nanoseconds from the first access without a record to its report, as in the module.
const FIRST_REPORT: u64 = 1_000_000_000;

/// Nanoseconds until what could not be written is tried again, as in the module.
const RETRY: u64 = 30_000_000_000;

/// Nanoseconds of a tick of the ledger's coarse clock.
const TICK: u64 = 4_000_000;

/// Takes records.
pub trait Sink {
    /// Takes a record of a time on the monotonic clock: what comes after `msg=audit(...): `.
    fn write(&mut self, time: u64, text: &[u8]) -> io::Result<()>;
}

/// A device that was accessed.
pub struct Device {
    name: String,
    ledger: Ledger<Box<[Bitmap; GROUPS]>>,
    /// The open session.
    session: Option<u64>,
    /// When there is something to write.
    due: Option<u64>,
}

fn bitmaps() -> Box<[Bitmap; GROUPS]> {
    Box::new([[0; 64]; GROUPS])
}

impl Device {
    /// A device without a session.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ledger: Ledger::new(bitmaps(), bitmaps()),
            session: None,
            due: None,
        }
    }

    /// The open session.
    pub fn session(&self) -> Option<u64> {
        self.session
    }

    /// Session `number` begins. None is open.
    pub fn begin(&mut self, number: u64) {
        self.ledger.begin(number);
        self.session = Some(number);
    }

    /// The open session ends.
    pub fn end(&mut self, now: u64) {
        if self.session.take().is_some() {
            self.ledger.end();
            if self.ledger.has_unreported() {
                self.due = Some(now);
            }
        }
    }

    /// Accounts for one run of the open session, and records it within the limits. `fields` are
    /// those of the process; nothing if it is not known.
    pub fn access(
        &mut self,
        run: Run,
        limits: Limits,
        fields: impl FnOnce() -> Option<Vec<u8>>,
        sink: &mut impl Sink,
    ) {
        let Run {
            op,
            range,
            process,
            time,
        } = run;
        let outcome = Outcome::Allowed;
        let now = Time {
            ns: time,
            tick: time / TICK,
            tick_ns: TICK,
        };

        if self.ledger.is_shut(op, now.tick) {
            self.ledger.suppress(op, range, outcome);
            return;
        }
        let decision = self.ledger.access(op, range, outcome, process, limits, now);
        if let Decision::Record { named } = decision {
            let written = (named || self.name(process, fields, time, sink))
                && self.record(op, range, outcome, time, sink);
            if written {
                self.ledger.recorded(op, outcome);
            } else {
                self.ledger.lost(op, range, outcome);
            }
        }
        self.expect(time);
    }

    /// Accounts for `count` runs of the open session that are not known one by one.
    pub fn lost(&mut self, op: Op, range: Range, count: u64, now: u64) {
        for _ in 0..count {
            self.ledger.lost(op, range, Outcome::Allowed);
        }
        self.expect(now);
    }

    /// Has a report written in a while, unless one will be anyway.
    fn expect(&mut self, now: u64) {
        if self.due.is_none() && self.ledger.has_unreported() {
            self.due = Some(now + FIRST_REPORT);
        }
    }

    fn record(
        &self,
        op: Op,
        range: Range,
        outcome: Outcome,
        time: u64,
        sink: &mut impl Sink,
    ) -> bool {
        let access = AccessRecord {
            op,
            range,
            session: Session(self.session),
            outcome,
        };
        let mut line = LineOf::<{ AccessRecord::SIZE }>::new();
        access.append_with_device(&mut line, &self.name);
        sink.write(time, line.bytes()).is_ok()
    }

    fn text(&self, record: &SessionRecord) -> Vec<u8> {
        let device = &self.name;
        let body = record;
        Line::new().format(&Text { device, body }).to_vec()
    }

    /// Writes `op=open` for a process. Whether it could be.
    fn name(
        &mut self,
        process: Process,
        fields: impl FnOnce() -> Option<Vec<u8>>,
        time: u64,
        sink: &mut impl Sink,
    ) -> bool {
        let Some(fields) = fields() else {
            return false;
        };
        let mut text = self.text(&SessionRecord {
            session: Session(self.session),
            record: Record::Open,
        });
        text.extend(fields);
        text.extend(b" res=1");
        let written = sink.write(time, &text).is_ok();
        if written {
            self.ledger.named(process);
        }
        written
    }

    /// Writes what is due, as far as the pace allows.
    pub fn work(&mut self, limits: Limits, now: u64, sink: &mut impl Sink) {
        if self.due.is_none_or(|due| now < due) {
            return;
        }
        let again = self.report(limits, now, sink);
        let again = again.or_else(|| self.ledger.has_unreported().then_some(FIRST_REPORT));
        self.due = again.map(|delay| now + delay);
        if self.due.is_none() {
            // The next access without a record has this called again.
            self.ledger.open_gates();
        }
    }

    fn report(&mut self, limits: Limits, now: u64, sink: &mut impl Sink) -> Option<u64> {
        loop {
            match self.ledger.step(limits, now) {
                Step::Write(entry) => {
                    if !self.write(&entry, now, sink) {
                        return Some(RETRY);
                    }
                }
                Step::Wait(delay) => return Some(delay),
                Step::Done => return None,
            }
        }
    }

    fn write(&mut self, entry: &Entry, now: u64, sink: &mut impl Sink) -> bool {
        let written = sink.write(now, &self.text(&entry.record)).is_ok();
        if !written {
            self.ledger.refused(entry);
        }
        written
    }

    /// Ends the open session, and writes all that was not written yet. Whether it could be.
    pub fn finish(&mut self, now: u64, sink: &mut impl Sink) -> bool {
        self.end(now);
        while let Some(entry) = self.ledger.flush() {
            if !self.write(&entry, now, sink) {
                return false;
            }
        }
        true
    }
}

/// One access: one run in one system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// What it does.
    pub op: Op,
    /// Where.
    pub range: Range,
    /// Whose it is.
    pub process: Process,
    /// When, in nanoseconds of the monotonic clock. Never goes back.
    pub time: u64,
}
