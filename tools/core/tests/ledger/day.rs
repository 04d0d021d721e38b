// SPDX-License-Identifier: GPL-2.0

//! The size of the log after a day of flooding at the default limits.
//!
//! Lines are counted in the form that auditd writes with `log_format=RAW`.

use pci_audit::{
    access::CONFIG_SPACE_SIZE,
    record::{
        Access,
        Text, //
    },
    Op,
    Outcome,
    Range,
    Session, //
};
use pci_audit_core::{
    account::GROUPS,
    bucket::Time,
    holders::Process,
    ledger::{
        Decision,
        Ledger,
        Limits,
        Step, //
    },
    touched::Bitmap, //
};
use std::fmt::Display;

const SECOND: u64 = 1_000_000_000;
const TICK: u64 = 4_000_000;
const START: u64 = 1000 * SECOND;
const LIMITS: Limits = Limits::new(1, 24);

/// auditd keeps more than this by default: 5 files of 8 MiB.
const MOST: u64 = 32_000_000;

/// The length of an op=open line: the usual one, and the maximum.
const OPEN_LINE: [u64; 2] = [450, 9000];

fn line(body: impl Display) -> u64 {
    let text = Text {
        device: "0000:01:00.0",
        body,
    };

    format!("type=PCI msg=audit(1747758000.123:1234567): {text}\n").len() as u64
}

struct Day {
    now: u64,
    ledger: Ledger<Box<[Bitmap; GROUPS]>>,
    session: u64,
    worker: u64,
    opens: u64,
    accesses: u64,
    others: u64,
    records: u64,
    bytes: u64,
}

impl Day {
    fn new() -> Self {
        let bitmaps =
            || -> Box<[Bitmap; GROUPS]> { Box::new([[0; CONFIG_SPACE_SIZE / 64]; GROUPS]) };

        Self {
            now: START,
            ledger: Ledger::new(bitmaps(), bitmaps()),
            session: 100_000,
            worker: u64::MAX,
            opens: 0,
            accesses: 0,
            others: 0,
            records: 0,
            bytes: 0,
        }
    }

    fn open(&mut self) {
        self.session += 1;
        self.ledger.begin(self.session);
    }

    fn close(&mut self) {
        self.ledger.end();
        self.worker = self.now;
    }

    fn access(&mut self, process: Process, number: u64) {
        // All groups, and enough ranges for reports of maximum length.
        let op = Op::ALL[number as usize % 2];
        let outcome = Outcome::ALL[number as usize / 2 % 2];
        let offset = 0x400 + number as usize * 40 % 0xb00;
        let range = Range::new(offset, 4, CONFIG_SPACE_SIZE).unwrap();
        let now = Time {
            ns: self.now,
            tick: self.now / TICK,
            tick_ns: TICK,
        };

        self.worker = self.worker.min(self.now + SECOND);
        self.accesses += 1;
        if self.ledger.is_shut(op, now.tick) {
            return self.ledger.suppress(op, range, outcome);
        }
        match self.ledger.access(op, range, outcome, process, LIMITS, now) {
            Decision::Suppress => (),
            Decision::Record { named } => {
                if !named {
                    self.opens += 1;
                    self.ledger.named(process);
                }
                self.records += 1;
                self.bytes += line(Access {
                    op,
                    range,
                    session: Session(Some(self.session)),
                    outcome,
                });
                self.ledger.recorded(op, outcome);
            }
        }
    }

    fn pass(&mut self, ns: u64) {
        self.now += ns;
        while self.worker <= self.now {
            match self.ledger.step(LIMITS, self.now) {
                Step::Write(entry) => {
                    self.others += 1;
                    self.bytes += line(entry.record);
                }
                Step::Wait(ns) => self.worker = self.now + ns.max(1),
                Step::Done => self.worker = u64::MAX,
            }
        }
    }

    fn is_over(&self) -> bool {
        self.now >= START + 86_400 * SECOND
    }

    fn judge(&self, what: &str) {
        for (open, how) in OPEN_LINE.iter().zip(["usual", "the longest"]) {
            let bytes = self.bytes + self.opens * open;
            println!(
                "{what}: {} accesses; {} access records, {} opens ({how}, {open} bytes), {} \
                 others: {:.1} MB",
                self.accesses,
                self.records,
                self.opens,
                self.others,
                bytes as f64 / 1e6
            );
            assert!(bytes < MOST, "{what}: {bytes} bytes");
        }
        // There was a flood, and the limits reduced it.
        assert!(self.others > 17_000, "{}", self.others);
    }
}

#[test]
fn one_long_session_takes_less_than_32_mb() {
    let process = Process {
        tgid: 1,
        started: 1,
        executed: 1,
    };
    let mut day = Day::new();

    day.open();
    for number in 0.. {
        if day.is_over() {
            break;
        }
        day.access(process, number);
        day.pass(SECOND / 50);
    }
    assert!(day.records > 2 * 86_000, "{}", day.records);
    day.judge("one session");
}

#[test]
fn a_session_with_as_many_children_as_are_named_takes_less_than_32_mb() {
    let mut day = Day::new();

    day.open();
    for number in 0.. {
        if day.is_over() {
            break;
        }
        // Processes one after the other, each until a token for the next op=open is available.
        let children = [0, (day.now - START) / (120 * SECOND)];
        let process = Process {
            tgid: 1,
            started: children[usize::from(number % 100 > 1)],
            executed: 1,
        };
        day.access(process, number);
        day.pass(SECOND / 50);
    }
    assert!(day.opens > 700, "{}", day.opens);
    assert!(day.records > 2 * 85_000, "{}", day.records);
    day.judge("one session with children");
}

#[test]
fn sessions_and_children_by_the_thousand_take_less_than_32_mb() {
    let mut day = Day::new();

    for round in 0.. {
        if day.is_over() {
            break;
        }
        day.open();
        for number in 0..48 {
            // A new process for every second access of each kind.
            let process = Process {
                tgid: number as i32 / 4,
                started: round,
                executed: 1,
            };
            day.access(process, round * 7 + number);
            day.pass(SECOND / 200);
        }
        day.close();
    }
    assert!(day.opens > 700, "{}", day.opens);
    day.judge("sessions of 48");
}
