// SPDX-License-Identifier: GPL-2.0

// A list of one range is meant wherever it is written here.
#![allow(clippy::single_range_in_vec_init)]

use proptest::prelude::*;

use super::*;
use crate::{EXPRESS, LIMITED};

/// Builds configuration spaces for the tests.
struct Space(Vec<u8>);

impl Space {
    fn new(size: usize) -> Self {
        Self(vec![0; size])
    }

    fn put(mut self, offset: usize, bytes: &[u8]) -> Self {
        self.0[offset..offset + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// A list of standard capabilities, each linked to the next.
    fn caps(mut self, caps: &[(usize, u8)]) -> Self {
        self.0[6] |= 0x10;
        self.0[0x34] = caps.first().map_or(0, |cap| cap.0 as u8);
        for (i, (pos, id)) in caps.iter().enumerate() {
            self.0[*pos] = *id;
            self.0[*pos + 1] = caps.get(i + 1).map_or(0, |next| next.0 as u8);
        }
        self
    }

    /// A list of extended capabilities, the first at 0x100.
    fn ext_caps(mut self, caps: &[(usize, u16)]) -> Self {
        for (i, (pos, id)) in caps.iter().enumerate() {
            let next = caps.get(i + 1).map_or(0, |next| next.0 as u32);
            let header = (next << 20) | (1 << 16) | u32::from(*id);
            self.0[*pos..*pos + 4].copy_from_slice(&header.to_le_bytes());
        }
        self
    }

    fn runs(&self) -> Vec<Range<usize>> {
        ConfigMap::parse(&self.0).unwrap().all_runs()
    }
}

fn express() -> Space {
    Space::new(EXPRESS)
        .caps(&[(0x40, capabilities::EXPRESS)])
        .put(0x42, &[0x02, 0])
}

#[test]
fn wrong_sizes_are_refused() {
    for size in [0, 64, 255, 257, 4095, 8192] {
        assert_eq!(ConfigMap::parse(&vec![0; size]), Err(MapError::Size(size)));
    }
}

#[test]
fn the_kernel_limits_a_few_devices() {
    for (_, _, size) in LIMITED {
        assert!(ConfigMap::parse(&vec![0; size]).is_ok(), "{size:#x}");
    }
    let space = Space::new(0xa0).caps(&[(0x40, 0x01), (0x9c, 0x01)]);
    // The second would go on past the end.
    assert_eq!(space.runs(), [0x48..0x9c]);
    let raw = express().ext_caps(&[(0x100, 0x03), (0x5fc, 0x03)]).0;
    let space = Space(raw[..0x600].to_vec());
    assert_eq!(space.runs(), [0x74..0x100, 0x10c..0x5fc]);
}

#[test]
fn without_capabilities_all_but_the_header_is_unassigned() {
    assert_eq!(Space::new(CONVENTIONAL).runs(), [0x40..0x100]);
    assert_eq!(Space::new(EXPRESS).runs(), [0x40..0x1000]);
    // A list pointer counts only if the status register says that there is a list.
    assert_eq!(
        Space::new(CONVENTIONAL)
            .put(0x34, &[0x50])
            .put(0x50, &[1])
            .runs(),
        [0x40..0x100]
    );
}

#[test]
fn fixed_lengths_leave_their_gaps() {
    let space = Space::new(CONVENTIONAL).caps(&[(0x40, 0x01), (0x50, 0x13), (0xf8, 0x03)]);
    assert_eq!(space.runs(), [0x48..0x50, 0x56..0xf8]);
}

#[test]
fn msi_has_four_lengths() {
    for (flags, len) in [(0x000u16, 10), (0x080, 14), (0x100, 20), (0x180, 24)] {
        let space = Space::new(CONVENTIONAL)
            .caps(&[(0x40, 0x05)])
            .put(0x42, &flags.to_le_bytes());
        assert_eq!(space.runs(), [0x40 + len..0x100], "{flags:#x}");
    }
}

#[test]
fn other_variable_lengths() {
    for (id, at, byte, len) in [
        (0x07, 0x03, 0x00, 8),
        (0x07, 0x03, 0x10, 24),
        (0x08, 0x03, 0x00, 28),
        (0x08, 0x03, 0x20, 24),
        (0x09, 0x02, 0x11, 0x11),
        (0x12, 0x04, 0x0f, 16),
        (0x12, 0x04, 0x04, 8),
        (0x10, 0x02, 0x01, 0x14),
        (0x10, 0x02, 0x91, 0x0c),
        (0x10, 0x02, 0x02, 0x34),
        (0x10, 0x02, 0x92, 0x2c),
    ] {
        let space = Space::new(CONVENTIONAL)
            .caps(&[(0x40, id)])
            .put(0x40 + at, &[byte]);
        assert_eq!(space.runs(), [0x40 + len..0x100], "{id:#x} {byte:#x}");
    }
}

#[test]
fn hidden_capabilities_stay_unassigned() {
    for id in [0x00, 0x04, 0x06, 0x0a, 0x0d, 0x0f, 0x14, 0x15, 0xff] {
        let space = Space::new(CONVENTIONAL).caps(&[(0x40, id), (0x50, 0x01)]);
        assert_eq!(space.runs(), [0x40..0x50, 0x58..0x100], "{id:#x}");
    }
    // So does a vendor's of no length.
    assert_eq!(
        Space::new(CONVENTIONAL).caps(&[(0x40, 0x09)]).runs(),
        [0x40..0x100]
    );
}

#[test]
fn a_loop_of_capabilities_ends() {
    let space = Space::new(CONVENTIONAL)
        .caps(&[(0x40, 1), (0x50, 1)])
        .put(0x51, &[0x40]);
    assert_eq!(space.runs(), [0x48..0x50, 0x58..0x100]);
}

#[test]
fn a_loop_is_told_and_each_capability_listed_once() {
    let offsets = |map: &ConfigMap| -> Vec<usize> {
        let all = map.capabilities().iter();
        all.map(|cap| cap.offset).collect()
    };
    let space = Space::new(CONVENTIONAL)
        .caps(&[(0x40, 1), (0x50, 1)])
        .put(0x51, &[0x40]);
    let map = ConfigMap::parse(&space.0).unwrap();
    assert!(map.loops());
    assert_eq!(offsets(&map), [0x40, 0x50]);
    // An extended list that loops onto a hidden capability.
    let next = (0x140u32 << 20) | (1 << 16) | 0x1e;
    let space = express()
        .ext_caps(&[(0x100, 0x03), (0x140, 0x1e)])
        .put(0x140, &next.to_le_bytes());
    let map = ConfigMap::parse(&space.0).unwrap();
    assert!(map.loops());
    assert_eq!(offsets(&map), [0x40, 0x100, 0x140]);
    assert_eq!(map.all_runs(), [0x74..0x100, 0x10c..0x1000]);
    let straight = express().ext_caps(&[(0x100, 0x03), (0x140, 0x1e)]);
    assert!(!ConfigMap::parse(&straight.0).unwrap().loops());
}

/// Intel graphics with the address of an OpRegion.
fn graphics(vendor: u16, class: u8, address: u32) -> Space {
    Space::new(CONVENTIONAL)
        .put(0x00, &vendor.to_le_bytes())
        .put(0x0b, &[class])
        .put(0xfc, &address.to_le_bytes())
}

#[test]
fn the_address_of_an_opregion_is_made_up() {
    for class in [0x00, 0x80] {
        // VGA, and any other display controller.
        let space = graphics(0x8086, 0x03, 0x7b5f_c018).put(0x0a, &[class]);
        assert_eq!(space.runs(), [0x40..0xfc]);
        let map = ConfigMap::parse(&space.0).unwrap();
        assert!(map.is_virtual(0xfc) && map.is_virtual(0xff));
        assert!(!map.is_virtual(0xfb) && !map.is_virtual(0x100));
    }
    for (vendor, class, address) in [
        (0x8086, 0x02, 0x7b5f_c018),
        (0x10de, 0x03, 0x7b5f_c018),
        (0x8086, 0x03, 0),
        (0x8086, 0x03, u32::MAX),
    ] {
        assert_eq!(graphics(vendor, class, address).runs(), [0x40..0x100]);
    }
}

#[test]
fn odd_positions_are_the_kernels_error_where_it_reads_a_register() {
    let msi = Space::new(CONVENTIONAL).caps(&[(0x41, 0x05)]);
    assert_eq!(ConfigMap::parse(&msi.0), Err(MapError::Unaligned(0x43)));
    assert_eq!(
        Space::new(CONVENTIONAL).caps(&[(0x41, 0x01)]).runs(),
        [0x40..0x41, 0x49..0x100]
    );
}

#[test]
fn overlong_capabilities_end_with_the_space() {
    let space = Space::new(CONVENTIONAL)
        .caps(&[(0xf0, 0x09)])
        .put(0xf2, &[0xff]);
    assert_eq!(space.runs(), [0x40..0xf0]);
    let space = express().ext_caps(&[(0x100, 0x03), (0xff0, 0x10)]);
    assert_eq!(space.runs(), [0x74..0x100, 0x10c..0xff0]);
}

#[test]
fn extended_ones_need_express_and_a_first_header() {
    let without = Space::new(EXPRESS).ext_caps(&[(0x100, 0x01)]);
    assert_eq!(without.runs(), [0x40..0x1000]);
    assert_eq!(express().runs(), [0x74..0x1000]);
    assert_eq!(
        express().ext_caps(&[(0x100, 0x01)]).runs(),
        [0x74..0x100, 0x12c..0x1000]
    );
}

#[test]
fn the_first_extended_one_cannot_be_hidden() {
    let space = express().ext_caps(&[(0x100, 0x1e), (0x140, 0x1e), (0x180, 0x03)]);
    assert_eq!(space.runs(), [0x74..0x100, 0x104..0x180, 0x18c..0x1000]);
    let map = ConfigMap::parse(&space.0).unwrap();
    let first = &map.capabilities()[1];
    assert!(first.is_hidden());
    assert_eq!(first.range(), 0x100..0x104);
}

#[test]
fn extended_variable_lengths() {
    for (id, at, bytes, len) in [
        (0x02, 4, &[0u8, 0, 0, 0, 0][..], 0x1c),
        (0x08, 4, &[0x01, 0, 0, 0, 0], 0x28),
        (0x09, 4, &[0x07, 0, 0, 0, 0x02], 0x80),
        (0x02, 4, &[0x00, 0, 0, 0, 0x04], 0x40),
        (0x02, 4, &[0x00, 0, 0, 0, 0x0e], 0x60),
        (0x0b, 4, &[0, 0, 0x01, 0x02], 0x20),
        (0x23, 4, &[0, 0, 0xc0, 0x02], 0x2c),
        (0x0d, 4, &[0x00, 0x08], 8),
        (0x0d, 4, &[0x20, 0x08], 12),
        (0x0d, 4, &[0x20, 0x21], 16),
        (0x0d, 4, &[0x20, 0x00], 40),
        (0x15, 8, &[0x40], 20),
        (0x16, 4, &[0x03], 20),
        (0x17, 4, &[0x00, 0x02, 0x03, 0], 20),
        (0x17, 4, &[0x00, 0x04, 0x03, 0], 12),
    ] {
        let space = express().ext_caps(&[(0x100, id)]).put(0x100 + at, bytes);
        assert_eq!(
            space.runs(),
            [0x74..0x100, 0x100 + len..0x1000],
            "{id:#x} {bytes:x?}"
        );
    }
}

#[test]
fn a_dead_device_reads_all_ones_and_still_has_a_map() {
    let map = ConfigMap::parse(&[0xff; EXPRESS]).unwrap();
    assert!(!map.unassigned(0x3f));
    assert!(map.unassigned(0x40));
    assert!(!map.unassigned(0x1000));
}

proptest! {
    /// Whatever a device says, there is no panic, and the header is never unassigned: a
    /// capability cannot own fewer bytes than it did.
    #[test]
    fn any_space_is_read(mut raw in prop::collection::vec(any::<u8>(), EXPRESS), short: bool) {
        raw[6] |= 0x10;
        raw.truncate(if short { CONVENTIONAL } else { EXPRESS });
        if let Ok(map) = ConfigMap::parse(&raw) {
            prop_assert_eq!(map.size(), raw.len());
        }
    }

    /// Runs are what a walk byte by byte finds: in order, apart, unassigned, and all there is.
    #[test]
    fn runs_are_maximal(
        owners in prop::collection::vec(
            prop_oneof![Just(UNASSIGNED), Just(0xfe), Just(1u8)],
            0..200,
        ),
        start in 0usize..220,
        len in 0usize..220,
    ) {
        let map = ConfigMap::from_owners(owners.clone());
        let runs = map.runs(start..start + len);
        let member = |offset: usize| runs.iter().any(|run| run.contains(&offset));
        for offset in 0..220 {
            let expected = (start..start + len).contains(&offset)
                && owners.get(offset) == Some(&UNASSIGNED);
            prop_assert_eq!(member(offset), expected);
        }
        prop_assert!(runs.windows(2).all(|pair| pair[0].end < pair[1].start));
        prop_assert!(runs.iter().all(|run| !run.is_empty()));
    }

    /// A list of capabilities that do not overlap owns exactly its own bytes.
    #[test]
    fn lists_own_their_bytes(picks in prop::collection::vec((0usize..11, 0usize..3), 0..11)) {
        const KINDS: [(u8, usize); 3] = [(0x01, 8), (0x02, 12), (0x13, 6)];
        let mut slots = [None; 11];
        picks.iter().for_each(|(slot, kind)| slots[*slot] = Some(KINDS[*kind]));
        let caps: Vec<_> = slots
            .iter()
            .enumerate()
            .filter_map(|(slot, kind)| Some((0x40 + slot * 16, (*kind)?)))
            .collect();
        let list: Vec<_> = caps.iter().map(|(pos, (id, _))| (*pos, *id)).collect();
        let map = ConfigMap::parse(&Space::new(CONVENTIONAL).caps(&list).0).unwrap();
        for offset in STANDARD_HEADER..CONVENTIONAL {
            let owned = caps.iter().any(|(pos, (_, len))| (*pos..pos + len).contains(&offset));
            prop_assert_eq!(map.unassigned(offset), !owned, "{:#x}", offset);
        }
    }
}

#[test]
fn capabilities_are_listed_hidden_ones_too() {
    let space = express().ext_caps(&[(0x100, 0x01), (0x140, 0x1e), (0x180, 0x99)]);
    let map = ConfigMap::parse(&space.0).unwrap();
    let listed: Vec<_> = map
        .capabilities()
        .iter()
        .map(|cap| (cap.id_text(), cap.name(), cap.range()))
        .collect();
    assert_eq!(
        listed,
        [
            ("10".to_owned(), Some("PCI Express"), 0x40..0x74),
            (
                "0001".to_owned(),
                Some("Advanced Error Reporting"),
                0x100..0x12c
            ),
            ("001e".to_owned(), Some("L1 PM Substates"), 0x140..0x140),
            ("0099".to_owned(), None, 0x180..0x180),
        ]
    );
    assert!(map.capabilities()[2].is_hidden());
}
