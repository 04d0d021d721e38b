// SPDX-License-Identifier: GPL-2.0

//! A change of the policy while accesses look it up.

use super::explore;
use crate::{
    common::param,
    policy::{
        allow_list::Id,
        CachedLookup,
        POLICY, //
    },
};
use kernel::sync::Arc;
use loom::thread;

const DEVICE: Id = Id::new(0x8086, 0x10d3);

fn blocked(lookup: &CachedLookup) -> bool {
    POLICY.blocked_cached(true, lookup, || DEVICE)
}

/// An access after a change is decided by the new list, whatever another one looked up meanwhile.
#[test]
fn list_against_look_up() {
    explore(3, || {
        param::set("block_pci_unassigned_write", c"Y").expect("it is a good value");
        let lookup = Arc::new(CachedLookup::new(), kernel::alloc::flags::GFP_KERNEL)
            .expect("there is memory");
        let other = {
            let lookup = lookup.clone();
            thread::spawn(move || {
                blocked(&lookup);
                blocked(&lookup)
            })
        };

        param::set("uaccess_allow_ids", c"8086:10d3").expect("it is a good value");
        assert!(!blocked(&lookup), "the list in force allows it");
        other.join().expect("the access ends");
        assert!(!blocked(&lookup), "an older list was kept");

        param::set("uaccess_allow_ids", c"").expect("it is a good value");
        assert!(blocked(&lookup), "the list in force is empty");
        POLICY.clear();
    });
}

/// Two changes, while an access reads the list: it is not freed under the reader.
#[test]
fn list_is_freed_after_its_readers() {
    explore(3, || {
        param::set("uaccess_allow_ids", c"8086:10d3").expect("it is a good value");
        let reader = thread::spawn(|| POLICY.blocked(true, DEVICE));

        param::set("uaccess_allow_ids", c"8086:10d3,10de:1").expect("it is a good value");
        assert!(!reader.join().expect("the reader ends"));
        POLICY.clear();
    });
}
