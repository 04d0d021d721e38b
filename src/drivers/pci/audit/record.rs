// SPDX-License-Identifier: GPL-2.0

//! The text of an `AUDIT_PCI` record of an access, and the buffer for any record's text.
//!
//! Imports only `core`. User space parses the fields: names and order do not change. Names are
//! those of the audit field dictionary where it has one.

use super::access::{
    write_number,
    Op,
    Outcome,
    Range, //
};
use core::fmt;

/// A record's `session=` value: the number of a session, or `?` where there is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Session(pub Option<u64>);

impl Session {
    /// The caller has no sessions, or the record is about several.
    pub const NONE: Self = Self(None);
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(number) => write_number::<10>(f, number),
            None => f.write_str("?"),
        }
    }
}

/// The record of one access, from `op=` on without the name of that field:
/// `write offset=0x298 size=1 session=7 res=0`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Access {
    /// What the access does.
    pub op: Op,
    /// The bytes it is for.
    pub range: Range,
    /// The session that it belongs to.
    pub session: Session,
    /// Whether it is allowed.
    pub outcome: Outcome,
}

// Written piece by piece: `write!` would cost more than the C equivalent of the whole record.
impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.op.fmt(f)?;
        f.write_str(" ")?;
        self.range.fmt(f)?;
        f.write_str(" session=")?;
        self.session.fmt(f)?;
        f.write_str(" res=")?;
        self.outcome.fmt(f)
    }
}

/// A record's whole text: everything behind `msg=audit(...): `.
pub struct Text<'a, T> {
    /// The device's name, as in `0000:01:00.1`.
    pub device: &'a str,
    /// What follows `op=`.
    pub body: T,
}

impl<T: fmt::Display> fmt::Display for Text<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `device` is an encoded field to audit user space. The quotes mark a value that is not
        // encoded.
        f.write_str("device=\"")?;
        f.write_str(self.device)?;
        f.write_str("\" op=")?;
        self.body.fmt(f)
    }
}

/// Bytes that hold the longest text: a record with eight numbers of 20 digits.
const LINE_SIZE: usize = 384;

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

    /// Formats `text` into an empty line. Text that does not fit is cut off; only a device name of
    /// hundreds of bytes can cause that.
    pub fn format<T: fmt::Display>(&mut self, text: &T) -> &[u8] {
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
