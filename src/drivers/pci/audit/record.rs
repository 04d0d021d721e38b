// SPDX-License-Identifier: GPL-2.0

//! The text of an `AUDIT_PCI` record of an access, and the buffer for any record's text.
//!
//! Imports only `core`. User space parses the fields: names and order do not change. Names are
//! those of the audit field dictionary where it has one.

use super::access::{
    write_digits,
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

impl Access {
    /// Bytes that hold the longest text of an access, with its device.
    pub const SIZE: usize = 128;

    /// Appends the text to `line`. Not by way of `fmt`, whose calls for each piece would make the
    /// record dearer than the same from C.
    #[inline]
    pub fn append<const N: usize>(&self, line: &mut LineOf<N>) {
        line.push(match self.op {
            Op::Read => b"read offset=0x",
            Op::Write => b"write offset=0x",
        });
        line.push_number::<16>(self.range.offset() as u64);
        line.push(b" size=");
        line.push_number::<10>(self.range.size() as u64);
        match self.session.0 {
            Some(number) => {
                line.push(b" session=");
                line.push_number::<10>(number);
            }
            None => line.push(b" session=?"),
        }
        line.push(match self.outcome {
            Outcome::Blocked => b" res=0",
            Outcome::Allowed => b" res=1",
        });
    }

    /// The record's whole text: everything after `msg=audit(...): `.
    #[inline]
    pub fn append_with_device<const N: usize>(&self, line: &mut LineOf<N>, device: &str) {
        line.push(DEVICE.as_bytes());
        line.push(device.as_bytes());
        line.push(OP.as_bytes());
        self.append(line);
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = LineOf::<{ Self::SIZE }>::new();

        self.append(&mut line);
        f.write_str(core::str::from_utf8(line.bytes()).unwrap_or("?"))
    }
}

// `device` is an encoded field to audit user space. The quotes mark a value that is not encoded.
const DEVICE: &str = "device=\"";
const OP: &str = "\" op=";

/// A record's whole text: everything behind `msg=audit(...): `.
pub struct Text<'a, T> {
    /// The device's name, as in `0000:01:00.1`.
    pub device: &'a str,
    /// What follows `op=`.
    pub body: T,
}

impl<T: fmt::Display> fmt::Display for Text<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(DEVICE)?;
        f.write_str(self.device)?;
        f.write_str(OP)?;
        self.body.fmt(f)
    }
}

/// Bytes that hold the longest text: a record with eight numbers of 20 digits.
const LINE_SIZE: usize = 384;

/// A line that holds every text.
pub type Line = LineOf<LINE_SIZE>;

/// A record's text on the stack, `N` bytes at most. Text that does not fit is cut off; only a
/// device name of hundreds of bytes can cause that.
pub struct LineOf<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> LineOf<N> {
    /// A line without text.
    #[inline]
    pub fn new() -> Self {
        Self {
            bytes: [0; N],
            len: 0,
        }
    }

    /// Appends `text`.
    #[inline]
    pub fn push(&mut self, text: &[u8]) {
        let room = &mut self.bytes[self.len..];
        let take = text.len().min(room.len());

        room[..take].copy_from_slice(&text[..take]);
        self.len += take;
    }

    /// Appends the digits of `n`, as `{}` or `{:x}` would.
    #[inline]
    pub fn push_number<const RADIX: u64>(&mut self, n: u64) {
        let mut digits = [0; 20];

        self.push(write_digits::<RADIX>(&mut digits, n));
    }

    /// The text.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Formats `text` into an empty line.
    pub fn format<T: fmt::Display>(&mut self, text: &T) -> &[u8] {
        let _ = fmt::Write::write_fmt(self, format_args!("{text}"));
        self.bytes()
    }
}

impl<const N: usize> Default for LineOf<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> fmt::Write for LineOf<N> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.push(s.as_bytes());
        Ok(())
    }
}
