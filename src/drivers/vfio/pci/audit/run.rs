// SPDX-License-Identifier: GPL-2.0

//! Finds the unassigned runs in VFIO's config map.
//!
//! Imports only `core`. The map has one byte for each byte of configuration space, the id of the
//! capability that the byte belongs to.

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
        if first_unassigned(dword) == 4 {
            return Some(Stretch::Assigned(4));
        }
    }

    let stretch = if *map.first()? == UNASSIGNED {
        Stretch::Unassigned(unassigned_prefix(map))
    } else {
        Stretch::Assigned(assigned_prefix(map))
    };

    Some(stretch)
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

/// The index of the first byte of `dword` that is unassigned, 4 if none is.
#[inline]
fn first_unassigned(dword: [u8; 4]) -> usize {
    // The first byte of `zero` with its highest bit set is the first that is 0 in `others`.
    let others = !u32::from_le_bytes(dword);
    let zero = others.wrapping_sub(0x0101_0101) & !others & 0x8080_8080;

    zero.trailing_zeros() as usize / 8
}

/// How many bytes at the start of `map` are assigned.
#[inline]
fn assigned_prefix(map: &[u8]) -> usize {
    let mut rest = map;

    while let Some((dword, next)) = rest.split_first_chunk::<4>() {
        let assigned = first_unassigned(*dword);
        if assigned < 4 {
            return map.len() - rest.len() + assigned;
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
