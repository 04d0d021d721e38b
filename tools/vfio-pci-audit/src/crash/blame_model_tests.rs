// SPDX-License-Identifier: GPL-2.0

//! The same as [`blame()`](super::blame), slow and obvious: everything is compared with everything.

use proptest::prelude::*;

use super::super::error::Kind;
use super::super::moment::{Boot, Moment};
use super::super::topology::tests::bridge;
use super::*;
use crate::rows::Who;

const WINDOW: u64 = 10_000_000;

fn source(error: &DeviceError) -> &str {
    error.from.rsplit_once([':', ' ']).unwrap().0
}

fn is_same(a: &DeviceError, b: &DeviceError) -> bool {
    let close = 1_500_000 + a.moment.within.max(b.moment.within);
    (a.kind, a.device, a.severity) == (b.kind, b.device, b.severity)
        && source(a) != source(b)
        && a.moment
            .before(&b.moment)
            .is_some_and(|us| us.unsigned_abs() <= close)
}

fn is_before(access: &Access, error: &DeviceError) -> Option<bool> {
    let before = access.moment.before(&error.moment)?;
    let late = error.moment.within.max(access.moment.within) as i64;
    Some((-late..=WINDOW as i64).contains(&before))
}

fn is_alike(a: &Access, b: &Access) -> bool {
    (a.device, a.op, &a.range, a.session, a.allowed, &a.who)
        == (b.device, b.op, &b.range, b.session, b.allowed, &b.who)
}

fn without_error(
    access: &Access,
    accesses: &[Access],
    error: &DeviceError,
    errors: &[&DeviceError],
    topology: &Topology,
) -> u64 {
    let like = |other: &&Access| {
        other.device == access.device
            && other.op == access.op
            && other.allowed == access.allowed
            && other.range.start < access.range.end
            && access.range.start < other.range.end
    };
    let early = |other: &&Access| {
        let before = other.moment.before(&error.moment);
        before.is_some_and(|before| before > WINDOW as i64)
    };
    let harmless = |other: &&Access| {
        errors
            .iter()
            .filter(|error| error.kind != Kind::Panic)
            .filter(|error| relation(error, access.device, topology) > Relation::TimeOnly)
            .all(|error| is_before(other, error) == Some(false))
    };
    let accesses = accesses.iter();
    accesses.filter(like).filter(early).filter(harmless).count() as u64
}

fn charge(
    error: &DeviceError,
    errors: &[&DeviceError],
    accesses: &[Access],
    topology: &Topology,
) -> Charge {
    let mut found: Vec<&Access> = accesses
        .iter()
        .filter(|access| is_before(access, error) == Some(true))
        .collect();
    found.sort_by_key(|access| access.moment.before(&error.moment));
    let mut suspects: Vec<Suspect> = Vec::new();
    for access in found {
        let mut known = suspects.iter_mut();
        if let Some(like) = known.find(|known| is_alike(&known.access, access)) {
            like.count += 1;
        } else if suspects.len() < MOST {
            let mut suspect = Suspect {
                access: access.clone(),
                before: access.moment.before(&error.moment).unwrap(),
                count: 1,
                relation: relation(error, access.device, topology),
                without_error: without_error(access, accesses, error, errors, topology),
                strength: Strength::None,
            };
            suspect.strength = strength(&suspect);
            suspects.push(suspect);
        }
    }
    let no_clock = accesses
        .iter()
        .filter(|access| access.moment.before(&error.moment).is_none());
    Charge {
        error: error.clone(),
        suspects,
        no_clock: no_clock.count() as u64,
    }
}

fn model(errors: &[DeviceError], accesses: &[Access], topology: &Topology) -> Vec<Charge> {
    let errors: Vec<&DeviceError> = errors.iter().collect();
    let mut asked: Vec<&DeviceError> = errors
        .iter()
        .enumerate()
        .filter(|(at, error)| !errors[..*at].iter().any(|known| is_same(known, error)))
        .map(|(_, error)| *error)
        .collect();
    asked.sort_by_key(|error| (error.moment.wall, error.moment.up));
    asked
        .iter()
        .map(|error| charge(error, &asked, accesses, topology))
        .collect()
}

fn devices() -> impl Strategy<Value = Bdf> {
    prop::sample::select(vec!["00:01.0", "01:00.0", "01:00.1", "02:00.0"])
        .prop_map(|text| text.parse().unwrap())
}

/// When the boots began.
const BOOTED: [u64; 2] = [1_747_758_000_000_000, 1_747_758_090_000_000];

/// Moments by either clock or both, in ticks of a quarter of a second.
fn moments() -> impl Strategy<Value = Moment> {
    let boots = [
        None,
        Some(Boot::This),
        Some(Boot::Last),
        Some(Boot::Earlier),
    ];
    (
        0..400_u64,
        0..5,
        0..2_usize,
        prop::sample::select(boots.to_vec()),
        prop::sample::select(vec![0, 1000, 1_000_000]),
    )
        .prop_map(|(at, clocks, booted, boot, within)| {
            let up = at * 250_000;
            let wall = BOOTED[booted] + up;
            let (up, wall) = match clocks {
                0 => (Some(up), None),
                1 => (None, Some(wall)),
                2 => (None, None),
                // Two clocks that are not exactly as far apart as others.
                3 => (Some(up), Some(wall + at % 3)),
                _ => (Some(up), Some(wall)),
            };
            Moment {
                up,
                wall,
                boot,
                within,
            }
        })
}

fn accesses() -> impl Strategy<Value = Access> {
    (moments(), devices(), 0..4_usize, any::<[bool; 4]>()).prop_map(
        |(moment, device, offset, [is_write, wide, allowed, exact])| Access {
            moment,
            device,
            op: if is_write { Op::Write } else { Op::Read },
            range: 0x40 + offset..0x44 + offset + if wide { 2 } else { 0 },
            session: Some(1).filter(|_| exact),
            who: Who::default(),
            allowed,
            exact,
        },
    )
}

fn errors() -> impl Strategy<Value = DeviceError> {
    let kinds = vec![Kind::Aer, Kind::Aer, Kind::MachineCheck, Kind::Panic];
    (
        moments(),
        prop::sample::select(kinds),
        prop::option::of(devices()),
        prop::option::of(Just("00:01.0".parse().unwrap())),
        prop::sample::select(vec!["log:", "ras.db aer_event "]),
        1..9,
    )
        .prop_map(|(moment, kind, device, port, source, number)| DeviceError {
            moment,
            kind,
            severity: Severity::Fatal,
            device,
            port,
            details: Vec::new(),
            from: format!("{source}{number}"),
        })
}

proptest! {
    #[test]
    fn nothing_is_told_otherwise_for_being_found_fast(
        errors in prop::collection::vec(errors(), 0..12),
        accesses in prop::collection::vec(accesses(), 0..40),
    ) {
        let mut topology = Topology::default();
        topology.add("00:01.0".parse().unwrap(), &bridge(1, 1));
        let question = Question {
            window: WINDOW,
            devices: Vec::new(),
            corrected: true,
            since: None,
        };
        let charges = blame(&errors, &accesses, &topology, &question);
        prop_assert_eq!(charges, model(&errors, &accesses, &topology));
    }
}
