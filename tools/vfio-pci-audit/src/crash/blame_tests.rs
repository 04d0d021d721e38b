// SPDX-License-Identifier: GPL-2.0

use super::super::accesses::join;
use super::super::error::Kind;
use super::super::moment::tests::COMPARED;
use super::super::moment::Moment;
use super::super::topology::tests::bridge;
use super::*;
use crate::rows::Who;

const SECOND: u64 = 1_000_000;

fn bdf(text: &str) -> Bdf {
    text.parse().unwrap()
}

fn access(at: u64, device: &str, op: Op, offset: usize) -> Access {
    Access {
        moment: Moment::up(at),
        device: bdf(device),
        op,
        range: offset..offset + 4,
        session: Some(1),
        who: Who {
            vm: Some("a".into()),
            ..Who::default()
        },
        allowed: true,
        exact: true,
    }
}

fn error(at: u64, device: Option<&str>) -> DeviceError {
    DeviceError {
        moment: Moment::up(at),
        kind: Kind::Aer,
        severity: Severity::Fatal,
        device: device.map(bdf),
        port: None,
        details: Vec::new(),
        from: "log:1".into(),
    }
}

fn topology() -> Topology {
    let mut topology = Topology::default();
    topology.add(bdf("00:01.0"), &bridge(1, 1));
    topology.add(bdf("00:02.0"), &bridge(2, 2));
    topology
}

fn question() -> Question {
    Question {
        window: 10 * SECOND,
        devices: Vec::new(),
        corrected: false,
        since: None,
    }
}

fn ask(errors: &[DeviceError], accesses: &[Access]) -> Vec<Charge> {
    blame(errors, accesses, &topology(), &question())
}

#[test]
fn the_nearest_comes_first_and_the_strongest_is_blamed() {
    let accesses = [
        access(80 * SECOND, "01:00.0", Op::Read, 0x40),
        access(95 * SECOND, "01:00.0", Op::Read, 0x40),
        access(100 * SECOND - 300, "01:00.0", Op::Write, 0x2f8),
        // The innocent one is nearer, on the same port.
        access(100 * SECOND - 100, "01:00.1", Op::Write, 0x2f8),
        access(100 * SECOND - 50, "02:00.0", Op::Write, 0x2f8),
        access(101 * SECOND, "01:00.0", Op::Write, 0x300),
    ];
    let charges = ask(&[error(100 * SECOND, Some("01:00.0"))], &accesses);
    // What came after an error is told only if the clock is not exact.
    let mut skewed = [access(SECOND + 200_000, "01:00.0", Op::Write, 0x2f8)];
    let of_exact = ask(&[error(SECOND, Some("01:00.0"))], &skewed);
    assert!(of_exact[0].suspects.is_empty());
    skewed[0].moment.within = 250_000;
    let of_skewed = ask(&[error(SECOND, Some("01:00.0"))], &skewed);
    assert_eq!(of_skewed[0].suspects[0].before, -200_000);
    let found: Vec<_> = charges[0]
        .suspects
        .iter()
        .map(|s| (s.before, s.relation, s.strength, s.without_error))
        .collect();
    assert_eq!(
        found,
        [
            (50, Relation::TimeOnly, Strength::Weak, 0),
            (100, Relation::SameDevice, Strength::Moderate, 0),
            (300, Relation::SameFunction, Strength::Strong, 0),
            (5_000_000, Relation::SameFunction, Strength::Weak, 1),
        ]
    );
    assert_eq!(charges[0].culprit().unwrap().access, accesses[2]);
}

#[test]
fn what_happened_often_without_an_error_is_weaker() {
    let mut accesses: Vec<Access> = (0..50)
        .map(|n| access(n * SECOND, "01:00.0", Op::Write, 0x2f8))
        .collect();
    accesses.push(access(100 * SECOND - 10, "01:00.0", Op::Write, 0x2f8));
    let charges = ask(&[error(100 * SECOND, Some("01:00.0"))], &accesses);
    let suspect = &charges[0].suspects[0];
    assert_eq!(
        (suspect.without_error, suspect.strength, suspect.count),
        (50, Strength::Moderate, 1)
    );
}

#[test]
fn an_earlier_error_is_not_without_one() {
    let at = |second| access(second * SECOND, "01:00.0", Op::Write, 0x2f8);
    let accesses = [at(10), at(49), at(70), at(99)];
    let errors = [50, 100].map(|second| error(second * SECOND, Some("01:00.0")));
    let charges = ask(&errors, &accesses);
    let found: Vec<_> = charges
        .iter()
        .map(|charge| charge.suspects[0].without_error)
        .collect();
    assert_eq!(found, [1, 2]);
}

#[test]
fn a_blocked_access_is_no_cause() {
    let blocked = Access {
        allowed: false,
        ..access(100 * SECOND - 10, "01:00.0", Op::Write, 0x2f8)
    };
    let charges = ask(&[error(100 * SECOND, Some("01:00.0"))], &[blocked]);
    assert_eq!(charges[0].suspects[0].strength, Strength::None);
    assert_eq!(charges[0].culprit(), None);
}

#[test]
fn a_port_is_above_its_devices() {
    let accesses = [
        access(100 * SECOND - 300, "01:00.0", Op::Write, 0x2f8),
        access(100 * SECOND - 100, "02:00.0", Op::Write, 0x2f8),
    ];
    let charges = ask(&[error(100 * SECOND, Some("00:01.0"))], &accesses);
    let culprit = charges[0].culprit().unwrap();
    assert_eq!(
        (culprit.access.device, culprit.relation, culprit.strength),
        (bdf("01:00.0"), Relation::BelowPort, Strength::Moderate)
    );
    // A machine check has no device: the nearest is weak evidence.
    let charges = ask(&[error(100 * SECOND, None)], &accesses);
    let culprit = charges[0].culprit().unwrap();
    assert_eq!(
        (culprit.access.device, culprit.strength),
        (bdf("02:00.0"), Strength::Weak)
    );
    // Something on a root bus has nothing to do with another device there.
    let on_root = relation(&error(0, Some("00:1f.0")), bdf("00:1e.0"), &topology());
    assert_eq!(on_root, Relation::TimeOnly);
}

#[test]
fn an_error_is_told_once() {
    let log = error(100 * SECOND, Some("01:00.0"));
    let database = DeviceError {
        from: "ras.db aer_event 1".into(),
        moment: Moment {
            within: SECOND,
            ..Moment::up(100 * SECOND - 400_000)
        },
        ..log.clone()
    };
    let later = DeviceError {
        moment: Moment::up(104 * SECOND),
        ..log.clone()
    };
    let corrected = DeviceError {
        severity: Severity::Corrected,
        ..later.clone()
    };
    // Two rows of a database are two errors.
    let next = DeviceError {
        from: "ras.db aer_event 2".into(),
        ..database.clone()
    };
    assert_eq!(ask(&[database.clone(), next], &[]).len(), 2);
    let charges = ask(&[log.clone(), database, later, corrected], &[]);
    assert_eq!(charges.len(), 2);
    assert_eq!(charges[0].error, log);

    let only = Question {
        devices: vec![bdf("02:00.0")],
        ..question()
    };
    assert_eq!(blame(&[log], &[], &topology(), &only), []);
}

#[test]
fn without_a_clock_in_common_nothing_is_said() {
    let recorded = Access {
        moment: Moment::milliseconds(1_747_758_000_000),
        ..access(0, "01:00.0", Op::Write, 0x2f8)
    };
    let charges = ask(&[error(100, Some("01:00.0"))], &[recorded]);
    assert_eq!((charges[0].suspects.len(), charges[0].no_clock), (0, 1));
}

#[test]
fn a_ring_and_a_log_tell_of_the_same_access() {
    let booted = 1_747_758_000 * SECOND;
    let ring = access(SECOND, "01:00.0", Op::Write, 0x2f8);
    let dated = Access {
        moment: ring.moment.booted_at(Some(booted)),
        ..ring.clone()
    };
    let log = Access {
        moment: Moment::milliseconds((booted + SECOND) / 1000),
        ..ring.clone()
    };
    let later = Access {
        moment: Moment::milliseconds((booted + 9 * SECOND) / 1000),
        ..ring.clone()
    };
    assert_eq!(join(vec![dated.clone()], vec![log.clone()]).len(), 1);
    assert_eq!(join(vec![dated], vec![later]).len(), 2);
    assert_eq!(join(vec![ring], vec![log]).len(), 1);
}

#[test]
fn many_errors_and_accesses_are_joined_with_few_comparisons() {
    const MANY: u64 = 400;

    // An error every minute, a second after a write like all the others.
    let at = |number: u64| number * 60 * SECOND;
    let errors: Vec<DeviceError> = (1..=MANY)
        .map(|number| DeviceError {
            from: format!("ras.db aer_event {number}"),
            ..error(at(number), Some("01:00.0"))
        })
        .collect();
    let accesses: Vec<Access> = (1..=MANY)
        .map(|number| access(at(number) - SECOND, "01:00.0", Op::Write, 0x2f8))
        .collect();
    COMPARED.set(0);
    let charges = ask(&errors, &accesses);
    let compared = COMPARED.get();
    assert!(charges.iter().all(|charge| charge.suspects.len() == 1));
    // All with all would be 160,000, and for each of these again 400.
    assert!(compared < 200 * MANY, "{compared}");
}

#[test]
fn errors_before_a_time_are_skipped() {
    let of_day = |second: u64| DeviceError {
        moment: Moment {
            wall: Some(second * SECOND),
            ..Moment::default()
        },
        ..error(0, Some("01:00.0"))
    };
    let errors = [of_day(9), of_day(99), error(5, Some("01:00.0"))];
    let since = Question {
        since: Some(10 * SECOND),
        ..question()
    };
    let at = |second: u64| Access {
        moment: of_day(second).moment,
        ..access(0, "01:00.0", Op::Write, 0x2f8)
    };
    let charges = blame(&errors[..2], &[at(8), at(98)], &topology(), &since);
    // The write before the error that is skipped had one, too.
    assert_eq!(charges[0].suspects[0].without_error, 0);
    let charges = blame(&errors, &[], &topology(), &since);
    let walls: Vec<_> = charges
        .iter()
        .map(|charge| charge.error.moment.wall)
        .collect();
    // One whose time of day is unknown may be later.
    assert_eq!(walls, [None, Some(99 * SECOND)]);
}
