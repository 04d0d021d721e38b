// SPDX-License-Identifier: GPL-2.0

//! The ledger over a simulated day, against a model that keeps everything.
//!
//! There is no test for the ledger's constant memory: it has no allocator, only its fields and the
//! two sets of bitmaps that it is given.

mod day;
mod model;
mod sim;
mod tokens;
mod worker;

use pci_audit::{
    access::CONFIG_SPACE_SIZE,
    Op,
    Outcome,
    Range, //
};
use pci_audit_core::{
    account::GROUPS,
    holders::Process,
    ledger::{
        Ledger,
        Limits,
        Step, //
    },
    totals::Totals,
};
use proptest::prelude::*;
use sim::{
    At,
    Audit,
    Hold,
    Sim,
    MS,
    SECOND, //
};

/// Changes of the limits during a test: records per second, and burst.
const LIMITS: [(u32, u32); 4] = [(1, 24), (0, 24), (5, 3), (300, 1)];

#[derive(Clone, Debug)]
enum Event {
    Open,
    Close,
    /// `count` accesses at intervals of `gap` nanoseconds, at offsets `stride` bytes apart.
    Access {
        process: Process,
        op: Op,
        outcome: Outcome,
        offset: usize,
        size: usize,
        stride: usize,
        count: u32,
        gap: u64,
        hold: Hold,
    },
    Release,
    Audit(Audit),
    /// The time that audit needs for a record of the worker, and the delay of the worker.
    Slow(u64, u64),
    Limits(usize),
    Pass(u64),
}

fn op() -> impl Strategy<Value = Op> {
    any::<bool>().prop_map(|write| Op::ALL[usize::from(write)])
}

/// Several holders: threads of one process, its children, and programs that they execute.
fn process() -> impl Strategy<Value = Process> {
    prop_oneof![
        4 => Just((1, 1)),
        2 => (1..4i32, 1..3u64),
        1 => (1..9i32, 1..4u64),
    ]
    .prop_map(|(tgid, executed)| Process {
        tgid,
        started: 10,
        executed,
    })
}

fn accesses() -> impl Strategy<Value = Event> {
    let count = prop_oneof![6 => Just(1), 3 => 2..60u32, 1 => 1000..4000u32];
    let gap = prop_oneof![0..1000u64, 1_000..100 * MS];
    let hold = prop_oneof![
        6 => Just(Hold::No),
        1 => Just(Hold::BeforeRecord),
        1 => Just(Hold::BeforeBooking),
    ];
    let place = (0..CONFIG_SPACE_SIZE, prop_oneof![Just(4), 1..300usize]);

    (
        process(),
        op(),
        any::<bool>(),
        place,
        0..80usize,
        count,
        gap,
        hold,
    )
        .prop_map(
            |(process, op, allowed, (offset, size), stride, count, gap, hold)| Event::Access {
                process,
                op,
                outcome: Outcome::from_allowed(allowed),
                offset,
                size,
                stride,
                count,
                gap,
                hold,
            },
        )
}

fn event() -> impl Strategy<Value = Event> {
    let audit = prop_oneof![
        3 => Just(Audit::RefusesEvery(0)),
        1 => Just(Audit::RefusesEvery(1)),
        2 => (2..6u64).prop_map(Audit::RefusesEvery),
        1 => Just(Audit::Off),
    ];
    let pass = prop_oneof![
        3 => 0..3 * SECOND,
        2 => 0..90 * SECOND,
        1 => 0..3600 * SECOND,
    ];

    prop_oneof![
        12 => accesses(),
        3 => Just(Event::Open),
        2 => Just(Event::Close),
        1 => Just(Event::Release),
        2 => audit.prop_map(Event::Audit),
        1 => (0..5 * SECOND, 0..20 * MS).prop_map(|(sleep, late)| Event::Slow(sleep, late)),
        6 => pass.prop_map(Event::Pass),
    ]
}

/// The events of a day. On a few days the limits differ from the default.
fn day() -> impl Strategy<Value = Vec<Event>> {
    let limits = (0..LIMITS.len()).prop_map(Event::Limits);

    prop_oneof![
        2 => prop::collection::vec(event(), 1..300),
        1 => prop::collection::vec(prop_oneof![30 => event(), 1 => limits], 1..300),
    ]
}

fn happen(sim: &mut Sim, event: &Event) {
    match *event {
        Event::Open => sim.open(),
        Event::Close => sim.close(),
        Event::Release => sim.release(),
        Event::Audit(audit) => sim.audit = audit,
        Event::Slow(sleep, late) => (sim.sleep, sim.late) = (sleep, late),
        Event::Limits(which) => {
            let (rate, burst) = LIMITS[which];
            sim.set_limits(Limits::new(rate, burst));
        }
        Event::Pass(ns) => sim.pass(ns),
        Event::Access {
            process,
            op,
            outcome,
            offset,
            size,
            stride,
            count,
            gap,
            hold,
        } => {
            for at in 0..count as usize {
                let offset = (offset + at * stride) % CONFIG_SPACE_SIZE;
                let size = size.min(CONFIG_SPACE_SIZE - offset);
                let range = Range::new(offset, size, CONFIG_SPACE_SIZE).unwrap();
                sim.access(process, op, range, outcome, hold);
                sim.pass(gap);
            }
        }
    }
}

/// Checks that no period has more than `burst` records plus one per `interval` nanoseconds.
fn assert_bounded(what: &str, times: impl Iterator<Item = u64>, burst: i128, interval: u64) {
    let interval = i128::from(interval);
    let mut least = i128::MAX;

    for (number, at) in (0i128..).zip(times) {
        let height = number * interval - i128::from(at);
        least = least.min(height);
        assert!(
            height - least <= (burst - 1) * interval,
            "{what}: too many until {at}"
        );
    }
}

fn assert_all_bounded(sim: &Sim, limits: &[(u32, u32)]) {
    for (number, &(rate, burst)) in (1..).zip(limits) {
        let times = |wanted: &dyn Fn(&At) -> bool| {
            let of = sim
                .log
                .iter()
                .filter(|at| at.limits == number && wanted(at));
            of.map(|at| at.ns).collect::<Vec<_>>().into_iter()
        };
        let others = || times(&|at| at.op.is_none());

        assert_bounded("others at once", others(), 12, SECOND / 12);
        if rate == 0 {
            continue;
        }
        for op in Op::ALL {
            // An op=open without a token of its own overdraws the bucket by one.
            assert_bounded(
                "accesses",
                times(&|at| at.op == Some(op)),
                i128::from(burst) + 1,
                SECOND / u64::from(rate),
            );
        }
        assert_bounded("opens", times(&|at| at.open), 24, 120 * SECOND);
        assert_bounded("others", others(), 192, 5 * SECOND);
    }
}

/// A last access and close queue the worker, and audit accepts everything.
fn settle(sim: &mut Sim) {
    let process = Process {
        tgid: 1,
        started: 1,
        executed: 1,
    };

    sim.close();
    sim.audit = Audit::RefusesEvery(0);
    (sim.sleep, sim.late) = (0, MS);
    sim.pass(60 * SECOND);
    sim.open();
    let range = Range::new(0x40, 4, CONFIG_SPACE_SIZE).unwrap();
    sim.access(process, Op::Read, range, Outcome::Allowed, Hold::No);
    sim.close();
    sim.pass(600 * SECOND);
}

fn cases() -> u32 {
    let cases = std::env::var("LEDGER_CASES").ok();
    cases.map_or(400, |cases| {
        cases.parse().expect("LEDGER_CASES is a number")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn a_day_is_bounded_and_lossless(events in day()) {
        let mut limits = vec![LIMITS[0]];
        let mut sim = Sim::new(Limits::new(1, 24));

        sim.open();
        for event in &events {
            if let Event::Limits(which) = event {
                limits.push(LIMITS[*which]);
            }
            happen(&mut sim, event);
            sim.check_sums();
        }
        settle(&mut sim);

        sim.check_sums();
        assert_all_bounded(&sim, &limits);
        // The close records have checked the counts, and that every byte is in a range.
        prop_assert!(!sim.ledger.has_unreported());
        prop_assert_eq!(sim.ledger.step(Limits::new(1, 24), sim.now), Step::Done);
        prop_assert_eq!(sim.ledger.closing(), None);
        prop_assert_eq!(sim.ledger.open(), None);
        prop_assert!(sim.model.done.is_empty(), "a session has no close");
        prop_assert_eq!(sim.closed, sim.done);
    }
}

const HOLDER: Process = Process {
    tgid: 1,
    started: 1,
    executed: 1,
};

fn dword(number: usize) -> Range {
    Range::new(number * 8 % CONFIG_SPACE_SIZE, 4, CONFIG_SPACE_SIZE).unwrap()
}

#[test]
fn reports_come_soon_and_then_ever_more_rarely() {
    let mut sim = Sim::new(Limits::new(1, 24));
    sim.late = 20 * MS;
    sim.open();

    for number in 0..3_600_000 {
        sim.access(HOLDER, Op::Write, dword(number), Outcome::Blocked, Hold::No);
        sim.pass(MS);
    }
    let first = sim.reports[0] - sim.first_suppressed.unwrap();
    let intervals: Vec<_> = sim.reports.windows(2).map(|two| two[1] - two[0]).collect();

    assert!(first <= 2 * SECOND, "{first}");
    assert!(intervals.len() >= 3600 / 62, "{}", intervals.len());
    for (interval, least) in intervals.iter().zip([1, 2, 4, 8, 16, 32]) {
        assert!(
            (least * SECOND..=(least + 1) * SECOND).contains(interval),
            "{interval}"
        );
    }
    let late = &intervals[6..];
    assert!(
        late.iter().all(|n| (60 * SECOND..=61 * SECOND).contains(n)),
        "{late:?}"
    );
}

/// A ledger whose open session has suppressed accesses everywhere in the given number of groups.
fn scattered(groups: usize) -> Sim {
    let mut sim = Sim::new(Limits::new(1, 24));

    sim.open();
    for group in 0..groups {
        for number in 0..200 {
            let (op, outcome) = (Op::ALL[group / 2], Outcome::ALL[group % 2]);
            sim.ledger.suppress(op, dword(number * 3), outcome);
        }
    }
    sim
}

#[test]
fn a_report_has_twelve_records_at_most() {
    let limits = Limits::new(1, 24);

    for groups in 1..=4 {
        for last in [false, true] {
            let mut sim = scattered(groups);
            let mut written = Vec::new();
            if last {
                sim.ledger.end();
            }
            // Before the next report is due.
            while sim.now < 1001 * SECOND {
                match sim.ledger.step(limits, sim.now) {
                    Step::Write(entry) => written.push(entry.record.to_string()),
                    Step::Wait(_) | Step::Done => sim.now += 10 * MS,
                }
            }
            let count = |what| written.iter().filter(|text| text.starts_with(what)).count();

            assert_eq!(count("suppressed "), groups);
            assert_eq!(count("close "), usize::from(last));
            let touched = count("touched ");
            assert!(groups + touched <= 12, "{written:?}");
            // Every group gets a share. The last report joins ranges over gaps instead.
            let least = if last { 1 } else { 12 / groups - 1 };
            assert!(touched >= groups * least, "{written:?}");
        }
    }
}

#[test]
fn a_session_that_accesses_nothing_has_no_record() {
    let mut sim = Sim::new(Limits::new(1, 24));

    sim.open();
    sim.close();
    sim.pass(600 * SECOND);
    assert!(sim.log.is_empty());
    assert_eq!(sim.ledger.step(Limits::new(1, 24), sim.now), Step::Done);
}

#[test]
fn a_device_that_goes_flushes_without_regard_to_the_pace() {
    let mut sim = Sim::new(Limits::new(1, 24));

    assert_eq!(sim.ledger.flush(), None);
    sim.open();
    for number in 0..1000 {
        let op = Op::ALL[number % 2];
        sim.access(
            HOLDER,
            op,
            dword(number),
            Outcome::ALL[number / 2 % 2],
            Hold::No,
        );
    }
    // The module is unloaded before the worker runs.
    let limits = Limits::new(1, 24);
    sim.ledger.end();
    while matches!(sim.ledger.step(limits, sim.now), Step::Write(_)) {}
    sim.ledger.begin(2);
    sim.ledger.lost(Op::Read, dword(1), Outcome::Allowed);
    sim.ledger.end();
    let mut written = Vec::new();
    while let Some(entry) = sim.ledger.flush() {
        written.push(entry.record.to_string());
    }

    assert!(
        written.last().unwrap().starts_with("close session="),
        "{written:?}"
    );
    assert!(!sim.ledger.has_unreported());
    assert_eq!(sim.ledger.closing(), None);
}

#[test]
fn opening_again_brings_no_tokens() {
    let mut sim = Sim::new(Limits::new(1, 24));
    let mut recorded = 0;

    for number in 0..1000 {
        let process = Process {
            tgid: number,
            ..HOLDER
        };
        sim.open();
        for at in 0..48 {
            sim.access(
                process,
                Op::ALL[at % 2],
                dword(at),
                Outcome::Allowed,
                Hold::No,
            );
        }
        recorded += sim.model.done[&(number as u64 + 1)].totals.records;
        sim.close();
    }
    assert!(recorded <= 48, "{recorded}");
    let expected = Totals {
        reads: 24_000,
        writes: 24_000,
        records: recorded,
        suppressed: 48_000 - recorded,
        ..Totals::default()
    };
    assert_eq!(sim.done, expected);
}

#[test]
fn without_a_session_there_is_nothing_to_end_or_name() {
    let mut ledger = Ledger::new(Box::new([[0; 64]; GROUPS]), Box::new([[0; 64]; GROUPS]));
    let process = Process {
        tgid: 1,
        started: 2,
        executed: 3,
    };

    ledger.end();
    ledger.named(process);
    assert!(!ledger.is_named(process));
    assert!(ledger.open().is_none() && ledger.closing().is_none());
    assert_eq!(ledger.step(Limits::new(1, 24), SECOND), Step::Done);
    assert_eq!(ledger.flush(), None);
}
