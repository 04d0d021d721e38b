// SPDX-License-Identifier: GPL-2.0

//! Run finding against a byte-by-byte model.

use pci_audit_core::run::{
    self,
    Stretch,
    UNASSIGNED, //
};
use proptest::prelude::*;

/// The stretches of the map, found one byte at a time.
fn model(map: &[u8]) -> Vec<Stretch> {
    let mut stretches = Vec::new();

    for &id in map {
        match (stretches.last_mut(), id == UNASSIGNED) {
            (Some(Stretch::Unassigned(size)), true) => *size += 1,
            (Some(Stretch::Assigned(size)), false) => *size += 1,
            (_, true) => stretches.push(Stretch::Unassigned(1)),
            (_, false) => stretches.push(Stretch::Assigned(1)),
        }
    }
    stretches
}

fn stretches(mut map: &[u8]) -> Vec<Stretch> {
    let mut stretches = Vec::new();

    while let Some(stretch) = run::first(map) {
        map = &map[stretch.size()..];
        stretches.push(stretch);
    }
    stretches
}

/// Maps similar to those of devices: a few blocks of one id each.
fn blocks() -> impl Strategy<Value = Vec<u8>> {
    let id = prop_oneof![
        3 => Just(UNASSIGNED),
        1 => Just(0xfe),
        1 => 0u8..=0x30,
    ];
    prop::collection::vec((id, 1usize..300), 0..20)
        .prop_map(|blocks| blocks.iter().flat_map(|&(id, n)| vec![id; n]).collect())
}

proptest! {
    #[test]
    fn finds_what_the_model_finds_in_blocks(map in blocks()) {
        prop_assert_eq!(stretches(&map), model(&map));
    }

    #[test]
    fn finds_what_the_model_finds_in_noise(
        map in prop::collection::vec(prop_oneof![Just(UNASSIGNED), Just(1u8)], 0..200),
        start in 0usize..200,
    ) {
        let map = &map[start.min(map.len())..];
        prop_assert_eq!(stretches(map), model(map));
    }
}

#[test]
fn finds_what_the_model_finds_in_every_short_map() {
    for len in 0..=9 {
        for bits in 0..1 << len {
            let id = |at| if bits >> at & 1 == 1 { UNASSIGNED } else { 1 };
            let map: Vec<u8> = (0..len).map(id).collect();

            assert_eq!(stretches(&map), model(&map));
        }
    }
}
