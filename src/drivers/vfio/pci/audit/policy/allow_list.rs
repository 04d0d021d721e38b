// SPDX-License-Identifier: GPL-2.0

//! The list of devices that no toggle blocks: its text, and looking a device up.
//!
//! Imports only `core`; the list itself is a sorted slice without duplicates that the caller owns.

use core::fmt;

/// A device's vendor and device id.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Id {
    vendor: u16,
    device: u16,
}

impl Id {
    /// The id of a device.
    pub const fn new(vendor: u16, device: u16) -> Self {
        Self { vendor, device }
    }

    /// An entry's text, `vendor:device` in hexadecimal digits.
    fn parse(entry: &[u8]) -> Option<Self> {
        let colon = entry.iter().position(|&byte| byte == b':')?;

        Some(Self {
            vendor: parse_hex(&entry[..colon])?,
            device: parse_hex(&entry[colon + 1..])?,
        })
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:04x}", self.vendor, self.device)
    }
}

/// At least one hexadecimal digit and nothing else, at most ffff.
fn parse_hex(digits: &[u8]) -> Option<u16> {
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
    /// This entry is not `vendor:device`.
    BadEntry(&'a [u8]),
    /// The caller could not take an id.
    Push(E),
}

/// Hands every id in `text` to `push`, in the order of the text.
///
/// Entries are separated by commas. White space around an entry and a text that is nothing but
/// white space are fine; an empty entry is not.
pub fn parse<E>(
    text: &[u8],
    mut push: impl FnMut(Id) -> Result<(), E>,
) -> Result<(), ParseError<'_, E>> {
    if text.trim_ascii().is_empty() {
        return Ok(());
    }
    for entry in text.split(|&byte| byte == b',') {
        let entry = entry.trim_ascii();
        let id = Id::parse(entry).ok_or(ParseError::BadEntry(entry))?;
        push(id).map_err(ParseError::Push)?;
    }
    Ok(())
}

/// Sorts `ids` and folds duplicates; returns how many ids are left at the front.
pub fn normalize(ids: &mut [Id]) -> usize {
    let mut kept = 0;

    sort(ids);
    for next in 0..ids.len() {
        if kept == 0 || ids[next] != ids[kept - 1] {
            ids[kept] = ids[next];
            kept += 1;
        }
    }
    kept
}

/// Sorts in place, in a time that no order of `ids` makes longer.
///
/// objtool does not know that the function by which `sort_unstable()` panics does not return.
fn sort(ids: &mut [Id]) {
    for root in (0..ids.len() / 2).rev() {
        sift_down(ids, root);
    }
    for end in (1..ids.len()).rev() {
        ids.swap(0, end);
        sift_down(&mut ids[..end], 0);
    }
}

/// Makes the tree below `root` a heap, whose branches are heaps.
fn sift_down(heap: &mut [Id], root: usize) {
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

/// Whether a [`normalize`]d list has `id`. Takes a number of steps that is logarithmic in the
/// list's length.
pub fn contains(ids: &[Id], id: Id) -> bool {
    ids.binary_search(&id).is_ok()
}
