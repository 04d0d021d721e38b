// SPDX-License-Identifier: GPL-2.0

//! One bit for each byte of configuration space.
//!
//! Imports only `core`. A map is a slice of words, and may be of a part of configuration space.

/// Bits in a word of a map.
pub const BITS: usize = u64::BITS as usize;

/// The size of configuration space, and so the number of bits of a whole map.
pub const BYTES: usize = 4096;

/// The words of a whole map.
pub const WORDS: usize = BYTES / BITS;

/// A map of all of configuration space: 512 bytes.
pub type Bitmap = [u64; WORDS];

/// Nothing is marked.
pub const EMPTY: Bitmap = [0; WORDS];

/// The bits of word `index` that are of the `size` bytes at `offset`, of which it has some.
#[inline]
fn mask(offset: usize, size: usize, index: usize) -> u64 {
    let start = offset.max(index * BITS) - index * BITS;
    let end = (offset + size).min((index + 1) * BITS) - index * BITS;

    (u64::MAX >> (BITS - (end - start))) << start
}

/// The words that have `size` bytes at `offset`, at least one.
#[inline]
pub fn words(offset: usize, size: usize) -> core::ops::Range<usize> {
    offset / BITS..(offset + size - 1) / BITS + 1
}

/// Marks the `size` bytes at `offset`, at least one.
#[inline]
pub fn mark(map: &mut [u64], offset: usize, size: usize) {
    let bit = offset % BITS;

    // Most accesses are within one word.
    if bit + size <= BITS {
        map[offset / BITS] |= (u64::MAX >> (BITS - size)) << bit;
    } else {
        mark_words(map, offset, size);
    }
}

/// Marks what reaches into several words.
#[inline(never)]
fn mark_words(map: &mut [u64], offset: usize, size: usize) {
    let words = words(offset, size);

    map[words.start] |= u64::MAX << (offset % BITS);
    map[words.start + 1..words.end - 1].fill(u64::MAX);
    map[words.end - 1] |= u64::MAX >> (BITS - 1 - (offset + size - 1) % BITS);
}

/// Unmarks the `size` bytes at `offset`, at least one.
pub fn clear(map: &mut [u64], offset: usize, size: usize) {
    for index in words(offset, size) {
        map[index] &= !mask(offset, size, index);
    }
}

/// The first byte at or after `from` whose mark is `marked`.
pub fn find(map: &[u64], from: usize, marked: bool) -> Option<usize> {
    let mut skip = from % BITS;

    for (index, &word) in map.iter().enumerate().skip(from / BITS) {
        let word = if marked { word } else { !word };
        let rest = word & (u64::MAX << skip);
        if rest != 0 {
            return Some(index * BITS + rest.trailing_zeros() as usize);
        }
        skip = 0;
    }
    None
}

/// Whether the byte at `offset` is marked, and how many of the `size` bytes there, at least one,
/// are like it, up to the first that is not.
pub fn prefix(map: &[u64], offset: usize, size: usize) -> (bool, usize) {
    let marked = map[offset / BITS] >> (offset % BITS) & 1 != 0;
    let like = find(map, offset, !marked).map_or(size, |other| other - offset);

    (marked, like.min(size))
}
