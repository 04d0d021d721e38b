// SPDX-License-Identifier: GPL-2.0

//! A bitmap of the bytes of configuration space that were touched.
//!
//! Imports only `core` and what `pci_audit` has of that kind.

use crate::policy::bitmap::{
    self,
    find, //
};
use pci_audit::{
    access::CONFIG_SPACE_SIZE,
    Range, //
};

pub use crate::policy::bitmap::Bitmap;

/// Marks every byte of `range`.
#[inline]
pub fn mark(map: &mut Bitmap, range: Range) {
    bitmap::mark(map, range.offset(), range.size());
}

/// Unmarks every byte of `range`.
pub fn clear(map: &mut Bitmap, range: Range) {
    bitmap::clear(map, range.offset(), range.size());
}

/// Moves the marks of `other` into `map`.
pub fn absorb(map: &mut Bitmap, other: &mut Bitmap) {
    for (word, other) in map.iter_mut().zip(other) {
        *word |= core::mem::take(other);
    }
}

/// Whether no byte is marked.
pub fn is_empty(map: &Bitmap) -> bool {
    map.iter().all(|&word| word == 0)
}

/// The first range of marked bytes at or after `from`. Gaps of at most `bridge` unmarked bytes
/// between marked ones count as part of it.
pub fn next(map: &Bitmap, from: usize, bridge: usize) -> Option<Range> {
    let start = find(map, from, true)?;
    let mut end = find(map, start, false).unwrap_or(CONFIG_SPACE_SIZE);

    while let Some(again) = find(map, end, true) {
        if again - end > bridge {
            break;
        }
        end = find(map, again, false).unwrap_or(CONFIG_SPACE_SIZE);
    }
    Range::new(start, end - start, CONFIG_SPACE_SIZE).ok()
}

/// The number of ranges that [`next`] finds, counted up to `most` + 1.
fn count(map: &Bitmap, bridge: usize, most: usize) -> usize {
    let mut from = 0;
    let mut count = 0;

    while count <= most {
        let Some(range) = next(map, from, bridge) else {
            break;
        };
        count += 1;
        from = range.end();
    }
    count
}

/// The smallest bridge, 0 or a power of two, with which all marked bytes lie in `most` ranges.
/// `most` is at least 1.
pub fn bridge_for(map: &Bitmap, most: usize) -> usize {
    let mut bridge = 0;

    while bridge < CONFIG_SPACE_SIZE && count(map, bridge, most) > most {
        bridge = (bridge * 2).max(1);
    }
    bridge
}
