// SPDX-License-Identifier: GPL-2.0

//! Finds the unassigned runs in VFIO's config map.
//!
//! Imports only `core`. The map has one byte for each byte of configuration space, the id of the
//! capability that the byte belongs to.

use crate::policy::bitmap;

/// The map's entry of an unassigned byte: `PCI_CAP_ID_INVALID` of vfio_pci_priv.h.
pub const UNASSIGNED: u8 = 0xff;

/// A maximal stretch of the map that is unassigned, or that is not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stretch {
    /// So many bytes that belong to the header or to a capability.
    Assigned(usize),
    /// So many unassigned bytes.
    Unassigned(usize),
}

impl Stretch {
    /// Its length in bytes.
    #[inline]
    pub fn size(self) -> usize {
        match self {
            Stretch::Assigned(size) | Stretch::Unassigned(size) => size,
        }
    }
}

/// The stretch at the start of `map`, or `None` for an empty map.
#[inline]
pub fn first(map: &[u8]) -> Option<Stretch> {
    // What most system calls are for: a dword, one way or the other.
    if let Ok(dword) = <[u8; 4]>::try_from(map) {
        if u32::from_le_bytes(dword) == u32::MAX {
            return Some(Stretch::Unassigned(4));
        }
        if unassigned_bits(dword) == 0 {
            return Some(Stretch::Assigned(4));
        }
    }
    first_of_any(map)
}

/// The same for a map of any length. Not inlined, so that [`first`] is small enough to be.
#[inline(never)]
fn first_of_any(map: &[u8]) -> Option<Stretch> {
    let stretch = if *map.first()? == UNASSIGNED {
        Stretch::Unassigned(unassigned_prefix(map))
    } else {
        Stretch::Assigned(assigned_prefix(map))
    };

    Some(stretch)
}

/// The same where the bytes that are marked in `allowed` have another decision than others: an
/// unassigned stretch ends with the run, and comes with its decision. The map begins with byte `at`
/// of `allowed`, which has all of it.
pub fn first_decided(map: &[u8], allowed: &[u64], at: usize) -> Option<(Stretch, bool)> {
    if *map.first()? != UNASSIGNED {
        return Some((first(map)?, true));
    }
    let (allowed, size) = bitmap::prefix(allowed, at, map.len());

    Some((first(&map[..size])?, allowed))
}

/// Bytes of the map that are compared at a time in a long run.
const BLOCK: usize = 64;

/// The bits that are set in every word of `block`.
#[inline]
fn all_ones(block: &[u8; BLOCK]) -> u64 {
    let word = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&block[at..at + 8]);
        u64::from_le_bytes(bytes)
    };

    word(0) & word(8) & word(16) & word(24) & word(32) & word(40) & word(48) & word(56)
}

/// How many bytes at the start of `map` are unassigned.
#[inline]
fn unassigned_prefix(map: &[u8]) -> usize {
    let mut rest = map;

    // Configuration space is mostly unassigned, in runs of kilobytes; system calls are mostly for
    // a dword.
    while let Some((block, next)) = rest.split_first_chunk::<BLOCK>() {
        if all_ones(block) != u64::MAX {
            break;
        }
        rest = next;
    }
    while let Some((dword, next)) = rest.split_first_chunk::<4>() {
        let others = !u32::from_le_bytes(*dword);
        if others != 0 {
            return map.len() - rest.len() + others.trailing_zeros() as usize / 8;
        }
        rest = next;
    }
    map.len() - rest.len() + prefix(rest, |id| id == UNASSIGNED)
}

/// Bits that are set where a byte of `dword` is unassigned: the first of them is that of the first
/// such byte, later ones may be of others.
#[inline]
fn unassigned_bits(dword: [u8; 4]) -> u32 {
    let others = !u32::from_le_bytes(dword);

    others.wrapping_sub(0x0101_0101) & !others & 0x8080_8080
}

/// How many bytes at the start of `map` are assigned.
#[inline]
fn assigned_prefix(map: &[u8]) -> usize {
    let mut rest = map;

    while let Some((dword, next)) = rest.split_first_chunk::<4>() {
        let bits = unassigned_bits(*dword);
        if bits != 0 {
            return map.len() - rest.len() + bits.trailing_zeros() as usize / 8;
        }
        rest = next;
    }
    map.len() - rest.len() + prefix(rest, |id| id != UNASSIGNED)
}

/// How many bytes at the start of `map` are as `wanted`.
#[inline]
fn prefix(map: &[u8], wanted: impl Fn(u8) -> bool) -> usize {
    map.iter().position(|&id| !wanted(id)).unwrap_or(map.len())
}
