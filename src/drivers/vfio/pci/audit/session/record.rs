// SPDX-License-Identifier: GPL-2.0

//! The texts of the records that a session has besides those of its accesses.
//!
//! Imports only `core` and what `pci_audit` has of that kind. Each text is what follows `op=`. User
//! space parses the fields: names and order do not change.

use super::totals::Totals;
use core::fmt;
use pci_audit::{
    Op,
    Outcome,
    Range,
    Session, //
};

/// One record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Record {
    /// A process makes its first recorded access. Its identity and `res=1` follow the text.
    Open,
    /// A session ended.
    Close(Totals),
    /// Accesses have no record of their own.
    Suppressed {
        /// What they did.
        op: Op,
        /// Whether they were allowed.
        outcome: Outcome,
        /// Number of accesses that were over the limit.
        count: u64,
        /// Number of accesses whose record the audit subsystem refused.
        lost: u64,
        /// Number of [`Record::Touched`] that follow.
        ranges: u32,
    },
    /// A range that accesses without a record touched.
    Touched(Op, Range, Outcome),
}

/// A record of a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SessionRecord {
    /// The session, or none if the record is about several.
    pub session: Session,
    /// The record.
    pub record: Record,
}

impl fmt::Display for SessionRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let session = self.session;

        match &self.record {
            Record::Open => write!(f, "open session={session}"),
            Record::Close(t) => write!(
                f,
                "close session={session} reads={} writes={} blocked_reads={} blocked_writes={} \
                 records={} suppressed={} lost={} res=1",
                t.reads,
                t.writes,
                t.blocked_reads,
                t.blocked_writes,
                t.records,
                t.suppressed,
                t.lost
            ),
            Record::Suppressed {
                op,
                outcome,
                count,
                lost,
                ranges,
            } => write!(
                f,
                "suppressed access={op} session={session} count={count} lost={lost} \
                 ranges={ranges} res={outcome}"
            ),
            Record::Touched(op, range, outcome) => {
                write!(
                    f,
                    "touched access={op} {range} session={session} res={outcome}"
                )
            }
        }
    }
}
