// SPDX-License-Identifier: GPL-2.0

//! A change of the policy while accesses look it up.

use super::explore;
use crate::{
    common::param,
    policy::{
        allow_list::Id,
        Decision,
        POLICY, //
    },
    session::cached_lookup::CachedLookup,
};
use kernel::{
    alloc::flags::GFP_KERNEL,
    sync::Arc, //
};
use loom::thread;

const DEVICE: Id = Id::new(0x8086, 0x10d3);

fn set(name: &str, text: &core::ffi::CStr) {
    param::set(name, text).expect("it is a good value");
}

/// What is decided on a write to the dword at `offset`.
fn decide(lookup: &CachedLookup, offset: usize) -> Decision {
    lookup.decide_dword(&POLICY, true, || DEVICE, offset)
}

fn lookup() -> Arc<CachedLookup> {
    CachedLookup::new()
        .and_then(|lookup| Arc::new(lookup, GFP_KERNEL))
        .expect("there is memory")
}

/// An access after a change is decided by the new list, whatever another one looked up meanwhile.
#[test]
fn list_against_look_up() {
    explore(3, || {
        set("block_pci_unassigned_write", c"Y");
        let lookup = lookup();
        let other = {
            let lookup = lookup.clone();
            thread::spawn(move || {
                decide(&lookup, 0x40);
                decide(&lookup, 0x40);
            })
        };

        set("uaccess_allow_ids", c"8086:10d3");
        assert_eq!(decide(&lookup, 0x40), Decision::Allowed);
        other.join().expect("the access ends");
        assert_eq!(
            decide(&lookup, 0x40),
            Decision::Allowed,
            "an older list was kept"
        );

        set("uaccess_allow_ids", c"");
        assert_eq!(decide(&lookup, 0x40), Decision::Blocked);
        POLICY.clear();
    });
}

/// While one access replaces what it finds of ranges, another one uses no half of them.
#[test]
fn ranges_against_look_up() {
    explore(2, || {
        set("block_pci_unassigned_write", c"Y");
        set("uaccess_allow_ids", c"8086:10d3@40-43");
        let lookup = lookup();

        assert_eq!(decide(&lookup, 0x40), Decision::Allowed);
        set("uaccess_allow_ids", c"8086:10d3@44-47,8086:10d3@80-83");
        let others =
            [(0x40, Decision::Blocked), (0x80, Decision::Allowed)].map(|(at, expected)| {
                let lookup = lookup.clone();
                thread::spawn(move || assert_eq!(decide(&lookup, at), expected))
            });
        for other in others {
            other.join().expect("the access ends");
        }
        assert_eq!(decide(&lookup, 0x44), Decision::Allowed);
        POLICY.clear();
    });
}

/// Toggles and list are those of one time: nothing is blocked, before the change by the list, after
/// it by the toggle.
#[test]
fn toggle_and_list_are_one_snapshot() {
    explore(3, || {
        set("block_pci_unassigned_write", c"Y");
        set("uaccess_allow_ids", c"8086:10d3");
        let other = thread::spawn(|| POLICY.decide(true, DEVICE));

        set("block_pci_unassigned_write", c"N");
        set("uaccess_allow_ids", c"");
        assert_eq!(other.join().expect("the access ends"), Decision::Allowed);
        POLICY.clear();
    });
}

/// The list is not freed under an access that reads it.
#[test]
fn list_is_freed_after_its_readers() {
    explore(3, || {
        set("block_pci_unassigned_write", c"Y");
        set("uaccess_allow_ids", c"8086:10d3");
        let reader = thread::spawn(|| POLICY.decide(true, DEVICE));

        set("uaccess_allow_ids", c"8086:10d3,10de:1");
        assert_eq!(reader.join().expect("the reader ends"), Decision::Allowed);
        POLICY.clear();
    });
}
