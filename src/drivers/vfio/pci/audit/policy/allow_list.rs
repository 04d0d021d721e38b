// SPDX-License-Identifier: GPL-2.0

//! The list of exceptions, which no toggle blocks: its text, and what it says of a device.
//!
//! Imports only `core`; the list itself is a sorted slice of disjoint entries that the caller owns.

use super::bitmap::{
    self,
    BITS,
    BYTES, //
};
use core::fmt;

/// The last byte of configuration space.
const LAST: u16 = (BYTES - 1) as u16;

/// A device's vendor and device id.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Id {
    vendor: u16,
    device: u16,
}

impl Id {
    /// The id of a device.
    pub const fn new(vendor: u16, device: u16) -> Self {
        Self { vendor, device }
    }
}

/// An entry of the list: a range of bytes of one device, or of every device of a vendor.
///
/// The order is that of the list.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Entry {
    vendor: u16,
    /// `None` is every device.
    device: Option<u16>,
    start: u16,
    /// The last byte. At least `start`, at most [`LAST`].
    end: u16,
}

impl Entry {
    /// An entry's text.
    fn parse(entry: &[u8]) -> Option<Self> {
        let (id, range) = match split_once(entry, b'@') {
            Some((id, range)) => (id, Some(range)),
            None => (entry, None),
        };
        let (vendor, device) = split_once(id, b':')?;
        let (start, end) = match range {
            Some(range) => {
                let (start, end) = split_once(range, b'-')?;

                (parse_hex(start)?, parse_hex(end)?)
            }
            None => (0, LAST),
        };
        if start > end || end > LAST {
            return None;
        }
        Some(Self {
            vendor: parse_hex(vendor)?,
            device: match device.trim_ascii() {
                b"*" => None,
                device => Some(parse_hex(device)?),
            },
            start,
            end,
        })
    }

    /// Whether it is for all bytes.
    fn is_whole(&self) -> bool {
        (self.start, self.end) == (0, LAST)
    }

    /// Whether both are for the same devices.
    fn is_for_those_of(&self, other: &Self) -> bool {
        (self.vendor, self.device) == (other.vendor, other.device)
    }
}

/// As [`parse`] takes it. The alternate form has no leading zeros, so that no text of the entry is
/// shorter.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if f.alternate() { 1 } else { 4 };

        write!(f, "{:0digits$x}:", self.vendor)?;
        match self.device {
            Some(device) => write!(f, "{device:0digits$x}")?,
            None => f.write_str("*")?,
        }
        if self.is_whole() {
            return Ok(());
        }
        write!(f, "@{:x}-{:x}", self.start, self.end)
    }
}

/// What is before and after the first `separator`.
fn split_once(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&byte| byte == separator)?;

    Some((&text[..at], &text[at + 1..]))
}

/// A hexadecimal number of at most ffff, with or without 0x. White space around it is fine.
fn parse_hex(text: &[u8]) -> Option<u16> {
    let digits = match text.trim_ascii() {
        [b'0', b'x' | b'X', digits @ ..] => digits,
        digits => digits,
    };

    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u16, |value, &byte| {
        let digit = char::from(byte).to_digit(16)?;
        value.checked_mul(16)?.checked_add(digit as u16)
    })
}

/// Why a list was refused.
#[derive(Debug, Eq, PartialEq)]
pub enum ParseError<'a, E> {
    /// This is no entry.
    BadEntry(&'a [u8]),
    /// The caller could not take an entry.
    Push(E),
}

/// Hands every entry in `text` to `push`, in the order of the text.
///
/// Entries are separated by commas. Each is `VENDOR:DEVICE` or `VENDOR:*`, with or without
/// `@START-END`. White space around a part of an entry and a text that is nothing but white space
/// are fine; an empty entry is not.
pub fn parse<E>(
    text: &[u8],
    mut push: impl FnMut(Entry) -> Result<(), E>,
) -> Result<(), ParseError<'_, E>> {
    if text.trim_ascii().is_empty() {
        return Ok(());
    }
    for text in text.split(|&byte| byte == b',') {
        let text = text.trim_ascii();
        let entry = Entry::parse(text).ok_or(ParseError::BadEntry(text))?;
        push(entry).map_err(ParseError::Push)?;
    }
    Ok(())
}

/// Sorts `entries`, and unites those whose ranges overlap or adjoin; returns how many are left at
/// the front.
pub fn normalize(entries: &mut [Entry]) -> usize {
    let mut kept = 0;

    sort(entries);
    for next in 0..entries.len() {
        let entry = entries[next];
        match entries[..kept].last_mut() {
            Some(last) if last.is_for_those_of(&entry) && entry.start <= last.end + 1 => {
                last.end = last.end.max(entry.end);
            }
            _ => {
                entries[kept] = entry;
                kept += 1;
            }
        }
    }
    kept
}

/// Sorts in place, in a time that no order of `entries` makes longer.
///
/// objtool does not know that the function by which `sort_unstable()` panics does not return.
fn sort(entries: &mut [Entry]) {
    for root in (0..entries.len() / 2).rev() {
        sift_down(entries, root);
    }
    for end in (1..entries.len()).rev() {
        entries.swap(0, end);
        sift_down(&mut entries[..end], 0);
    }
}

/// Makes the tree below `root` a heap, whose branches are heaps.
fn sift_down(heap: &mut [Entry], root: usize) {
    let mut node = root;

    loop {
        let left = 2 * node + 1;
        let Some(&largest) = heap.get(left..).and_then(|rest| rest.iter().take(2).max()) else {
            return;
        };
        if heap[node] >= largest {
            return;
        }
        let child = if heap[left] == largest {
            left
        } else {
            left + 1
        };
        heap.swap(node, child);
        node = child;
    }
}

/// What a list says of a device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Excepted {
    /// None of its bytes is excepted.
    Nothing,
    /// All are.
    Everything,
    /// Those are that [`mark`] finds.
    Ranges,
}

/// The entries of a [`normalize`]d list for `vendor` and `device` that have `byte` or a later one.
/// To find the first takes a number of steps that is logarithmic in the list's length.
fn entries_from(
    list: &[Entry],
    vendor: u16,
    device: Option<u16>,
    byte: usize,
) -> impl Iterator<Item = &Entry> {
    let before = list.partition_point(|entry| {
        (entry.vendor, entry.device, usize::from(entry.end)) < (vendor, device, byte)
    });

    list[before..]
        .iter()
        .take_while(move |entry| (entry.vendor, entry.device) == (vendor, device))
}

/// What a [`normalize`]d list says of the device `id`.
pub fn find(list: &[Entry], id: Id) -> Excepted {
    let mut found = Excepted::Nothing;

    for device in [None, Some(id.device)] {
        match entries_from(list, id.vendor, device, 0).next() {
            Some(entry) if entry.is_whole() => return Excepted::Everything,
            Some(_) => found = Excepted::Ranges,
            None => {}
        }
    }
    found
}

/// Marks the excepted bytes of the device `id` in `map`, which begins with the byte of
/// configuration space that word `first` of a whole map begins with. The list is [`normalize`]d.
pub fn mark(list: &[Entry], id: Id, first: usize, map: &mut [u64]) {
    let (from, to) = (first * BITS, (first + map.len()) * BITS);

    for device in [None, Some(id.device)] {
        for entry in entries_from(list, id.vendor, device, from) {
            let start = usize::from(entry.start).max(from);
            let end = (usize::from(entry.end) + 1).min(to);

            if start >= end {
                break;
            }
            bitmap::mark(map, start - from, end - start);
        }
    }
}
