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
