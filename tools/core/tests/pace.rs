// SPDX-License-Identifier: GPL-2.0

//! The times at which the worker may write.

use pci_audit_core::pace::Pace;

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1000 * SECOND;

/// Writes whenever it is allowed until `end`, and returns the times.
fn write_until(pace: &mut Pace, limited: bool, end: u64) -> Vec<u64> {
    let mut now = START;
    let mut written = Vec::new();

    while now < end {
        match pace.wait(now, limited) {
            0 => {
                pace.take(now);
                written.push(now);
            }
            wait => now += wait,
        }
    }
    written
}

#[test]
fn twelve_records_at_once_and_then_twelve_a_second() {
    for limited in [false, true] {
        let written = write_until(&mut Pace::new(), limited, START + 5 * SECOND);

        assert_eq!(written.iter().filter(|&&at| at == START).count(), 12);
        assert!((71..=72).contains(&written.len()), "{}", written.len());
    }
}

#[test]
fn the_longer_of_two_waits_is_the_one() {
    let mut pace = Pace::new();
    let mut now = START;

    // Until both buckets are empty at the same time.
    loop {
        let (both, at_once) = (pace.wait(now, true), pace.wait(now, false));

        if both > at_once && at_once > 0 {
            assert_eq!(pace.wait(now + both - 1, true), 1);
            assert_eq!(pace.wait(now + both, true), 0);
            break;
        }
        match both {
            0 => pace.take(now),
            wait => now += wait,
        }
    }
}

#[test]
fn over_a_day_one_record_in_five_seconds() {
    let day = 86_400;
    let written = write_until(&mut Pace::new(), true, START + day * SECOND);

    assert!(
        (17_470..=17_472).contains(&written.len()),
        "{}",
        written.len()
    );
}

#[test]
fn without_limit_only_the_number_at_once_is_limited() {
    let written = write_until(&mut Pace::default(), false, START + 3600 * SECOND);

    assert!(
        (43_190..=43_212).contains(&written.len()),
        "{}",
        written.len()
    );
}

#[test]
fn reports_of_a_flood_come_ever_more_rarely() {
    let mut pace = Pace::new();
    let mut now = START;
    let mut intervals = Vec::new();

    for _ in 0..10 {
        assert_eq!(pace.wait_for_report(now), 0);
        pace.begin_report(now);
        let wait = pace.wait_for_report(now);
        assert_eq!(pace.wait_for_report(now + wait - 1), 1);
        intervals.push(wait / SECOND);
        now += wait;
    }
    assert_eq!(intervals, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
}

#[test]
fn a_quiet_while_as_long_as_the_last_interval_ends_a_flood() {
    let mut pace = Pace::new();
    let mut now = START;

    for _ in 0..4 {
        now += pace.wait_for_report(now);
        pace.begin_report(now);
    }
    // The last interval is 8 s. The next report was possible then.
    assert_eq!(pace.wait_for_report(now), 8 * SECOND);
    let mut early = pace;
    early.begin_report(now + 16 * SECOND - 1);
    assert_eq!(early.wait_for_report(now + 16 * SECOND - 1), 16 * SECOND);
    pace.begin_report(now + 16 * SECOND);
    assert_eq!(pace.wait_for_report(now + 16 * SECOND), SECOND);
}
