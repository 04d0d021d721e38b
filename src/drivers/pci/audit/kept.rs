// SPDX-License-Identifier: GPL-2.0

//! The form in which accesses are kept for the next boot.
//!
//! Memory that outlives a reset is half used by each boot: one half has the accesses of the boot
//! that runs, the other those of the boot before. A half is a [`Head`] and then [`RINGS`] rings of
//! accesses. Which of these an access goes to depends on the device and on whether it is a write: a
//! guest cannot have the accesses of another one overwritten, nor its writes by reads, unless both
//! happen to share a ring.
//!
//! Heads and accesses take one cache line, [`WORDS`] words of the machine's byte order, so that a
//! reset leaves all of it or nothing. The first word has a checksum, since memory that was not
//! refreshed for a moment has bits that flipped.

use crate::access::{
    Op,
    Outcome,
    Range,
    CONFIG_SPACE_SIZE, //
};

/// Words of a head or of an access.
pub const WORDS: usize = 8;
/// Bytes of a head or of an access.
pub const LINE: usize = WORDS * size_of::<u64>();
/// Rings of a half, a power of two.
pub const RINGS: usize = 16;
/// Bytes of a process's name.
pub const COMM: usize = 16;

/// A head or an access, as it is in memory.
pub type Line = [u64; WORDS];

/// What heads have in their second word: the form's name and its version.
const MAGIC: u64 = u64::from_le_bytes(*b"PCIKEPT1");
/// What is in flags.
const WRITE: u64 = 1 << 0;
const ALLOWED: u64 = 1 << 1;

/// Spreads what differs in few bits: the golden ratio, as in the kernel's `hash_64()`.
const FACTOR: u64 = 0x61c8_8646_80b5_83eb;

/// The checksum of a line: 16 bits over all words and the number of the first.
fn checksum(line: &Line) -> u64 {
    let start = (line[0] >> 16).wrapping_add(1);
    let sum = line[1..].iter().fold(start, |sum, word| {
        (sum.rotate_left(5) ^ word).wrapping_mul(FACTOR)
    });
    sum >> 48
}

/// Numbers a line and adds the checksum. Numbers have 48 bits.
fn seal(line: &mut Line, number: u64) {
    line[0] = number << 16;
    line[0] |= checksum(line);
}

/// The number of a line whose checksum is right.
fn number(line: &Line) -> Option<u64> {
    (line[0] & 0xffff == checksum(line)).then_some(line[0] >> 16)
}

/// What a half begins with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Head {
    /// Counts the boots.
    pub boot: u64,
    /// Tells boots apart: the same for as long as the kernel runs. 0 if it is not known.
    pub token: u64,
}

impl Head {
    /// As it is in memory.
    pub fn to_line(self) -> Line {
        let mut line = [0, MAGIC, self.token, 0, 0, 0, 0, 0];
        seal(&mut line, self.boot);
        line
    }

    /// From memory, if that has a head.
    pub fn from_line(line: &Line) -> Option<Self> {
        let boot = number(line)?;
        (line[1] == MAGIC).then_some(Self {
            boot,
            token: line[2],
        })
    }
}

/// Which half a boot uses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Choice {
    /// The half: 0 or 1.
    pub half: usize,
    /// What it begins with.
    pub head: Head,
    /// Whether it has accesses of this boot already: the module was loaded before.
    pub goes_on: bool,
    /// Whether the other half has those of another boot.
    pub last: bool,
}

impl Choice {
    /// Chooses by the heads of both halves.
    pub fn new(heads: [Option<Head>; 2], token: u64) -> Self {
        let boot = |half: usize| heads[half].map_or(0, |head| head.boot);
        let latest = usize::from(boot(1) > boot(0));
        let other = 1 - latest;
        if let Some(head) = heads[latest].filter(|head| head.token == token && token != 0) {
            return Self {
                half: latest,
                head,
                goes_on: true,
                last: heads[other].is_some(),
            };
        }
        let (half, boot) = match heads[latest] {
            Some(head) => (other, head.boot.wrapping_add(1)),
            None => (0, 1),
        };
        Self {
            half,
            head: Head { boot, token },
            goes_on: false,
            last: heads[latest].is_some(),
        }
    }
}

/// A kept access.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Kept {
    /// When, in nanoseconds, by the clock of the kernel's log.
    pub log_ns: u64,
    /// When, in nanoseconds since 1970, to a tick of the kernel's.
    pub real_ns: u64,
    /// The device's domain.
    pub domain: u32,
    /// The device's bus.
    pub bus: u8,
    /// The device's number and function.
    pub devfn: u8,
    /// What it did.
    pub op: Op,
    /// The bytes.
    pub range: Range,
    /// Whether it reaches the device.
    pub outcome: Outcome,
    /// The session; 0 if the driver has none.
    pub session: u64,
    /// The process; 0 in an interrupt.
    pub pid: u32,
    /// What the process calls itself, by words of memory.
    pub comm: [u64; COMM / 8],
}

/// What a line of the ring has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Slot {
    /// Nothing was written there yet.
    Empty,
    /// The access of this number; the first of a ring has number 1.
    Kept(u64, Kept),
    /// An access that was not written to its end, or whose memory is damaged.
    Damaged,
}

impl Kept {
    /// The ring that it goes to, below [`RINGS`].
    #[inline]
    pub fn ring(&self) -> usize {
        let device =
            u64::from(self.domain) << 16 | u64::from(self.bus) << 8 | u64::from(self.devfn);
        let key = device << 1 | u64::from(self.op == Op::Write);
        (key.wrapping_mul(FACTOR) >> (u64::BITS - RINGS.trailing_zeros())) as usize
    }

    /// What the process calls itself, up to a NUL.
    pub fn name(&self) -> [u8; COMM] {
        let mut name = [0; COMM];
        for (bytes, word) in name.chunks_exact_mut(8).zip(self.comm) {
            bytes.copy_from_slice(&word.to_ne_bytes());
        }
        name
    }

    /// As it is in memory, with a number from 1 on, which counts the accesses of its ring.
    #[inline]
    pub fn to_line(&self, number: u64) -> Line {
        let write = if self.op == Op::Write { WRITE } else { 0 };
        let allowed = if self.outcome.is_allowed() {
            ALLOWED
        } else {
            0
        };
        let mut line = [
            0,
            self.log_ns,
            self.real_ns,
            self.session,
            u64::from(self.pid) | u64::from(self.domain) << 32,
            self.range.offset() as u64
                | (self.range.size() as u64) << 16
                | u64::from(self.bus) << 32
                | u64::from(self.devfn) << 40
                | (write | allowed) << 48,
            self.comm[0],
            self.comm[1],
        ];
        seal(&mut line, number);
        line
    }

    fn from_line(line: &Line) -> Option<(u64, Self)> {
        let number = number(line).filter(|number| *number > 0)?;
        let word = line[5];
        let flags = word >> 48;
        if flags & !(WRITE | ALLOWED) != 0 {
            return None;
        }
        let offset = (word & 0xffff) as usize;
        let size = (word >> 16 & 0xffff) as usize;
        let kept = Self {
            log_ns: line[1],
            real_ns: line[2],
            session: line[3],
            pid: line[4] as u32,
            domain: (line[4] >> 32) as u32,
            bus: (word >> 32) as u8,
            devfn: (word >> 40) as u8,
            op: if flags & WRITE != 0 {
                Op::Write
            } else {
                Op::Read
            },
            range: Range::new(offset, size, CONFIG_SPACE_SIZE).ok()?,
            outcome: Outcome::from_allowed(flags & ALLOWED != 0),
            comm: [line[6], line[7]],
        };
        Some((number, kept))
    }
}

impl Slot {
    /// From memory.
    pub fn from_line(line: &Line) -> Self {
        if *line == [0; WORDS] {
            return Slot::Empty;
        }
        match Kept::from_line(line) {
            Some((number, kept)) => Slot::Kept(number, kept),
            None => Slot::Damaged,
        }
    }
}
