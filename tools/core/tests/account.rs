// SPDX-License-Identifier: GPL-2.0

//! The account and the bitmaps against sets of bytes.

use pci_audit_core::{
    access::{
        Op,
        Outcome,
        Range,
        CONFIG_SPACE_SIZE, //
    },
    account::{
        Account,
        Report,
        GROUPS,
        MAX_RANGES, //
    },
    touched::{
        self,
        Bitmap, //
    },
};
use proptest::prelude::*;
use std::collections::BTreeSet;

const EMPTY: Bitmap = [0; CONFIG_SPACE_SIZE / 64];

fn range() -> impl Strategy<Value = Range> {
    (0..CONFIG_SPACE_SIZE, 1..200usize).prop_map(|(offset, size)| {
        Range::new(
            offset,
            size.min(CONFIG_SPACE_SIZE - offset),
            CONFIG_SPACE_SIZE,
        )
        .unwrap()
    })
}

fn ranges_of(map: &Bitmap, bridge: usize) -> Vec<Range> {
    let mut from = 0;
    std::iter::from_fn(|| {
        let range = touched::next(map, from, bridge)?;
        from = range.end();
        Some(range)
    })
    .collect()
}

#[test]
fn an_account_is_empty_until_the_first_access() {
    let mut map = [EMPTY; GROUPS];
    let mut account = Account::new(&mut map);

    assert!(account.is_empty());
    account.recorded(Op::Write, Outcome::Allowed);
    assert!(!account.is_empty());
}

#[test]
fn a_bridge_is_the_smallest_power_of_two_that_does() {
    for gap in [1, 2, 3, 4, 7, 8, 100] {
        let mut map = EMPTY;
        for offset in [0, 1 + gap, 1000] {
            touched::mark(&mut map, Range::new(offset, 1, CONFIG_SPACE_SIZE).unwrap());
        }
        let first = |bridge| touched::next(&map, 0, bridge).unwrap();

        assert_eq!(touched::bridge_for(&map, 3), 0);
        assert_eq!(touched::bridge_for(&map, 2), gap.next_power_of_two());
        assert_eq!(first(gap - 1).end(), 1);
        assert_eq!(first(gap).end(), gap + 2);
    }
}

#[test]
fn both_ends_of_configuration_space_fit_one_range() {
    let mut map = EMPTY;
    for offset in [0, CONFIG_SPACE_SIZE - 1] {
        touched::mark(&mut map, Range::new(offset, 1, CONFIG_SPACE_SIZE).unwrap());
    }

    assert_eq!(ranges_of(&map, touched::bridge_for(&map, 2)).len(), 2);
    let all = ranges_of(&map, touched::bridge_for(&map, 1));
    assert_eq!(
        all,
        [Range::new(0, CONFIG_SPACE_SIZE, CONFIG_SPACE_SIZE).unwrap()]
    );
}

#[test]
fn a_report_has_at_most_as_many_ranges_as_asked_for() {
    let byte = |offset| Range::new(offset, 1, CONFIG_SPACE_SIZE).unwrap();
    let (op, outcome) = (Op::Write, Outcome::Blocked);

    for (most, expected) in [
        (0, 1),
        (1, 1),
        (2, 2),
        (MAX_RANGES, MAX_RANGES),
        (99, MAX_RANGES),
    ] {
        let mut map = [EMPTY; GROUPS];
        let mut account = Account::new(&mut map);

        for number in 0..20 {
            account.suppressed(op, byte(0x100 + 3 * number), outcome);
        }
        let report = account.take(op, outcome, most, false).unwrap();
        let ranges: Vec<_> = report.ranges().collect();

        assert_eq!(ranges.len(), expected);
        // Bytes apart stay apart while there is another report to come.
        assert!(ranges.iter().all(|range| range.size() == 1));
        assert!(account.is_unreported(op, outcome));
    }
}

#[test]
fn what_is_absorbed_is_the_others_no_more() {
    let byte = |offset| Range::new(offset, 1, CONFIG_SPACE_SIZE).unwrap();
    let (op, outcome) = (Op::Read, Outcome::Allowed);
    let (mut map, mut other_map) = ([EMPTY; GROUPS], [EMPTY; GROUPS]);
    let mut account = Account::new(&mut map);
    let mut other = Account::new(&mut other_map);

    other.suppressed(op, byte(0x100), outcome);
    other.lost(op, byte(0x200), outcome);
    // The counts are reported, and one of two ranges.
    assert!(other.take(op, outcome, 1, false).is_some());
    account.absorb(&mut other);
    assert!(other.is_empty());
    assert_eq!(other.unreported(), 0);
    let report = account.take(op, outcome, 2, true).unwrap();
    assert_eq!((report.suppressed, report.lost), (0, 0));
    assert_eq!(report.ranges().collect::<Vec<_>>(), [byte(0x200)]);

    other.suppressed(op, byte(0x300), outcome);
    let report = other.take(op, outcome, 2, true).unwrap();
    assert_eq!(report.ranges().collect::<Vec<_>>(), [byte(0x300)]);
}

proptest! {
    #[test]
    fn a_bitmap_is_a_set_of_bytes(
        steps in prop::collection::vec((range(), any::<bool>()), 0..40),
    ) {
        let mut map = EMPTY;
        let mut model = BTreeSet::new();

        for (range, mark) in steps {
            for byte in range.offset()..range.end() {
                if mark { model.insert(byte); } else { model.remove(&byte); }
            }
            if mark { touched::mark(&mut map, range) } else { touched::clear(&mut map, range) }
        }
        let ranges = ranges_of(&map, 0);
        let bytes: Vec<_> = ranges.iter().flat_map(|r| r.offset()..r.end()).collect();

        prop_assert_eq!(touched::is_empty(&map), model.is_empty());
        prop_assert!(ranges.windows(2).all(|pair| pair[0].end() < pair[1].offset()));
        prop_assert_eq!(bytes, model.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_bridge_covers_every_byte_in_few_ranges(
        marks in prop::collection::vec(range(), 1..80),
        most in 1usize..12,
    ) {
        let mut map = EMPTY;
        for &range in &marks {
            touched::mark(&mut map, range);
        }
        let ranges = ranges_of(&map, touched::bridge_for(&map, most));

        prop_assert!(ranges.len() <= most);
        for mark in marks {
            let covers = |r: &Range| r.offset() <= mark.offset() && mark.end() <= r.end();
            prop_assert!(ranges.iter().any(covers));
        }
        // Exact where possible.
        let exact = ranges_of(&map, 0);
        if exact.len() <= most {
            prop_assert_eq!(ranges, exact);
        }
    }

    #[test]
    fn nothing_is_lost_between_reports(
        accesses in prop::collection::vec((0u8..3, any::<bool>(), any::<bool>(), range()), 1..200),
        refuse in prop::collection::vec(any::<bool>(), 64),
    ) {
        let mut account = Account::new(Box::new([EMPTY; GROUPS]));
        let mut expected: [BTreeSet<usize>; 4] = Default::default();
        let mut named: [BTreeSet<usize>; 4] = Default::default();
        let (mut suppressed, mut lost) = (0, 0);
        let mut refuse = refuse.into_iter().cycle();
        let mut take = |account: &mut Account<Box<[Bitmap; GROUPS]>>, most, last, refuse: bool| {
            for op in Op::ALL {
                for outcome in Outcome::ALL {
                    let Some(report) = account.take(op, outcome, most, last) else { continue };
                    if refuse {
                        restore(account, &report);
                        continue;
                    }
                    suppressed += report.suppressed;
                    lost += report.lost;
                    named[2 * op as usize + outcome as usize]
                        .extend(report.ranges().flat_map(|r| r.offset()..r.end()));
                }
            }
        };
        for (count, (kind, write, allowed, range)) in (1u64..).zip(accesses) {
            let op = if write { Op::Write } else { Op::Read };
            let outcome = Outcome::from_allowed(allowed);
            match kind {
                0 => account.recorded(op, outcome),
                1 => account.suppressed(op, range, outcome),
                _ => account.lost(op, range, outcome),
            }
            if kind > 0 {
                expected[2 * op as usize + outcome as usize].extend(range.offset()..range.end());
            }
            let totals = account.totals();
            prop_assert_eq!(totals.reads + totals.writes, count);
            prop_assert_eq!(totals.records + totals.suppressed + totals.lost, count);
            if refuse.next().unwrap() {
                take(&mut account, 3, false, refuse.next().unwrap());
            }
        }
        take(&mut account, MAX_RANGES, true, false);

        let totals = account.totals();
        prop_assert_eq!(account.unreported(), 0);
        prop_assert_eq!((suppressed, lost), (totals.suppressed, totals.lost));
        for (expected, named) in expected.iter().zip(&named) {
            prop_assert!(expected.is_subset(named));
        }
    }
}

fn restore(account: &mut Account<Box<[Bitmap; GROUPS]>>, report: &Report) {
    account.restore_counts(report.op, report.outcome, report.suppressed, report.lost);
    for range in report.ranges() {
        account.restore_range(report.op, report.outcome, range);
    }
}
