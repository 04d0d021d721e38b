// SPDX-License-Identifier: GPL-2.0

//! KUnit tests of the policy, the limits and the account.

use kernel::prelude::*;

#[kunit_tests(vfio_pci_audit_policy)]
mod policy {
    use super::*;
    use crate::{
        access::Op,
        allow_list::Id,
        policy::Policy, //
    };
    use core::fmt::Write;
    use kernel::sync::atomic::{
        Atomic,
        Relaxed, //
    };

    static REASONS: Atomic<i32> = Atomic::new(0);

    const LISTED: Id = Id::new(0x8086, 0x10d3);
    const OTHER: Id = Id::new(0x8086, 0x10d4);

    #[test]
    fn truth_table() {
        let policy = Policy::new(&REASONS);

        assert!(policy.set_allowed(b"8086:10d3").is_ok());
        for block_read in [false, true] {
            for block_write in [false, true] {
                policy.set_blocks(Op::Read, block_read);
                policy.set_blocks(Op::Write, block_write);

                assert_eq!(policy.blocked(Op::Read, OTHER), block_read);
                assert_eq!(policy.blocked(Op::Write, OTHER), block_write);
                assert!(!policy.blocked(Op::Read, LISTED));
                assert!(!policy.blocked(Op::Write, LISTED));
                let reasons = i32::from(block_read) + i32::from(block_write);
                assert_eq!(REASONS.load(Relaxed), reasons);
            }
        }
        policy.clear();
        assert!(policy.blocked(Op::Read, LISTED));
    }

    #[test]
    fn a_bad_entry_keeps_the_list_in_force() {
        let policy = Policy::new(&REASONS);
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

        policy.set_blocks(Op::Write, true);
        assert!(policy.set_allowed(b"8086:10d3").is_ok());
        for text in bad {
            assert_eq!(policy.set_allowed(text), Err(EINVAL));
            assert!(!policy.blocked(Op::Write, LISTED));
            assert!(policy.blocked(Op::Write, OTHER));
        }
        policy.clear();
    }

    #[test]
    fn a_list_is_read_as_an_operator_types_it() {
        let policy = Policy::new(&REASONS);
        let length = |text: &[u8]| {
            assert!(policy.set_allowed(text).is_ok());
            policy.with_allowed(|ids| ids.len())
        };

        assert_eq!(length(b"8086:10d3\n"), 1);
        assert_eq!(length(b" ffff:FFFF , ffff:ffff, 0:0 \n"), 2);
        assert_eq!(length(b"\n"), 0);
        assert_eq!(length(b"1:1"), 1);
        assert_eq!(length(b""), 0);
    }

    #[test]
    fn thousands_of_entries() {
        const COUNT: u16 = 10_000;
        let policy = Policy::new(&REASONS);
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
        policy.set_blocks(Op::Read, true);
        assert!(policy.set_allowed(&text).is_ok());
        assert_eq!(policy.with_allowed(|ids| ids.len()), usize::from(COUNT));
        for n in 0..COUNT {
            assert!(!policy.blocked(Op::Read, Id::new(n / 7, n)));
            assert!(policy.blocked(Op::Read, Id::new(n / 7 + 1, n)));
        }
        policy.clear();
    }
}

#[kunit_tests(vfio_pci_audit_run)]
mod run {
    use super::*;
    use crate::run::{
        first,
        Stretch::{
            self,
            Assigned,
            Unassigned, //
        },
        UNASSIGNED,
    };

    /// Whether the stretches of `map` from `start` on are `expected`, and nothing else.
    fn finds(map: &[u8], start: usize, expected: &[Stretch]) -> bool {
        let mut map = &map[start..];

        for &stretch in expected {
            if first(map) != Some(stretch) {
                return false;
            }
            let (Assigned(size) | Unassigned(size)) = stretch;
            map = &map[size..];
        }
        first(map).is_none()
    }

    fn map(size: usize, assigned: &[core::ops::Range<usize>]) -> KVec<u8> {
        let mut map = KVec::from_elem(UNASSIGNED, size, GFP_KERNEL).unwrap();

        for range in assigned {
            map[range.clone()].fill(1);
        }
        map
    }

    #[test]
    fn edges_of_a_pcie_device() {
        let map = map(4096, &[0..0x40, 0x100..0x148]);

        assert!(finds(
            &map,
            0,
            &[
                Assigned(0x40),
                Unassigned(0xc0),
                Assigned(0x48),
                Unassigned(4096 - 0x148)
            ]
        ));
        assert!(finds(&map[..0x41], 0x3f, &[Assigned(1), Unassigned(1)]));
        assert!(finds(&map[..0x101], 0xff, &[Unassigned(1), Assigned(1)]));
        assert!(finds(&map, 0xfff, &[Unassigned(1)]));
    }

    #[test]
    fn a_device_of_256_bytes() {
        let map = map(256, &[0..0x40, 0xdc..0xe4]);

        assert!(finds(
            &map,
            0,
            &[
                Assigned(0x40),
                Unassigned(0x9c),
                Assigned(8),
                Unassigned(0x1c)
            ]
        ));
        assert!(finds(&map, 255, &[Unassigned(1)]));
    }

    #[test]
    fn alternating_bytes() {
        let mut bytes = map(64, &[]);

        for at in (0..64).step_by(2) {
            bytes[at] = 5;
        }
        for at in 0..64 {
            let stretch = if at % 2 == 0 {
                Assigned(1)
            } else {
                Unassigned(1)
            };
            assert_eq!(first(&bytes[at..]), Some(stretch));
        }
    }

    #[test]
    fn virtual_bytes_are_assigned() {
        assert!(finds(
            &[0xfe, 0xff, 0xfe],
            0,
            &[Assigned(1), Unassigned(1), Assigned(1)]
        ));
    }

    #[test]
    fn every_length_around_a_word() {
        for size in 1..40 {
            let mut bytes = map(40, &[]);

            bytes[size..].fill(3);
            if size < 40 {
                assert!(finds(&bytes, 0, &[Unassigned(size), Assigned(40 - size)]));
            }
        }
        assert_eq!(first(&[]), None);
    }
}

#[kunit_tests(vfio_pci_audit_limit)]
mod limit {
    use crate::{
        access::{
            Op,
            Outcome,
            Range,
            CONFIG_SPACE_SIZE, //
        },
        account::{
            Account,
            GAPS, //
        },
        bucket::{
            Bucket,
            Limit, //
        },
        limits::LIMITS,
        touched::{
            self,
            Bitmap, //
        },
    };
    use kernel::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    fn range(offset: usize, size: usize) -> Range {
        Range::new(offset, size, CONFIG_SPACE_SIZE).unwrap()
    }

    fn account() -> Account<KBox<[Bitmap; GAPS]>> {
        let bitmaps = KBox::init(pin_init::init_zeroed::<[Bitmap; GAPS]>(), GFP_KERNEL);

        Account::new(bitmaps.unwrap())
    }

    #[test]
    fn a_bucket_holds_the_burst_and_fills_at_the_rate() {
        let limit = Limit {
            rate: 24,
            burst: 24,
        };
        let mut bucket = Bucket::new();
        let mut take = |now| (0..100).filter(|_| bucket.take(limit, now)).count();

        assert_eq!(take(SECOND), 24);
        assert_eq!(take(SECOND), 0);
        assert_eq!(take(SECOND + SECOND / 2), 12);
        assert_eq!(take(1000 * SECOND), 24);
    }

    #[test]
    fn a_rate_of_zero_is_no_limit() {
        let mut bucket = Bucket::new();

        assert!((0..10_000).all(|_| bucket.take(Limit { rate: 0, burst: 1 }, 1)));
    }

    #[test]
    fn nonsense_limits_are_refused() {
        let before = LIMITS.current();

        assert_eq!(LIMITS.set_burst(0), Err(EINVAL));
        assert_eq!(LIMITS.set_burst(1_000_001), Err(EINVAL));
        assert_eq!(LIMITS.set_rate(1_000_001), Err(EINVAL));
        assert!(LIMITS.current() == before);
    }

    #[test]
    fn every_access_is_accounted_for() {
        let mut account = account();

        account.recorded(Op::Read, Outcome::Allowed);
        account.recorded(Op::Write, Outcome::Blocked);
        account.suppressed(Op::Read, range(0x40, 4), Outcome::Blocked);
        account.lost(Op::Write, range(0x44, 1), Outcome::Allowed);

        let totals = account.totals();
        assert_eq!((totals.reads, totals.writes), (2, 2));
        assert_eq!((totals.blocked_reads, totals.blocked_writes), (1, 1));
        assert_eq!((totals.records, totals.suppressed, totals.lost), (2, 1, 1));
        assert_eq!(account.unreported(), 2);
    }

    #[test]
    fn a_report_clears_what_it_tells_and_nothing_else() {
        let mut account = account();

        account.suppressed(Op::Read, range(0x40, 4), Outcome::Blocked);
        account.suppressed(Op::Read, range(0x80, 4), Outcome::Blocked);

        let report = account.take(Op::Read, Outcome::Blocked, 1, false).unwrap();
        assert_eq!(report.suppressed, 2);
        assert!(report.ranges().eq([range(0x40, 4)]));
        let report = account.take(Op::Read, Outcome::Blocked, 1, false).unwrap();
        assert_eq!(report.suppressed, 0);
        assert!(report.ranges().eq([range(0x80, 4)]));
        assert!(account.take(Op::Read, Outcome::Blocked, 1, false).is_none());
        assert_eq!(account.unreported(), 0);
    }

    #[test]
    fn a_refused_report_is_kept() {
        let mut account = account();

        account.lost(Op::Write, range(0xfff, 1), Outcome::Allowed);
        let report = account.take(Op::Write, Outcome::Allowed, 4, false).unwrap();
        assert_eq!(account.unreported(), 0);
        account.restore_counts(&report);
        for range in report.ranges() {
            account.restore_range(report.op, report.outcome, range);
        }
        let again = account.take(Op::Write, Outcome::Allowed, 4, false).unwrap();
        assert_eq!(again.lost, 1);
        assert!(again.ranges().eq([range(0xfff, 1)]));
    }

    #[test]
    fn the_last_report_covers_everything() {
        let mut account = account();

        for offset in (0..CONFIG_SPACE_SIZE).step_by(2) {
            account.suppressed(Op::Read, range(offset, 1), Outcome::Allowed);
        }
        let report = account.take(Op::Read, Outcome::Allowed, 2, true).unwrap();
        assert!(report.ranges().eq([range(0, CONFIG_SPACE_SIZE - 1)]));
        assert_eq!(account.unreported(), 0);
    }

    #[test]
    fn a_bitmap_marks_across_words() {
        let mut map = [0; CONFIG_SPACE_SIZE / 64];

        touched::mark(&mut map, range(60, 200));
        assert_eq!(touched::next(&map, 0, 0), Some(range(60, 200)));
        touched::clear(&mut map, range(64, 1));
        assert_eq!(touched::next(&map, 0, 0), Some(range(60, 4)));
        assert_eq!(touched::next(&map, 64, 0), Some(range(65, 195)));
        assert_eq!(touched::next(&map, 0, 1), Some(range(60, 200)));
        assert_eq!(touched::next(&map, 260, 0), None);
    }
}
