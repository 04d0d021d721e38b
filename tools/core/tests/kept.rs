// SPDX-License-Identifier: GPL-2.0

//! What is kept for the next boot: each line is read as it was written, or not at all.

use pci_audit_core::access::{Op, Outcome, Range};
use pci_audit_core::kept::{Choice, Head, Kept, Slot, COMM, RINGS, WORDS};
use proptest::prelude::*;

fn accesses() -> impl Strategy<Value = Kept> {
    let place = (any::<u32>(), any::<u8>(), any::<u8>());
    let range = (0usize..4096)
        .prop_flat_map(|offset| (Just(offset), 1..=4096 - offset))
        .prop_map(|(offset, size)| Range::new(offset, size, 4096).unwrap());
    let what = (any::<bool>(), range, any::<bool>());
    let who = (any::<u64>(), any::<u32>(), any::<[u64; COMM / 8]>());
    (any::<[u64; 2]>(), place, what, who).prop_map(
        |([log_ns, real_ns], (domain, bus, devfn), (write, range, allowed), who)| Kept {
            log_ns,
            real_ns,
            domain,
            bus,
            devfn,
            op: if write { Op::Write } else { Op::Read },
            range,
            outcome: Outcome::from_allowed(allowed),
            session: who.0,
            pid: who.1,
            comm: who.2,
        },
    )
}

proptest! {
    #[test]
    fn an_access_is_read_as_it_was_written(kept in accesses(), number in 1u64..1 << 48) {
        prop_assert_eq!(Slot::from_line(&kept.to_line(number)), Slot::Kept(number, kept));
    }

    #[test]
    fn a_head_is_no_access_and_an_access_no_head(kept in accesses(), boot in 0u64..1 << 48) {
        let head = Head { boot, token: kept.session };
        prop_assert_eq!(Head::from_line(&head.to_line()), Some(head));
        prop_assert_eq!(Head::from_line(&kept.to_line(boot)), None);
        prop_assert_eq!(Slot::from_line(&head.to_line()), Slot::Damaged);
    }
}

fn kept(devfn: u8, op: Op) -> Kept {
    Kept {
        log_ns: 19_004_123_000,
        real_ns: 1_747_758_000_123_456_789,
        domain: 0,
        bus: 1,
        devfn,
        op,
        range: Range::new(0x298, 4, 4096).unwrap(),
        outcome: Outcome::Allowed,
        session: 7,
        pid: 1502,
        comm: [
            u64::from_ne_bytes(*b"qemu-sys"),
            u64::from_ne_bytes(*b"tem-x86\0"),
        ],
    }
}

/// A checksum of 16 bits misses one of 65,536 at random: these are the same in each run.
#[test]
fn no_bit_may_flip() {
    let line = kept(8, Op::Write).to_line(4711);
    for word in 0..WORDS {
        for bit in 0..u64::BITS {
            let mut damaged = line;
            damaged[word] ^= 1u64 << bit;
            assert_eq!(Slot::from_line(&damaged), Slot::Damaged, "{word} {bit}");
        }
    }
}

/// The text of the name is what tells a host's operator whose access it was.
#[test]
fn a_name_ends_where_the_process_ends_it() {
    assert_eq!(&kept(8, Op::Read).name(), b"qemu-system-x86\0");
}

/// Of all checksums one is right, so that what does not fit is refused for itself.
#[test]
fn flags_without_a_meaning_and_bytes_that_no_device_has_are_refused() {
    let line = kept(8, Op::Write).to_line(4711);
    let refused = |change: u64| {
        (0..=u64::from(u16::MAX)).all(|checksum| {
            let mut other = line;
            other[0] = line[0] & !0xffff | checksum;
            other[5] ^= change;
            Slot::from_line(&other) == Slot::Damaged
        })
    };
    assert!(!refused(0), "this is the line as it was written");
    assert!(refused(1 << 50), "a flag");
    assert!(refused(0x1000), "an offset beyond configuration space");
}

/// Devices of a host do not all share rings, and reads never erase the writes of their device.
#[test]
fn a_flood_does_not_reach_far() {
    let mut devices = [0; RINGS];
    for devfn in 0..=255 {
        let rings = Op::ALL.map(|op| kept(devfn, op).ring());
        assert_ne!(rings[0], rings[1], "{devfn}");
        devices[rings[1]] += 1;
    }
    assert!(
        devices.iter().all(|&devices| (8..=24).contains(&devices)),
        "{devices:?}"
    );
}

#[test]
fn memory_that_nothing_was_written_to_is_empty() {
    assert_eq!(Slot::from_line(&[0; WORDS]), Slot::Empty);
    assert_eq!(Head::from_line(&[0; WORDS]), None);
    assert_eq!(Head::from_line(&[u64::MAX; WORDS]), None);
}

/// Boots one after the other, with what each finds in both halves.
#[test]
fn each_boot_leaves_the_one_before_alone() {
    let mut halves = [None, None];
    let mut before: Option<usize> = None;
    for token in 1..=20u64 {
        let choice = Choice::new(halves, token);
        assert!(!choice.goes_on);
        assert_eq!(choice.head, Head { boot: token, token });
        assert_eq!(choice.last, before.is_some());
        assert_ne!(Some(choice.half), before, "that is what has to be read");
        halves[choice.half] = Some(choice.head);
        // The module is unloaded and loaded again.
        let again = Choice::new(halves, token);
        assert!(again.goes_on);
        assert_eq!(
            (again.half, again.head, again.last),
            (choice.half, choice.head, choice.last)
        );
        before = Some(choice.half);
    }
}

#[test]
fn boots_that_cannot_be_told_apart_are_taken_for_different_ones() {
    let head = |boot| Some(Head { boot, token: 0 });
    let choice = Choice::new([head(4), head(3)], 0);
    assert_eq!((choice.half, choice.head.boot), (1, 5));
    assert!(!choice.goes_on && choice.last);
}

#[test]
fn a_damaged_head_costs_its_own_half_only() {
    let head = Head { boot: 4, token: 7 };
    for half in 0..2 {
        let mut halves = [None, None];
        halves[half] = Some(head);
        let choice = Choice::new(halves, 8);
        assert_eq!((choice.half, choice.head.boot), (1 - half, 5));
        assert!(choice.last);
    }
    let first = Choice::new([None, None], 8);
    assert_eq!((first.half, first.head.boot, first.last), (0, 1, false));
}
