// SPDX-License-Identifier: GPL-2.0

//! KUnit tests of sessions on a device. Auditing has to be enabled ("audit=1").

use kernel::prelude::*;

#[kunit_tests(vfio_pci_audit_session)]
mod tests {
    use crate::session::{
        device::Device,
        Session, //
    };
    use kernel::{
        pci,
        sync::Arc, //
    };
    use pci_audit::{
        any_device,
        Op,
        Outcome, //
    };

    fn access(session: &Session, pci: &pci::Device, times: usize) {
        for _ in 0..times {
            let range = pci_audit::range(pci, 0x40, 4).unwrap();

            session.access(Op::Read, range, Outcome::Blocked);
        }
    }

    fn totals(device: &Arc<Device>) -> crate::session::totals::Totals {
        let mut found = None;

        device.view(&mut |_, _, totals, open| {
            if open {
                found = Some(totals);
            }
        });
        found.unwrap()
    }

    #[test]
    fn limits_are_those_of_the_device() {
        let pci = any_device();
        let device = Device::new().unwrap();
        let mut recorded = 0;

        for _ in 0..10 {
            let session = device.open(&pci).unwrap();

            access(&session, &pci, 20);
            let totals = totals(&device);
            assert_eq!((totals.reads, totals.writes), (20, 0));
            assert_eq!(totals.blocked_reads, 20);
            assert_eq!(totals.records + totals.suppressed + totals.lost, 20);
            recorded += totals.records + totals.lost;
            device.close();
        }
        // The burst of 24 and one token per second.
        assert!((20..=40).contains(&recorded));
        device.finish();
    }

    #[test]
    fn a_session_that_is_met_twice_ends_once() {
        let pci = any_device();
        let device = Device::new().unwrap();
        let first = device.open(&pci).unwrap();
        let second = device.open(&pci).unwrap();

        assert!(Arc::ptr_eq(&first, &second));
        access(&first, &pci, 1);
        device.close();
        access(&second, &pci, 1);
        assert_eq!(totals(&device).reads, 2);
        device.close();
        let third = device.open(&pci).unwrap();
        assert!(!Arc::ptr_eq(&first, &third));
        assert_eq!(totals(&device).reads, 0);
        device.close();
        device.finish();
    }

    #[test]
    fn nothing_outlives_the_module() {
        let pci = any_device();
        let device = Device::new().unwrap();
        let session = device.open(&pci).unwrap();

        access(&session, &pci, 100);
        device.close();
        device.finish();
        drop(session);
        let mut lines = 0;
        device.view(&mut |_, _, _, _| lines += 1);
        assert_eq!(lines, 0);
    }
}

#[kunit_tests(vfio_pci_audit_cached_lookup)]
mod cached_lookup {
    use crate::{
        policy::{
            allow_list::Id,
            Decision,
            Policy, //
        },
        session::cached_lookup::CachedLookup,
    };
    use kernel::sync::atomic::Atomic;

    const READ: bool = false;
    const WRITE: bool = true;

    static USERS: Atomic<i32> = Atomic::new(0);

    const DEVICE: Id = Id::new(0x8086, 0x10d3);

    /// What is cached of the first word, which is what the policy says.
    fn allowed(policy: &Policy, lookup: &CachedLookup, iswrite: bool) -> u64 {
        let mut word = [0];
        let mut cached = [0];

        policy.snapshot(iswrite, DEVICE, 0, &mut word);
        lookup.snapshot(policy, iswrite, || DEVICE, 0, &mut cached);
        assert_eq!(word, cached);
        for offset in (0..64).step_by(4) {
            let decision = lookup.decide_dword(policy, iswrite, || DEVICE, offset);

            assert_eq!(policy.decide_dword(iswrite, DEVICE, offset), decision);
        }
        word[0]
    }

    #[test]
    fn it_is_of_the_list_in_force() {
        let policy = Policy::new(&USERS);
        let lookup = CachedLookup::new().unwrap();

        policy.set_blocks(WRITE, true);
        for _ in 0..3 {
            for (text, decision, word) in [
                (&b""[..], Decision::Blocked, 0),
                (b"8086:10d3@0-3", Decision::ByRange, 0xf),
                (
                    b"8086:10d3@3-4,8086:*@20-3f",
                    Decision::ByRange,
                    !0 << 32 | 0x18,
                ),
                (b"8086:10d3", Decision::Allowed, u64::MAX),
                (b"8086:10d4@4-7", Decision::Blocked, 0),
                (b"8086:*", Decision::Allowed, u64::MAX),
            ] {
                assert!(policy.set_allowed(text).is_ok());
                assert_eq!(lookup.decide(&policy, WRITE, || DEVICE), decision);
                assert_eq!(allowed(&policy, &lookup, WRITE), word);
                // It is not looked up again.
                let again = lookup.decide(&policy, WRITE, || unreachable!());
                assert_eq!(again, decision);
                assert_eq!(allowed(&policy, &lookup, READ), u64::MAX);
            }
        }
        policy.clear();
        policy.set_blocks(WRITE, false);
    }

    #[test]
    fn a_toggle_takes_effect_without_a_look_up() {
        let policy = Policy::new(&USERS);
        let lookup = CachedLookup::new().unwrap();

        assert!(policy.set_allowed(b"8086:10d3@0-3").is_ok());
        policy.set_blocks(READ, true);
        assert_eq!(lookup.decide(&policy, READ, || DEVICE), Decision::ByRange);
        for block in [false, true, false] {
            policy.set_blocks(READ, block);
            let decision = lookup.decide(&policy, READ, || unreachable!());
            let word = allowed(&policy, &lookup, READ);
            let expected = if block {
                (Decision::ByRange, 0xf)
            } else {
                (Decision::Allowed, u64::MAX)
            };
            assert_eq!((decision, word), expected);
        }
        policy.clear();
    }
}
