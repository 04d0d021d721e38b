// SPDX-License-Identifier: GPL-2.0

//! The expected contents of the log, in the simplest way: every byte of every session is kept.

use pci_audit::{
    access::CONFIG_SPACE_SIZE,
    Op,
    Outcome,
    Range, //
};
use pci_audit_core::{
    account::GROUPS,
    holders::Process,
    ledger::REPORT_RECORDS,
    record::Record,
    totals::Totals, //
};
use std::collections::{
    BTreeMap,
    HashMap, //
};

type Bytes = [[bool; CONFIG_SPACE_SIZE]; GROUPS];

fn mark(bytes: &mut Bytes, op: Op, range: Range, outcome: Outcome) {
    bytes[2 * op as usize + outcome as usize][range.offset()..range.end()].fill(true);
}

/// What the log contains for one session number, or for `?`.
pub(crate) struct Said {
    /// Sum of the counts in `op=suppressed`.
    suppressed: u64,
    lost: u64,
    /// Bytes in the ranges of `op=touched` and of accesses.
    bytes: Box<Bytes>,
    /// Number of `op=open` records of each process.
    pub(crate) opens: HashMap<(i32, u64, u64), u32>,
}

impl Default for Said {
    fn default() -> Self {
        Self {
            suppressed: 0,
            lost: 0,
            bytes: Box::new([[false; CONFIG_SPACE_SIZE]; GROUPS]),
            opens: HashMap::new(),
        }
    }
}

/// The accesses of a session.
pub(crate) struct Done {
    pub(crate) totals: Totals,
    bytes: Box<Bytes>,
}

impl Default for Done {
    fn default() -> Self {
        Self {
            totals: Totals::default(),
            bytes: Box::new([[false; CONFIG_SPACE_SIZE]; GROUPS]),
        }
    }
}

/// What happened to the record of an access.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fate {
    Recorded,
    Suppressed,
    Lost,
}

pub(crate) fn key(process: Process) -> (i32, u64, u64) {
    (process.tgid, process.started, process.executed)
}

/// The ranges that a report has announced and not yet named.
struct Announced {
    session: Option<u64>,
    group: (Op, Outcome),
    ranges: u32,
}

/// All accesses and records of one device.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) done: BTreeMap<u64, Done>,
    pub(crate) said: HashMap<Option<u64>, Said>,
    /// Ended sessions with accesses and without a close record.
    pub(crate) ended: Vec<u64>,
    announced: Option<Announced>,
    in_report: usize,
    /// Whether a session ended since the report began.
    is_cut: bool,
    /// The operations and outcomes in the report, and its session.
    report: Vec<(Option<u64>, Op, Outcome)>,
}

impl Model {
    pub(crate) fn access(
        &mut self,
        session: u64,
        op: Op,
        range: Range,
        outcome: Outcome,
        fate: Fate,
    ) {
        let done = self.done.entry(session).or_default();
        let blocked = u64::from(outcome == Outcome::Blocked);

        match op {
            Op::Read => {
                done.totals.reads += 1;
                done.totals.blocked_reads += blocked;
            }
            Op::Write => {
                done.totals.writes += 1;
                done.totals.blocked_writes += blocked;
            }
        }
        match fate {
            Fate::Recorded => done.totals.records += 1,
            Fate::Suppressed => done.totals.suppressed += 1,
            Fate::Lost => done.totals.lost += 1,
        }
        mark(&mut done.bytes, op, range, outcome);
    }

    pub(crate) fn end(&mut self, session: u64) {
        self.is_cut = true;
        if self.done.contains_key(&session) {
            self.ended.push(session);
        }
    }

    pub(crate) fn said_open(&mut self, session: u64, process: Process) {
        let said = self.said.entry(Some(session)).or_default();
        *said.opens.entry(key(process)).or_default() += 1;
    }

    pub(crate) fn said_access(
        &mut self,
        session: u64,
        process: Process,
        op: Op,
        range: Range,
        outcome: Outcome,
    ) {
        let said = self.said.entry(Some(session)).or_default();

        assert!(
            said.opens.contains_key(&key(process)),
            "a record of an access of {process:?}, which no op=open of session {session} names"
        );
        mark(&mut said.bytes, op, range, outcome);
    }

    fn report_ends(&mut self) {
        self.in_report = 0;
        self.report.clear();
        self.is_cut = false;
    }

    /// The worker waits. If all announced ranges were named, the next report may begin. Before
    /// that, the records do not tell whether a report is complete.
    pub(crate) fn waits(&mut self) {
        if self.announced.as_ref().is_none_or(|a| a.ranges == 0) {
            self.report_ends();
        }
    }

    /// Audit refused a record of the worker, and the rest of its report is abandoned.
    pub(crate) fn refused(&mut self) {
        self.announced = None;
        self.report_ends();
    }

    /// The ledger returned a record to the worker.
    pub(crate) fn let_go(&mut self, session: Option<u64>, record: &Record) {
        if let Record::Suppressed { op, outcome, .. } = record {
            let group = (session, *op, *outcome);
            // A report contains each operation and outcome once, and covers one session. If a
            // session ends during a report, no further groups are added to it.
            let seen = |seen: &(Option<u64>, Op, Outcome)| seen.0 != session || *seen == group;
            if self.is_cut || self.report.iter().any(seen) {
                self.report_ends();
            }
            self.report.push(group);
        }
        match record {
            Record::Open => panic!("the worker names no process"),
            Record::Close(_) => self.report_ends(),
            _ => {
                self.in_report += 1;
                assert!(self.in_report <= REPORT_RECORDS, "a report too long");
            }
        }
    }

    /// Audit accepted a record of the worker. `of` are the sessions that a close record covers.
    pub(crate) fn said_report(&mut self, session: Option<u64>, record: &Record, of: &[u64]) {
        let said = self.said.entry(session).or_default();
        match *record {
            Record::Open => (),
            Record::Suppressed {
                op,
                outcome,
                count,
                lost,
                ranges,
            } => {
                assert!(self.announced.as_ref().is_none_or(|a| a.ranges == 0));
                said.suppressed += count;
                said.lost += lost;
                self.announced = Some(Announced {
                    session,
                    group: (op, outcome),
                    ranges,
                });
            }
            Record::Touched(op, range, outcome) => {
                let announced = self.announced.as_mut().expect("a range of no report");
                assert_eq!(announced.session, session);
                assert_eq!(announced.group, (op, outcome));
                assert!(
                    announced.ranges > 0,
                    "more ranges than the report announced"
                );
                announced.ranges -= 1;
                mark(&mut said.bytes, op, range, outcome);
            }
            Record::Close(totals) => {
                assert!(self.announced.as_ref().is_none_or(|a| a.ranges == 0));
                self.said_close(session, totals, of);
            }
        }
    }

    fn said_close(&mut self, session: Option<u64>, totals: Totals, of: &[u64]) {
        assert!(!of.is_empty(), "a close of no session");
        match session {
            Some(number) => assert_eq!(of, [number]),
            None => assert!(of.len() > 1, "a close of session {of:?} does not name it"),
        }

        let mut expected = Totals::default();
        let mut covered: Bytes = [[false; CONFIG_SPACE_SIZE]; GROUPS];
        let (mut suppressed, mut lost) = (0, 0);
        let mut add_said = |said: Said| {
            suppressed += said.suppressed;
            lost += said.lost;
            for (covered, bytes) in covered
                .iter_mut()
                .flatten()
                .zip(said.bytes.iter().flatten())
            {
                *covered |= bytes;
            }
        };
        // `?` covers only the sessions of this close record, and starts anew after it.
        if session.is_none() {
            add_said(self.said.remove(&None).unwrap_or_default());
        }
        let mut touched: Bytes = [[false; CONFIG_SPACE_SIZE]; GROUPS];
        for number in of {
            let done = self.done.remove(number).expect("the session had accesses");
            let said = self.said.remove(&Some(*number)).unwrap_or_default();
            // The ledger has room for this number of processes.
            if said.opens.len() <= 4 {
                let twice = said.opens.values().find(|&&times| times > 1);
                assert_eq!(twice, None, "a process of session {number} is named twice");
            }
            expected += done.totals;
            for (all, bytes) in touched
                .iter_mut()
                .flatten()
                .zip(done.bytes.iter().flatten())
            {
                *all |= bytes;
            }
            add_said(said);
        }
        self.ended.retain(|number| !of.contains(number));

        assert_eq!(totals, expected, "the totals of {of:?}");
        assert_eq!(
            totals.reads + totals.writes,
            totals.records + totals.suppressed + totals.lost
        );
        assert_eq!(
            (suppressed, lost),
            (totals.suppressed, totals.lost),
            "reports of {of:?}"
        );
        for (group, (touched, covered)) in touched.iter().zip(&covered).enumerate() {
            for at in 0..CONFIG_SPACE_SIZE {
                assert!(
                    covered[at] || !touched[at],
                    "byte {at:#x} of group {group} of {of:?} is in no range"
                );
            }
        }
    }
}
