// SPDX-License-Identifier: GPL-2.0

//! The run finder against a look at one byte after the other.

use pci_audit_core::run::{first, Stretch, UNASSIGNED};

/// The stretch at the start of `map`, byte by byte.
fn model(map: &[u8]) -> Option<Stretch> {
    let unassigned = *map.first()? == UNASSIGNED;
    let mut size = 0;
    for &id in map {
        if (id == UNASSIGNED) != unassigned {
            break;
        }
        size += 1;
    }
    Some(match unassigned {
        true => Stretch::Unassigned(size),
        false => Stretch::Assigned(size),
    })
}

/// Takes `data` as a config map, and finds the stretch that begins at each byte of it.
///
/// # Panics
///
/// If the finder and the model disagree.
pub fn run_finder(data: &[u8]) {
    for start in 0..=data.len().min(4096) {
        let map = &data[start..];
        assert_eq!(first(map), model(map), "at {start}");
    }
}
