// SPDX-License-Identifier: GPL-2.0

//! Finds the unassigned runs in VFIO's config map.
//!
//! Imports only `core`. The map has one byte for each byte of configuration space, the id of the
//! capability that the byte belongs to.

/// The map's entry of an unassigned byte: `PCI_CAP_ID_INVALID` of vfio_pci_priv.h.
pub const UNASSIGNED: u8 = 0xff;

/// Bytes that are compared at a time.
const WORD: usize = core::mem::size_of::<u64>();

/// A maximal stretch of the map that is unassigned, or that is not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stretch {
    /// So many bytes that belong to the header or to a capability.
    Assigned(usize),
    /// So many unassigned bytes.
    Unassigned(usize),
}

/// The stretch at the start of `map`, or `None` for an empty map.
#[inline]
pub fn first(map: &[u8]) -> Option<Stretch> {
    let stretch = if *map.first()? == UNASSIGNED {
        Stretch::Unassigned(unassigned_prefix(map))
    } else {
        Stretch::Assigned(
            map.iter()
                .position(|&id| id == UNASSIGNED)
                .unwrap_or(map.len()),
        )
    };

    Some(stretch)
}

/// How many bytes at the start of `map` are unassigned.
fn unassigned_prefix(map: &[u8]) -> usize {
    // Config space is mostly unassigned, in runs of kilobytes: take words while they last.
    let words = map
        .chunks_exact(WORD)
        .take_while(|word| **word == [UNASSIGNED; WORD])
        .count();
    let whole = words * WORD;

    whole
        + map[whole..]
            .iter()
            .take_while(|&&id| id == UNASSIGNED)
            .count()
}
