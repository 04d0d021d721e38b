// SPDX-License-Identifier: GPL-2.0

//! What a program consists of.

use std::ops::Range;

use arbitrary::{Arbitrary, Unstructured};
use vfio_client::stream::Op;

/// One step. Devices are numbers modulo how many there are; they are opened when they are used.
#[derive(Debug)]
pub(super) enum Step {
    Close(u8),
    Reset(u8),
    Read { device: u8, at: At },
    Write { device: u8, at: At },
    Block { op: Operation, block: bool },
    Except(List),
    Limits { rate: u8, burst: u8 },
    Trace(bool),
    Audit(bool),
}

/// Mostly accesses: to open a device that was closed and to reset one takes seconds, emulated, on a
/// kernel with all checkers.
impl<'a> Arbitrary<'a> for Step {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        // Neither 0 nor 255, which the fuzzer likes, is one that takes long.
        Ok(match bytes.arbitrary::<u8>()? {
            0..=95 => Self::Read {
                device: bytes.arbitrary()?,
                at: bytes.arbitrary()?,
            },
            96..=191 => Self::Write {
                device: bytes.arbitrary()?,
                at: bytes.arbitrary()?,
            },
            192..=207 => Self::Block {
                op: bytes.arbitrary()?,
                block: bytes.arbitrary()?,
            },
            208..=223 => Self::Except(bytes.arbitrary()?),
            224..=235 => Self::Limits {
                rate: bytes.arbitrary()?,
                burst: bytes.arbitrary()?,
            },
            236..=241 => Self::Trace(bytes.arbitrary()?),
            242 | 243 => Self::Close(bytes.arbitrary()?),
            244 | 245 => Self::Reset(bytes.arbitrary()?),
            _ => Self::Audit(bytes.arbitrary()?),
        })
    }
}

/// An operation, as bytes make it.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) enum Operation {
    Read,
    Write,
}

impl From<Operation> for Op {
    fn from(operation: Operation) -> Self {
        match operation {
            Operation::Read => Self::Read,
            Operation::Write => Self::Write,
        }
    }
}

/// Where an access goes, and with what.
#[derive(Arbitrary, Debug)]
pub(super) struct At {
    offset: u16,
    size: Size,
    /// What is written.
    pub(super) value: u8,
    /// Whether the memory of the caller is not mapped.
    pub(super) nowhere: bool,
}

/// How much: mostly what CPUs do, sometimes anything.
#[derive(Arbitrary, Debug)]
enum Size {
    Byte,
    Word,
    Dword,
    AlignedDword,
    Any(u16),
}

impl At {
    /// The bytes of a configuration space of `end` bytes. Some are beyond it.
    pub(super) fn range(&self, end: usize) -> Range<usize> {
        // One of 32 offsets is beyond the end.
        let offset = usize::from(self.offset) % (end + end / 32);
        let (start, size) = match self.size {
            Size::Byte => (offset, 1),
            Size::Word => (offset, 2),
            Size::Dword => (offset, 4),
            Size::AlignedDword => (offset & !3, 4),
            Size::Any(size) => (offset, 1 + usize::from(size) % end),
        };
        start..start + size
    }
}

/// A list of exceptions: entries that may be good, or any text.
#[derive(Arbitrary, Debug)]
pub(super) enum List {
    Entries(Vec<Entry>),
    Text(Vec<u8>),
}

/// Maximum number of entries of a list.
const ENTRIES: usize = 8;

#[derive(Arbitrary, Debug)]
pub(super) struct Entry {
    whose: Whose,
    device: u8,
    range: Option<(u16, u16)>,
}

#[derive(Arbitrary, Debug)]
enum Whose {
    Device,
    Vendor,
    Other,
}

impl List {
    /// The text for the kernel, which ends at a NUL. `ids` are those of the devices.
    pub(super) fn text(&self, ids: &[(u16, u16)]) -> Vec<u8> {
        match self {
            Self::Text(text) => text
                .iter()
                .map(|&byte| byte.max(1))
                .chain([b'\n'])
                .collect(),
            Self::Entries(entries) => {
                let entries = entries.iter().take(ENTRIES);
                let texts: Vec<_> = entries.map(|entry| entry.text(ids)).collect();
                (texts.join(",") + "\n").into_bytes()
            }
        }
    }
}

impl Entry {
    fn text(&self, ids: &[(u16, u16)]) -> String {
        let (vendor, device) = ids[usize::from(self.device) % ids.len()];
        let id = match self.whose {
            Whose::Device => format!("{vendor:04x}:{device:04x}"),
            Whose::Vendor => format!("{vendor:04x}:*"),
            Whose::Other => format!("{vendor:04x}:{:04x}", device ^ 1),
        };
        match self.range {
            None => id,
            // Most are good, some go down or beyond the end.
            Some((start, size)) => {
                let start = start % 0x1040;
                format!("{id}@{start:x}-{:x}", (start + size % 64).wrapping_sub(1))
            }
        }
    }
}
