// SPDX-License-Identifier: GPL-2.0

//! Operation, outcome and range of an audited access.
//!
//! Imports only `core`, so that host tools compile this file too.

use core::fmt;

/// Maximum number of bytes of configuration space.
pub const CONFIG_SPACE_SIZE: usize = 4096;

/// What was done to configuration space.
///
/// The values are those of `enum pci_audit_op`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum Op {
    /// Configuration space was read.
    Read = 0,
    /// Configuration space was written.
    Write = 1,
}

impl Op {
    /// Both operations, in the order of their values.
    pub const ALL: [Op; 2] = [Op::Read, Op::Write];

    /// The operation of a C caller, or `None` for a value outside the enum.
    pub const fn from_raw(raw: u32) -> Option<Self> {
        match raw {
            0 => Some(Op::Read),
            1 => Some(Op::Write),
            _ => None,
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Op::Read => "read",
            Op::Write => "write",
        })
    }
}

/// Whether an access was allowed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum Outcome {
    /// The access never reached the device.
    Blocked = 0,
    /// The access reached the device.
    Allowed = 1,
}

impl Outcome {
    /// Both outcomes, in the order of their values.
    pub const ALL: [Outcome; 2] = [Outcome::Blocked, Outcome::Allowed];

    /// The outcome of an access that is `allowed`.
    pub const fn from_allowed(allowed: bool) -> Self {
        if allowed {
            Outcome::Allowed
        } else {
            Outcome::Blocked
        }
    }

    /// Whether the access reached the device.
    pub const fn is_allowed(self) -> bool {
        matches!(self, Outcome::Allowed)
    }
}

/// A record's `res=` value.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Outcome::Blocked => "0",
            Outcome::Allowed => "1",
        })
    }
}

/// Writes the digits of `n`, as `{}` or `{:x}` would, to the end of `digits`. Every record has two
/// or three numbers, and the general formatting code of `core` costs more than the rest of the
/// record.
#[inline]
pub(crate) fn write_digits<const RADIX: u64>(digits: &mut [u8; 20], n: u64) -> &[u8] {
    let mut at = digits.len();
    let mut rest = n;

    loop {
        at -= 1;
        digits[at] = b"0123456789abcdef"[(rest % RADIX) as usize];
        rest /= RADIX;
        if rest == 0 {
            break;
        }
    }
    &digits[at..]
}

/// Formats the digits of `n`.
pub(crate) fn write_number<const RADIX: u64>(f: &mut fmt::Formatter<'_>, n: u64) -> fmt::Result {
    let mut digits = [0; 20];

    f.write_str(core::str::from_utf8(write_digits::<RADIX>(&mut digits, n)).unwrap_or("?"))
}

/// A non-empty range of bytes inside configuration space.
///
/// # Invariants
///
/// `size` is at least 1 and `offset + size` at most [`CONFIG_SPACE_SIZE`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Range {
    offset: u16,
    size: u16,
}

/// The reason for which a range is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RangeError {
    /// The range holds no byte.
    Empty,
    /// The range ends past the end of the device's configuration space.
    PastEnd,
}

impl Range {
    /// A range of `size` bytes at `offset` in a configuration space of `config_size` bytes.
    #[inline]
    pub const fn new(offset: usize, size: usize, config_size: usize) -> Result<Self, RangeError> {
        let limit = if config_size < CONFIG_SPACE_SIZE {
            config_size
        } else {
            CONFIG_SPACE_SIZE
        };

        // Two comparisons, since every access comes here.
        if offset >= limit || size.wrapping_sub(1) >= limit - offset {
            return Err(if size == 0 {
                RangeError::Empty
            } else {
                RangeError::PastEnd
            });
        }
        // INVARIANT: Both were just checked; `CONFIG_SPACE_SIZE` fits in 16 bits.
        Ok(Self {
            offset: offset as u16,
            size: size as u16,
        })
    }

    /// The first byte, counted from the start of configuration space.
    #[inline]
    pub const fn offset(&self) -> usize {
        self.offset as usize
    }

    /// The length in bytes.
    #[inline]
    pub const fn size(&self) -> usize {
        self.size as usize
    }

    /// The offset just past the last byte.
    #[inline]
    pub const fn end(&self) -> usize {
        self.offset() + self.size()
    }
}

/// As a record has it: `offset=0x298 size=1`.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("offset=0x")?;
        write_number::<16>(f, self.offset.into())?;
        f.write_str(" size=")?;
        write_number::<10>(f, self.size.into())
    }
}
