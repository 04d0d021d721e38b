// SPDX-License-Identifier: GPL-2.0

//! KUnit tests of the policy.

use kernel::prelude::*;

#[kunit_tests(vfio_pci_audit_policy)]
mod tests {
    use super::*;
    use crate::policy::{
        allow_list::Id,
        Decision,
        Policy, //
    };
    use core::fmt::Write;
    use kernel::sync::atomic::{
        Atomic,
        Relaxed, //
    };

    const READ: bool = false;
    const WRITE: bool = true;

    static USERS: Atomic<i32> = Atomic::new(0);

    const LISTED: Id = Id::new(0x8086, 0x10d3);
    const OTHER: Id = Id::new(0x8086, 0x10d4);

    fn blocked(policy: &Policy, iswrite: bool, id: Id) -> bool {
        policy.decide(iswrite, id) == Decision::Blocked
    }

    /// Leaves the count of users as it was.
    fn allow_all(policy: &Policy) {
        for iswrite in [READ, WRITE] {
            policy.set_blocks(iswrite, false);
        }
    }

    #[test]
    fn truth_table() {
        let policy = Policy::new(&USERS);

        assert!(policy.set_allowed(b"8086:10d3").is_ok());
        for block_read in [false, true] {
            for block_write in [false, true] {
                policy.set_blocks(READ, block_read);
                policy.set_blocks(WRITE, block_write);

                assert_eq!(blocked(&policy, READ, OTHER), block_read);
                assert_eq!(blocked(&policy, WRITE, OTHER), block_write);
                assert_eq!(policy.decide(READ, LISTED), Decision::Allowed);
                assert_eq!(policy.decide(WRITE, LISTED), Decision::Allowed);
                let users = i32::from(block_read) + i32::from(block_write);
                assert_eq!(USERS.load(Relaxed), users);
            }
        }
        policy.clear();
        assert!(blocked(&policy, READ, LISTED));
        allow_all(&policy);
    }

    #[test]
    fn a_bad_entry_keeps_the_list_in_force() {
        let policy = Policy::new(&USERS);
        let bad: [&[u8]; 20] = [
            b"10de",
            b"10de:",
            b":1eb8",
            b":",
            b"10de:1eb8:",
            b"10de:1eb8x",
            b"10de:0x",
            b"*:1eb8",
            b"10de:1eb8@48b-488",
            b"10de:1eb8@0-1000",
            b"10de:1eb8@488",
            b"10de:*@488-",
            b"10de:*@488-48b-48f",
            b"10000:1",
            b"1:10000",
            b"10de 1eb8",
            b"g:1",
            b"8086:1,",
            b",",
            b"8086:1,,8086:2",
        ];

        policy.set_blocks(WRITE, true);
        assert!(policy.set_allowed(b"8086:10d3").is_ok());
        for text in bad {
            assert_eq!(policy.set_allowed(text), Err(EINVAL));
            assert!(!blocked(&policy, WRITE, LISTED));
            assert!(blocked(&policy, WRITE, OTHER));
        }
        policy.clear();
        allow_all(&policy);
    }

    #[test]
    fn thousands_of_entries() {
        const COUNT: u16 = 10_000;
        let policy = Policy::new(&USERS);
        let mut text: KVec<u8> = KVec::new();

        // Backwards and each one twice: what is in force is sorted and without duplicates.
        for n in (0..COUNT).rev() {
            let mut entry = [0u8; 24];
            let mut out = kernel::str::Formatter::new(&mut entry);

            assert!(write!(out, "{:x}:{:x},{:x}:{:x}", n / 7, n, n / 7, n).is_ok());
            let length = out.bytes_written();
            if !text.is_empty() {
                text.push(b',', GFP_KERNEL).unwrap();
            }
            text.extend_from_slice(&entry[..length], GFP_KERNEL)
                .unwrap();
        }
        policy.set_blocks(READ, true);
        assert!(policy.set_allowed(&text).is_ok());
        assert_eq!(
            policy.with_entries(|entries| entries.len()),
            usize::from(COUNT)
        );
        for n in 0..COUNT {
            assert!(!blocked(&policy, READ, Id::new(n / 7, n)));
            assert!(blocked(&policy, READ, Id::new(n / 7 + 1, n)));
        }
        policy.clear();
        allow_all(&policy);
    }

    /// The bits of word `word` of `LISTED` that may be accessed.
    fn allowed(policy: &Policy, iswrite: bool, word: usize) -> u64 {
        let mut allowed = [0];

        policy.snapshot(iswrite, LISTED, word, &mut allowed);
        allowed[0]
    }

    #[test]
    fn ranges_are_allowed_and_nothing_else() {
        let policy = Policy::new(&USERS);

        assert!(policy.set_allowed(b"8086:*@44-47,8086:10d3@7e-81").is_ok());
        assert_eq!(policy.decide(READ, LISTED), Decision::Allowed);
        assert_eq!(allowed(&policy, READ, 1), u64::MAX);
        policy.set_blocks(READ, true);
        for (id, expected) in [
            (LISTED, Decision::ByRange),
            (OTHER, Decision::ByRange),
            (Id::new(1, 0x10d3), Decision::Blocked),
        ] {
            assert_eq!(policy.decide(READ, id), expected);
            assert_eq!(policy.decide(WRITE, id), Decision::Allowed);
        }
        for (offset, expected) in [
            (0, Decision::Blocked),
            (0x40, Decision::Blocked),
            (0x44, Decision::Allowed),
            (0x48, Decision::Blocked),
            (0x7c, Decision::ByRange),
            (0x80, Decision::ByRange),
            (0xffc, Decision::Blocked),
        ] {
            assert_eq!(policy.decide_dword(READ, LISTED, offset), expected);
            let on_write = policy.decide_dword(WRITE, LISTED, offset);
            assert_eq!(on_write, Decision::Allowed);
        }
        assert_eq!(allowed(&policy, READ, 0), 0);
        assert_eq!(allowed(&policy, READ, 1), 0xf << 4 | 3 << 62);
        assert_eq!(allowed(&policy, READ, 2), 3);
        assert_eq!(allowed(&policy, WRITE, 2), u64::MAX);
        policy.clear();
        allow_all(&policy);
    }
}
