// SPDX-License-Identifier: GPL-2.0

//! KUnit tests of the policy.

use kernel::prelude::*;

#[kunit_tests(vfio_pci_audit_policy)]
mod tests {
    use super::*;
    use crate::policy::{
        allow_list::Id,
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

                assert_eq!(policy.blocked(READ, OTHER), block_read);
                assert_eq!(policy.blocked(WRITE, OTHER), block_write);
                assert!(!policy.blocked(READ, LISTED));
                assert!(!policy.blocked(WRITE, LISTED));
                let users = i32::from(block_read) + i32::from(block_write);
                assert_eq!(USERS.load(Relaxed), users);
            }
        }
        policy.clear();
        assert!(policy.blocked(READ, LISTED));
        allow_all(&policy);
    }

    #[test]
    fn a_bad_entry_keeps_the_list_in_force() {
        let policy = Policy::new(&USERS);
        let bad: [&[u8]; 14] = [
            b"10de",
            b"10de:",
            b":1eb8",
            b":",
            b"10de:1eb8:",
            b"10de:1eb8x",
            b"10de:0x1eb8",
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
            assert!(!policy.blocked(WRITE, LISTED));
            assert!(policy.blocked(WRITE, OTHER));
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
        assert_eq!(policy.with_allowed(|ids| ids.len()), usize::from(COUNT));
        for n in 0..COUNT {
            assert!(!policy.blocked(READ, Id::new(n / 7, n)));
            assert!(policy.blocked(READ, Id::new(n / 7 + 1, n)));
        }
        policy.clear();
        allow_all(&policy);
    }
}
