// SPDX-License-Identifier: GPL-2.0

//! When the worker comes back.

use super::{
    dword,
    sim::{
        Sim,
        SECOND, //
    },
};
use pci_audit::{
    Op,
    Outcome, //
};
use pci_audit_core::ledger::{
    Limits,
    Step, //
};

const LIMITS: Limits = Limits::new(1, 24);

/// The records that the ledger lets go now, and what it says then.
fn write_all(sim: &mut Sim) -> (Vec<String>, Step) {
    let mut written = Vec::new();

    loop {
        match sim.ledger.step(LIMITS, sim.now) {
            Step::Write(entry) => written.push(entry.record.to_string()),
            step => return (written, step),
        }
    }
}

#[test]
fn it_does_not_when_the_log_has_everything() {
    let mut sim = Sim::new(LIMITS);

    sim.open();
    sim.ledger.suppress(Op::Read, dword(0), Outcome::Allowed);
    let (written, step) = write_all(&mut sim);

    assert_eq!(written.len(), 2, "{written:?}");
    assert_eq!(step, Step::Done);
}

#[test]
fn it_does_for_what_comes_while_a_report_is_written() {
    let mut sim = Sim::new(LIMITS);

    sim.open();
    sim.ledger.suppress(Op::Read, dword(0), Outcome::Allowed);
    assert!(matches!(sim.ledger.step(LIMITS, sim.now), Step::Write(_)));
    // Of a group that this report does not cover.
    sim.ledger.suppress(Op::Write, dword(1), Outcome::Allowed);
    let (written, step) = write_all(&mut sim);

    assert_eq!(written.len(), 1, "{written:?}");
    let Step::Wait(ns) = step else {
        panic!("{step:?}");
    };
    assert!((1..=60 * SECOND).contains(&ns), "{ns}");
    sim.now += ns - 1;
    assert_eq!(sim.ledger.step(LIMITS, sim.now), Step::Wait(1));
    sim.now += 1;
    let (written, step) = write_all(&mut sim);
    assert_eq!(written.len(), 2, "{written:?}");
    assert_eq!(step, Step::Done);
}

#[test]
fn a_limit_over_time_holds_where_accesses_have_one() {
    for (rate, over_time) in [(0, false), (1, true)] {
        let limits = Limits::new(rate, 24);
        let mut sim = Sim::new(limits);
        let mut longest = 0;

        // Three records each.
        for number in 0..100 {
            sim.ledger.begin(number);
            sim.ledger.suppress(Op::Read, dword(0), Outcome::Allowed);
            sim.ledger.end();
            loop {
                match sim.ledger.step(limits, sim.now) {
                    Step::Write(_) => (),
                    Step::Wait(ns) => {
                        longest = longest.max(ns);
                        sim.now += ns;
                    }
                    Step::Done => break,
                }
            }
        }
        assert_eq!(longest > SECOND, over_time, "{longest}");
    }
}

#[test]
fn what_was_written_before_a_refusal_is_not_written_again() {
    let mut sim = Sim::new(LIMITS);
    let mut entries = Vec::new();

    sim.open();
    for number in [0, 10, 20] {
        sim.ledger
            .suppress(Op::Read, dword(number), Outcome::Allowed);
    }
    // The counts, and two of three ranges, of which audit refuses the second.
    for _ in 0..3 {
        match sim.ledger.step(LIMITS, sim.now) {
            Step::Write(entry) => entries.push(entry),
            step => panic!("{step:?}"),
        }
    }
    sim.ledger.refused(&entries[2]);
    sim.now += 60 * SECOND;
    let (written, _) = write_all(&mut sim);
    assert_eq!(written.len(), 3, "{written:?}");
    assert!(
        !written.contains(&entries[1].record.to_string()),
        "{written:?}"
    );
    assert!(
        written.contains(&entries[2].record.to_string()),
        "{written:?}"
    );
}
