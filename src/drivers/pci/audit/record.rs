// SPDX-License-Identifier: GPL-2.0

//! The text of every `AUDIT_PCI` record.
//!
//! Imports only `core`. All formatting is here; whoever decides what to record hands in a
//! [`Record`]. Fields and their order are fixed: userspace parses them. Names are those of the
//! audit field dictionary where it has one.

use super::{
    access::{
        Op,
        Outcome,
        Range, //
    },
    totals::Totals,
};
use core::fmt;

/// One record, without its device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Record {
    /// One access.
    Access(Op, Range, Outcome),
    /// A session's first access comes next. The task's own fields and `res=1` follow the text.
    Open,
    /// A session ended.
    Close(Totals),
    /// Accesses went without a record of their own.
    Suppressed {
        /// What they did.
        op: Op,
        /// Whether they were let through.
        outcome: Outcome,
        /// How many were over the limit.
        count: u64,
        /// How many the audit subsystem refused.
        lost: u64,
        /// How many [`Record::Touched`] follow.
        ranges: u32,
    },
    /// A range that unrecorded accesses touched.
    Touched(Op, Range, Outcome),
}

/// A record's text: everything behind `msg=audit(...): `.
pub struct Text<'a> {
    /// The device's name, as in `0000:01:00.1`.
    pub device: &'a str,
    /// What to say of it.
    pub record: Record,
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The quotes tell audit userspace, to which `device` is an encoded field, that it is not.
        f.write_str("device=\"")?;
        f.write_str(self.device)?;
        f.write_str("\" op=")?;
        match &self.record {
            // Piece by piece: most records are of this kind, which is not to cost more than from C.
            Record::Access(op, range, outcome) => {
                op.fmt(f)?;
                f.write_str(" ")?;
                range.fmt(f)?;
                f.write_str(" res=")?;
                outcome.fmt(f)
            }
            Record::Open => f.write_str("open"),
            Record::Close(t) => write!(
                f,
                "close reads={} writes={} blocked_reads={} blocked_writes={} \
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
                "suppressed access={op} count={count} lost={lost} ranges={ranges} res={outcome}"
            ),
            Record::Touched(op, range, outcome) => {
                write!(f, "touched access={op} {range} res={outcome}")
            }
        }
    }
}

/// Bytes that hold the longest text: a close record with 20 digits in every field.
const LINE_SIZE: usize = 320;

/// A record's text on the stack.
pub struct Line {
    bytes: [u8; LINE_SIZE],
    len: usize,
}

impl Line {
    /// A line without text.
    #[inline]
    pub fn new() -> Self {
        Self {
            bytes: [0; LINE_SIZE],
            len: 0,
        }
    }

    /// Formats `text` into an empty line. What does not fit, which only a device name of absurd
    /// length can cause, is cut off.
    pub fn format(&mut self, text: &Text<'_>) -> &[u8] {
        let _ = fmt::Write::write_fmt(self, format_args!("{text}"));
        &self.bytes[..self.len]
    }
}

impl Default for Line {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let take = s.len().min(LINE_SIZE - self.len);
        self.bytes[self.len..self.len + take].copy_from_slice(&s.as_bytes()[..take]);
        self.len += take;
        if take < s.len() {
            Err(fmt::Error)
        } else {
            Ok(())
        }
    }
}
