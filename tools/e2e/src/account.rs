// SPDX-License-Identifier: GPL-2.0

//! Checks that the records of sessions account for everything that their clients did: the number of
//! accesses and the bytes.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{bail, ensure, Result};
use vfio_client::stream::{self, Op, Touched};

use crate::record::{Kind, Record, Session, Totals};

/// What may have happened to records before they reached the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// No record was lost.
    None,
    /// Audit may have refused records. The session counts these.
    Refused,
    /// Audit may have accepted records and lost them later. The session cannot count these.
    Unnoticed,
}

/// What the client did, by operation and by decision.
#[derive(Clone, Debug, Default)]
pub(crate) struct Truth {
    parts: [Part; 4],
}

#[derive(Clone, Debug, Default)]
struct Part {
    accesses: u64,
    bytes: Touched,
}

const PARTS: [(Op, bool); 4] = [
    (Op::Read, true),
    (Op::Read, false),
    (Op::Write, true),
    (Op::Write, false),
];

fn index(op: Op, allowed: bool) -> usize {
    2 * usize::from(op == Op::Write) + usize::from(!allowed)
}

impl Truth {
    /// Add an access.
    pub(crate) fn add(&mut self, op: Op, allowed: bool, run: Range<usize>) {
        let part = &mut self.parts[index(op, allowed)];
        part.accesses += 1;
        part.bytes.add(run);
    }

    /// Add a stream of which all reads and all writes had the same decision.
    pub(crate) fn add_stream(&mut self, done: &stream::Totals, read: bool, write: bool) {
        for (op, allowed, accesses, bytes) in [
            (Op::Read, read, done.read_runs, &done.read_bytes),
            (Op::Write, write, done.write_runs, &done.written_bytes),
        ] {
            let part = &mut self.parts[index(op, allowed)];
            part.accesses += accesses;
            part.bytes.merge(bytes);
        }
    }

    /// Add everything that another client of the device did.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (part, other) in self.parts.iter_mut().zip(&other.parts) {
            part.accesses += other.accesses;
            part.bytes.merge(&other.bytes);
        }
    }

    /// The numbers of reads, blocked reads, writes and blocked writes.
    pub(crate) fn counts(&self) -> [u64; 4] {
        [
            self.both(Op::Read),
            self.accesses(Op::Read, false),
            self.both(Op::Write),
            self.accesses(Op::Write, false),
        ]
    }

    fn accesses(&self, op: Op, allowed: bool) -> u64 {
        self.parts[index(op, allowed)].accesses
    }

    fn both(&self, op: Op) -> u64 {
        self.accesses(op, true) + self.accesses(op, false)
    }
}

/// Number of accesses that have a record.
pub(crate) fn accesses(records: &[Record]) -> u64 {
    records.iter().filter(|record| record.is_access()).count() as u64
}

/// The totals of each op=close record, with the record.
pub(crate) fn closes(records: &[Record]) -> impl Iterator<Item = (&Record, Totals)> {
    records.iter().filter_map(|record| match record.kind {
        Kind::Close(totals) => Some((record, totals)),
        _ => None,
    })
}

/// Check all records of one session against what its client did.
pub(crate) fn check(records: &[Record], truth: &Truth, loss: Loss) -> Result<Totals> {
    let ends = closes(records).count();
    ensure!(ends == 1, "{ends} op=close records");
    let number = records[0].session;
    ensure!(number.is_some(), "it has no number: {}", records[0].text);
    if let Some(other) = records.iter().find(|record| record.session != number) {
        bail!("not of session {number:?}: {}", other.text);
    }
    check_all(records, truth, loss)
}

/// Check the records of any number of sessions of one device against what their clients did in
/// total. Returns the sum of the totals.
///
/// Sessions that cannot be reported one by one share an op=close record, so only the sums have to
/// match.
pub(crate) fn check_all(records: &[Record], truth: &Truth, loss: Loss) -> Result<Totals> {
    let totals = check_sums(records, loss)?;
    counts(&totals, truth)?;
    if loss != Loss::Unnoticed {
        places(records, truth)?;
    }
    Ok(totals)
}

/// Check as much of the records of any number of sessions of one device as can be checked without
/// knowing what their clients did. Returns the sum of the totals.
pub(crate) fn check_sums(records: &[Record], loss: Loss) -> Result<Totals> {
    let totals = frames(records, loss)?;
    balance(&totals)?;
    let found = accesses(records);
    if loss == Loss::Unnoticed {
        ensure!(
            found <= totals.records,
            "{found} accesses are in the log, more than the {} that were recorded",
            totals.records
        );
        return Ok(totals);
    }
    ensure!(
        found == totals.records,
        "{found} accesses are in the log, and op=close says records={}",
        totals.records
    );
    ensure!(
        loss == Loss::Refused || totals.lost == 0,
        "{} records were lost",
        totals.lost
    );
    reports(records, &totals, loss)?;
    Ok(totals)
}

/// Check that an op=open record precedes the accesses of each session, and that each session has
/// one op=close record. Returns the sum of the totals.
fn frames(records: &[Record], loss: Loss) -> Result<Totals> {
    let mut sum = Totals::default();
    let mut ends: BTreeMap<Session, Totals> = BTreeMap::new();
    for (record, totals) in closes(records) {
        ensure!(
            record.res == Some(true),
            "op=close without res=1: {}",
            record.text
        );
        ensure!(
            totals.reads + totals.writes > 0,
            "an end of no access: {}",
            record.text
        );
        let before = ends.insert(record.session, totals);
        ensure!(
            record.session.is_none() || before.is_none(),
            "a second end: {}",
            record.text
        );
        sum += totals;
    }
    ensure!(!ends.is_empty(), "no op=close");

    let mut recorded: BTreeMap<Session, u64> = BTreeMap::new();
    let mut opened: BTreeMap<Session, u64> = BTreeMap::new();
    for record in records {
        if record.kind == Kind::Open {
            *opened.entry(record.session).or_default() += 1;
        }
        if !record.is_access() {
            continue;
        }
        ensure!(
            record.session.is_some(),
            "an access without a session: {}",
            record.text
        );
        // If audit refuses records, it may refuse op=open too. The next access tries again.
        ensure!(
            loss != Loss::None || opened.contains_key(&record.session),
            "no op=open came before {}",
            record.text
        );
        *recorded.entry(record.session).or_default() += 1;
    }
    for (session, opened) in opened {
        ensure!(
            loss != Loss::None || recorded.contains_key(&session),
            "{opened} op=open of session {session:?}, of which no access is recorded"
        );
    }
    for (session, recorded) in recorded {
        match ends.get(&session) {
            Some(end) => ensure!(
                end.records == recorded || loss == Loss::Unnoticed,
                "{recorded} accesses of session {session:?} are in the log, and its op=close says \
                 {}",
                end.records
            ),
            None => ensure!(ends.contains_key(&None), "session {session:?} has no end"),
        }
    }
    Ok(sum)
}

fn counts(totals: &Totals, truth: &Truth) -> Result<()> {
    for (name, told, done) in [
        ("reads", totals.reads, truth.both(Op::Read)),
        ("writes", totals.writes, truth.both(Op::Write)),
        (
            "blocked_reads",
            totals.blocked_reads,
            truth.accesses(Op::Read, false),
        ),
        (
            "blocked_writes",
            totals.blocked_writes,
            truth.accesses(Op::Write, false),
        ),
    ] {
        ensure!(
            told == done,
            "op=close says {name}={told}, and the client made {done}"
        );
    }
    Ok(())
}

/// Check that each access was recorded, suppressed or lost.
fn balance(totals: &Totals) -> Result<()> {
    let accesses = totals.reads + totals.writes;
    let accounted = totals.records + totals.suppressed + totals.lost;
    ensure!(
        accesses == accounted,
        "{accesses} accesses, but records={} suppressed={} lost={} make {accounted}",
        totals.records,
        totals.suppressed,
        totals.lost
    );
    Ok(())
}

/// Check that the reports add up to the totals, and that each is followed by its ranges.
fn reports(records: &[Record], totals: &Totals, loss: Loss) -> Result<()> {
    let (mut suppressed, mut lost) = (0, 0);
    for (at, record) in records.iter().enumerate() {
        let Kind::Suppressed {
            op,
            count,
            lost: refused,
            ranges,
        } = record.kind
        else {
            continue;
        };
        suppressed += count;
        lost += refused;
        let follow = records[at + 1..]
            .iter()
            // Accesses continue while a report is written, possibly of new processes.
            .filter(|next| !next.is_access() && next.kind != Kind::Open)
            .take_while(|next| {
                next.res == record.res
                    && next.session == record.session
                    && matches!(next.kind, Kind::Touched { op: other, .. } if other == op)
            })
            .count() as u64;
        ensure!(
            follow == ranges || (loss != Loss::None && follow < ranges),
            "{follow} op=touched records follow this one: {}",
            record.text
        );
    }
    ensure!(
        suppressed == totals.suppressed && lost == totals.lost,
        "the reports add up to suppressed={suppressed} lost={lost}, op=close says {} and {}",
        totals.suppressed,
        totals.lost
    );
    Ok(())
}

/// Check that each accessed byte is in a record, and that no record names a byte that was not
/// accessed.
fn places(records: &[Record], truth: &Truth) -> Result<()> {
    let mut told: [Touched; 4] = Default::default();
    for record in records {
        let (Kind::Access { op, offset, size } | Kind::Touched { op, offset, size }) = record.kind
        else {
            continue;
        };
        let Some(allowed) = record.res else {
            bail!("no res=: {}", record.text);
        };
        ensure!(size > 0, "no size: {}", record.text);
        let bytes = &truth.parts[index(op, allowed)].bytes;
        // At the end of a session, ranges may be joined over the gaps between them, but not
        // extended.
        let joined = matches!(record.kind, Kind::Touched { .. });
        for byte in offset..offset + size {
            let inside = joined && byte != offset && byte + 1 != offset + size;
            ensure!(
                bytes.contains(byte) || inside,
                "the client did not access byte {byte:#x} in this way: {}",
                record.text
            );
        }
        told[index(op, allowed)].add(offset..offset + size);
    }
    for (op, allowed) in PARTS {
        let part = &truth.parts[index(op, allowed)];
        if let Some(byte) = part.bytes.missing_from(&told[index(op, allowed)]) {
            bail!("no record tells of the {op:?} (allowed: {allowed}) that touched {byte:#x}");
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
