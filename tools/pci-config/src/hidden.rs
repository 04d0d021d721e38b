// SPDX-License-Identifier: GPL-2.0

//! Which bytes belong to the capabilities that PCI defines and VFIO hides.
//!
//! VFIO gives them no length, so that their bytes are unassigned. How long they are is what the PCI
//! Express specification and include/uapi/linux/pci_regs.h say. Of one that neither describes, the
//! header is all that is known.

use std::ops::Range;

use crate::config_map::ConfigSpace;
use crate::{capabilities, Capability, ConfigMap, CONVENTIONAL};

/// The first register of a capability, which has its identifier.
const HEADER: usize = 4;

/// The unassigned bytes of a hidden capability.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hidden {
    /// The capability.
    pub capability: Capability,
    /// Its bytes that are unassigned.
    pub range: Range<usize>,
}

/// The hidden capabilities of a device, in the order of their bytes.
///
/// `raw` is what `map` was made of.
pub fn hidden(raw: &[u8], map: &ConfigMap) -> Vec<Hidden> {
    let space = ConfigSpace::new(raw);
    let lanes = lanes(&space, map);
    let mut all: Vec<Hidden> = map
        .capabilities()
        .iter()
        .filter(|cap| cap.is_hidden())
        .filter_map(|cap| {
            let length = match cap.extended {
                true => extended(&space, cap, lanes),
                false => standard(&space, cap),
            };
            let range = unassigned(map, cap, length);
            (!range.is_empty()).then_some(Hidden {
                capability: *cap,
                range,
            })
        })
        .collect();
    all.sort_by_key(|hidden| hidden.range.start);
    all
}

/// The bytes up to those of the next capability, or of what VFIO knows.
fn unassigned(map: &ConfigMap, cap: &Capability, length: usize) -> Range<usize> {
    // Of the first extended capability VFIO keeps the header even if it hides the rest.
    let start = cap.offset + cap.length;
    let limit = if cap.extended {
        map.size()
    } else {
        map.size().min(CONVENTIONAL)
    };
    let next = map.capabilities().iter().map(|other| other.offset);
    let next = next.filter(|offset| *offset > cap.offset).min();
    let end = (cap.offset + length).min(next.unwrap_or(limit)).min(limit);
    let end = (start..end)
        .find(|offset| !map.unassigned(*offset))
        .unwrap_or(end);
    start..end
}

/// The lanes of the device's link, of which some capabilities have a register each.
fn lanes(space: &ConfigSpace<'_>, map: &ConfigMap) -> usize {
    const LINK_CAPABILITIES: usize = 0x0c;

    let express = map
        .capabilities()
        .iter()
        .find(|cap| !cap.extended && cap.id == u16::from(capabilities::EXPRESS));
    let link = express.and_then(|cap| space.dword(cap.offset + LINK_CAPABILITIES).ok());
    match link.map_or(0, |link| (link >> 4) as usize & 0x3f) {
        width @ 1..=32 => width,
        // There is no such width.
        _ => 1,
    }
}

fn standard(space: &ConfigSpace<'_>, cap: &Capability) -> usize {
    match cap.id {
        0x0d => 8, // subsystem of a bridge
        0x14 => enhanced_allocation(space, cap.offset),
        _ => HEADER,
    }
}

/// Entries that each say how many words follow their first.
fn enhanced_allocation(space: &ConfigSpace<'_>, offset: usize) -> usize {
    let entries = usize::from(space.byte(offset + 2) & 0x3f);
    (0..entries).fold(HEADER, |length, _| {
        length + 4 + usize::from(space.byte(offset + length) & 7) * 4
    })
}

fn extended(space: &ConfigSpace<'_>, cap: &Capability, lanes: usize) -> usize {
    match cap.id {
        0x06 | 0x07 => 12,                            // root complex links and events
        0x0a => 20,                                   // root complex register block
        0x0c | 0x1b | 0x1c => 8,                      // access correlation, PASID, LN requester
        0x19 => (12 + 2 * lanes).next_multiple_of(4), // secondary PCI Express
        0x1d | 0x1f | 0x22 | 0x25 => 12, // port containment, time, readiness, data link feature
        0x1e | 0x21 | 0x29 | 0x2f => 16, // L1 substates, FRS queueing, enclosures, device 3
        0x24 => HEADER + usize::from(space.byte(cap.offset + 8) >> 5) * 8, // resizable BARs of VFs
        0x26 | 0x2a | 0x31 => (0x20 + lanes).next_multiple_of(4), // 16, 32 and 64 GT/s
        0x27 => 8 + 4 * lanes,           // margining
        0x2e => 0x18,                    // data object exchange
        0x30 => encryption(space, cap.offset),
        _ => HEADER,
    }
}

/// Integrity and data encryption: a block for each stream.
fn encryption(space: &ConfigSpace<'_>, offset: usize) -> usize {
    const LINK_BLOCK: usize = 8;

    let caps = space.dword(offset + 4).unwrap_or(0);
    let link = caps & 1 != 0;
    let selective = caps & 2 != 0;
    let links = if link {
        (caps >> 13 & 7) as usize + 1
    } else {
        0
    };
    let streams = if selective {
        (caps >> 16 & 0xff) as usize + 1
    } else {
        0
    };
    (0..streams).fold(12 + links * LINK_BLOCK, |length, _| {
        let associations = usize::from(space.byte(offset + length) & 0xf);
        length + 20 + 12 * associations
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::EXPRESS;

    /// A device with PCI Express of 16 lanes, and the extended capabilities that are given.
    fn device(extended: &[(usize, u16, &[u8])]) -> Vec<u8> {
        let mut raw = vec![0; EXPRESS];
        raw[0x06] = 0x10;
        raw[0x34] = 0x40;
        raw[0x40] = 0x10;
        raw[0x42] = 2;
        raw[0x4c..0x4e].copy_from_slice(&[0x03, 0x01]);
        for (index, (offset, id, body)) in extended.iter().enumerate() {
            let next = extended.get(index + 1).map_or(0, |next| next.0 as u32);
            let header = u32::from(*id) | 1 << 16 | next << 20;
            raw[*offset..offset + 4].copy_from_slice(&header.to_le_bytes());
            raw[offset + 4..offset + 4 + body.len()].copy_from_slice(body);
        }
        raw
    }

    fn ranges(raw: &[u8]) -> Vec<(u16, Range<usize>)> {
        let map = ConfigMap::parse(raw).unwrap();
        hidden(raw, &map)
            .into_iter()
            .map(|hidden| (hidden.capability.id, hidden.range))
            .collect()
    }

    #[test]
    fn each_has_the_length_of_the_specification() {
        let raw = device(&[
            (0x100, 0x01, &[]),
            (0x200, 0x1e, &[]),
            (0x240, 0x19, &[]),
            (0x280, 0x26, &[]),
            (0x2c0, 0x27, &[]),
            (0x320, 0x24, &[0, 0, 0, 0, 0x40]),
            (0x340, 0x40, &[]),
        ]);
        assert_eq!(
            ranges(&raw),
            [
                (0x1e, 0x200..0x210),
                (0x19, 0x240..0x26c),
                (0x26, 0x280..0x2b0),
                (0x27, 0x2c0..0x308),
                (0x24, 0x320..0x334),
                (0x40, 0x340..0x344),
            ]
        );
    }

    #[test]
    fn they_end_where_others_begin() {
        let raw = device(&[(0x100, 0x01, &[]), (0x200, 0x1e, &[]), (0x208, 0x1b, &[])]);
        assert_eq!(ranges(&raw), [(0x1e, 0x200..0x208), (0x1b, 0x208..0x210)]);
        // A serial number lies in the middle.
        let raw = device(&[(0x100, 0x01, &[]), (0x20c, 0x03, &[]), (0x200, 0x1e, &[])]);
        assert_eq!(ranges(&raw), [(0x1e, 0x200..0x20c)]);
    }

    #[test]
    fn the_first_keeps_its_header() {
        let raw = device(&[(0x100, 0x19, &[]), (0x200, 0x1e, &[])]);
        assert_eq!(ranges(&raw), [(0x19, 0x104..0x12c), (0x1e, 0x200..0x210)]);
    }

    #[test]
    fn encryption_has_a_block_for_each_stream() {
        // Two link streams, two selective ones, of which the second has an association.
        let mut raw = device(&[(0x100, 0x01, &[]), (0x200, 0x30, &[3, 0x20, 1, 0])]);
        raw[0x200 + 12 + 16 + 20] = 1;
        assert_eq!(ranges(&raw), [(0x30, 0x200..0x200 + 12 + 16 + 20 + 32)]);
    }

    #[test]
    fn enhanced_allocation_has_entries() {
        let mut raw = device(&[]);
        raw[0x41] = 0xa0;
        raw[0xa0] = 0x14;
        raw[0xa2] = 2;
        raw[0xa4] = 2;
        raw[0xb0] = 4;
        assert_eq!(ranges(&raw), [(0x14, 0xa0..0xa0 + 4 + 12 + 20)]);
    }

    proptest! {
        #[test]
        fn any_space_is_read(
            bytes in prop::collection::vec(any::<u8>(), EXPRESS),
            start in 16u8..63,
        ) {
            let mut raw = bytes;
            raw[0x06] |= 0x10;
            raw[0x34] = start << 2;
            if let Ok(map) = ConfigMap::parse(&raw) {
                for found in hidden(&raw, &map) {
                    let mut bytes = found.range.clone();
                    prop_assert!(bytes.all(|offset| map.unassigned(offset)), "{found:?}");
                }
            }
        }
    }
}
