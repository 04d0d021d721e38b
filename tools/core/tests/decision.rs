// SPDX-License-Identifier: GPL-2.0

//! What is decided for each byte, and into which runs a system call falls, against a look at one
//! byte after the other.

mod exceptions;

use exceptions::{
    arb_exceptions,
    list_of,
    Exception, //
};
use pci_audit_core::{
    allow_list::{
        find,
        mark,
        Excepted,
        Id, //
    },
    bitmap::{
        self,
        BITS,
        BYTES,
        EMPTY,
        WORDS, //
    },
    run::{
        first_decided,
        Stretch,
        UNASSIGNED, //
    },
};
use proptest::prelude::*;

fn is_excepted(exceptions: &[Exception], vendor: u16, device: u16, byte: usize) -> bool {
    exceptions
        .iter()
        .any(|exception| exception.has(vendor, device, byte))
}

fn is_marked(map: &[u64], byte: usize) -> bool {
    map[byte / BITS] >> (byte % BITS) & 1 == 1
}

/// A part of a system call: of what kind, allowed or not, and how many bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Assigned(usize),
    Run(bool, usize),
}

/// The parts of a call, found one byte at a time.
fn model(map: &[u8], allowed: impl Fn(usize) -> bool) -> Vec<Part> {
    let mut parts = Vec::new();

    for (at, &id) in map.iter().enumerate() {
        let unassigned = (id == UNASSIGNED).then(|| allowed(at));
        match (parts.last_mut(), unassigned) {
            (Some(Part::Assigned(size)), None) => *size += 1,
            (Some(Part::Run(last, size)), Some(this)) if *last == this => *size += 1,
            (_, None) => parts.push(Part::Assigned(1)),
            (_, Some(this)) => parts.push(Part::Run(this, 1)),
        }
    }
    parts
}

/// The same as the kernel module finds them.
fn parts(map: &[u8], allowed: &[u64], from: usize) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut done = 0;

    while let Some((stretch, is_allowed)) = first_decided(&map[done..], allowed, from + done) {
        done += stretch.size();
        parts.push(match stretch {
            Stretch::Assigned(size) => Part::Assigned(size),
            Stretch::Unassigned(size) => Part::Run(is_allowed, size),
        });
    }
    parts
}

/// Maps as devices have them: a few blocks of one id each.
fn config_map() -> impl Strategy<Value = Vec<u8>> {
    let id = prop_oneof![4 => Just(UNASSIGNED), 1 => Just(0xfe), 1 => 0u8..=0x30];
    prop::collection::vec((id, 1usize..400), 12..40).prop_map(|blocks| {
        let mut map: Vec<u8> = blocks
            .iter()
            .flat_map(|&(id, size)| vec![id; size])
            .collect();
        map.resize(BYTES, UNASSIGNED);
        map
    })
}

proptest! {
    #[test]
    fn every_byte_is_excepted_as_in_the_model(
        exceptions in arb_exceptions(0..60),
        vendor in 0u16..3,
        device in 0u16..4,
        first in 0..WORDS,
        count in 0..=WORDS,
    ) {
        let list = list_of(&exceptions);
        let id = Id::new(vendor, device);
        let excepted = |byte| is_excepted(&exceptions, vendor, device, byte);
        let count = count.min(WORDS - first);
        let mut map = EMPTY;
        let map = &mut map[..count];

        mark(&list, id, first, map);
        for byte in 0..count * BITS {
            prop_assert_eq!(is_marked(map, byte), excepted(first * BITS + byte), "{:x}", byte);
        }
        match find(&list, id) {
            Excepted::Everything => prop_assert!((0..BYTES).all(excepted)),
            Excepted::Nothing => prop_assert!(!(0..BYTES).any(excepted)),
            Excepted::Ranges => prop_assert!((0..BYTES).any(excepted)),
        }
    }

    #[test]
    fn a_call_falls_into_the_runs_of_the_model(
        exceptions in arb_exceptions(0..60),
        config_map in config_map(),
        blocked in prop::bool::weighted(0.9),
        a in 0..BYTES,
        b in 0..BYTES,
    ) {
        let (start, end) = (a.min(b), a.max(b) + 1);
        let words = bitmap::words(start, end - start);
        let mut allowed = EMPTY;
        let allowed = &mut allowed[..words.len()];

        if blocked {
            mark(&list_of(&exceptions), Id::new(1, 1), words.start, allowed);
        } else {
            allowed.fill(u64::MAX);
        }
        let found = parts(&config_map[start..end], allowed, start - words.start * BITS);
        let expected = model(&config_map[start..end], |at| {
            !blocked || is_excepted(&exceptions, 1, 1, start + at)
        });
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn finds_every_pattern_of_a_few_bytes() {
    for len in 1..=6 {
        for unassigned in 0..1u32 << len {
            for allowed in 0..1u64 << len {
                // Across the border of two words, too.
                for from in [0, BITS - 3] {
                    let map: Vec<u8> = (0..len)
                        .map(|at| {
                            if unassigned >> at & 1 == 1 {
                                UNASSIGNED
                            } else {
                                1
                            }
                        })
                        .collect();
                    let bits = u128::from(allowed) << from;
                    let words = [bits as u64, (bits >> BITS) as u64];

                    assert_eq!(
                        parts(&map, &words, from),
                        model(&map, |at| allowed >> at & 1 == 1)
                    );
                }
            }
        }
    }
}
