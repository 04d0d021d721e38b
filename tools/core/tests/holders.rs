// SPDX-License-Identifier: GPL-2.0

//! The processes that are named in the log.

use pci_audit_core::holders::{
    Holders,
    Process, //
};

fn process(tgid: i32) -> Process {
    Process {
        tgid,
        started: 5,
        executed: 1,
    }
}

#[test]
fn no_process_is_named_at_first() {
    assert!(!Holders::new().contains(process(1)));
    assert!(!Holders::default().contains(process(0)));
}

#[test]
fn a_process_is_told_from_others_with_its_number() {
    let mut holders = Holders::new();
    let first = process(1);
    let reused = Process {
        started: 6,
        ..first
    };
    let executed = Process {
        executed: 2,
        ..first
    };

    holders.add(first);
    assert!(holders.contains(first));
    assert!(!holders.contains(reused));
    assert!(!holders.contains(executed));
    assert!(!holders.contains(process(2)));
}

#[test]
fn a_process_that_is_named_twice_takes_one_place() {
    for order in [&[1, 1, 2, 1, 3, 2, 4][..], &[1, 2, 2, 3, 4]] {
        let mut holders = Holders::new();

        for &tgid in order {
            holders.add(process(tgid));
        }
        assert!(
            (1..=4).all(|tgid| holders.contains(process(tgid))),
            "{order:?}"
        );
    }
}

#[test]
fn one_process_too_many_takes_the_place_of_the_first() {
    let mut holders = Holders::new();
    let capacity = Holders::CAPACITY as i32;

    for tgid in 1..=capacity {
        holders.add(process(tgid));
    }
    assert!((1..=capacity).all(|tgid| holders.contains(process(tgid))));
    for tgid in 1..=3 * capacity {
        holders.add(process(capacity + tgid));
        assert!(!holders.contains(process(tgid)));
        assert!((tgid + 1..=capacity + tgid).all(|tgid| holders.contains(process(tgid))));
    }
}
