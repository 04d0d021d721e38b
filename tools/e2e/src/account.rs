// SPDX-License-Identifier: GPL-2.0

//! Whether the records of a session tell all that its client did, by count and by place.

use std::ops::Range;

use anyhow::{bail, ensure, Context, Result};
use vfio_client::stream::{self, Op, Touched};

use crate::record::{Kind, Record, Totals};

/// What may have happened to records on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Nothing.
    None,
    /// Audit may have refused some, and the session knows.
    Refused,
    /// Audit may have taken some and lost them afterwards, of which the session cannot know.
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

    /// Reads, those of them that were blocked, and the same of writes.
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

/// How many accesses have a record of their own.
pub(crate) fn accesses(records: &[Record]) -> u64 {
    let access = |record: &&Record| matches!(record.kind, Kind::Access { .. });
    records.iter().filter(access).count() as u64
}

/// Check all records of a session against what its client did.
pub(crate) fn check(records: &[Record], truth: &Truth, loss: Loss) -> Result<Totals> {
    let totals = frame(records, loss)?;
    counts(&totals, truth)?;
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
    places(records, truth)?;
    Ok(totals)
}

/// One op=open in front, one op=close at the end.
fn frame(records: &[Record], loss: Loss) -> Result<Totals> {
    let opens = records.iter().filter(|r| r.kind == Kind::Open).count();
    ensure!(opens == 1, "{opens} op=open records");
    // Where audit refuses records it may refuse this one, too; it is then tried again later.
    ensure!(
        loss != Loss::None || records[0].kind == Kind::Open,
        "the first record is not op=open: {}",
        records[0].text
    );
    let mut closes = records.iter().filter_map(|record| match record.kind {
        Kind::Close(totals) => Some((record, totals)),
        _ => None,
    });
    let (close, totals) = closes.next().context("no op=close")?;
    ensure!(closes.next().is_none(), "more than one op=close");
    ensure!(close.res == Some(true), "op=close without res=1");
    Ok(totals)
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

/// The reports add up to the totals, and each is followed by its ranges.
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
            // Accesses go on while a report is written.
            .filter(|next| !matches!(next.kind, Kind::Access { .. }))
            .take_while(|next| {
                next.res == record.res
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

/// Every byte that was touched is in a record, and no record names one that was not.
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
        // The end of a session may join ranges over the gaps between them, but may not make them longer.
        let joined = matches!(record.kind, Kind::Touched { .. });
        for byte in offset..offset + size {
            let inside = joined && byte != offset && byte + 1 != offset + size;
            ensure!(
                bytes.contains(byte) || inside,
                "nobody touched {byte:#x} in this way: {}",
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
