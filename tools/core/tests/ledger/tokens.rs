// SPDX-License-Identifier: GPL-2.0

//! Tokens come back when the administrator sets a limit, and the gates alone bring none.

use super::{
    dword,
    sim::{
        Hold,
        Sim,
        SECOND, //
    },
    HOLDER,
};
use pci_audit::{
    Op,
    Outcome, //
};
use pci_audit_core::{
    holders::Process,
    ledger::{
        Limits,
        Step, //
    },
};

/// How many of `times` reads and as many writes are recorded.
fn recorded(sim: &mut Sim, process: Process, times: usize) -> u64 {
    let records = |sim: &Sim| {
        sim.model
            .done
            .values()
            .map(|d| d.totals.records)
            .sum::<u64>()
    };
    let before = records(sim);

    for number in 0..times {
        for op in Op::ALL {
            sim.access(process, op, dword(number), Outcome::Allowed, Hold::No);
        }
    }
    records(sim) - before
}

#[test]
fn a_limit_that_is_set_fills_the_buckets_of_accesses() {
    let limits = Limits::new(1, 24);
    let mut sim = Sim::new(limits);

    sim.open();
    // One token is for the op=open.
    assert_eq!(recorded(&mut sim, HOLDER, 100), 47);
    assert_eq!(recorded(&mut sim, HOLDER, 100), 0);
    sim.set_limits(limits);
    assert_eq!(recorded(&mut sim, HOLDER, 100), 48);
}

#[test]
fn and_that_of_the_holders() {
    let limits = Limits::new(1000, 1000);
    let mut sim = Sim::new(limits);
    let named = |sim: &mut Sim, first: i32| {
        let process = |number| Process {
            tgid: first + number,
            ..HOLDER
        };
        (0..100)
            .filter(|&n| recorded(sim, process(n), 1) > 0)
            .count()
    };

    sim.open();
    assert_eq!(named(&mut sim, 0), 24);
    assert_eq!(named(&mut sim, 100), 0);
    sim.set_limits(limits);
    assert_eq!(named(&mut sim, 200), 24);
}

#[test]
fn and_that_of_reports_and_ends() {
    let limits = Limits::new(1, 24);
    let mut sim = Sim::new(limits);
    let written = |sim: &mut Sim| {
        let mut written = 0;

        // An end each, of one lost access.
        for number in 0..100 {
            sim.ledger.begin(number);
            sim.ledger.lost(Op::Read, dword(1), Outcome::Allowed);
            sim.ledger.end();
            loop {
                match sim.ledger.step(limits, sim.now) {
                    Step::Write(_) => written += 1,
                    Step::Wait(ns) if ns < SECOND => sim.now += ns,
                    Step::Wait(_) | Step::Done => break,
                }
            }
        }
        written
    };

    // The last of them come while time passes at twelve a second.
    assert!((192..=196).contains(&written(&mut sim)));
    assert_eq!(written(&mut sim), 0);
    sim.set_limits(limits);
    assert!((192..=196).contains(&written(&mut sim)));
}

#[test]
fn open_gates_bring_no_tokens() {
    let mut sim = Sim::new(Limits::new(1, 24));

    sim.open();
    recorded(&mut sim, HOLDER, 100);
    for op in Op::ALL {
        assert!(sim.ledger.is_shut(op, 0));
    }
    sim.ledger.open_gates();
    for op in Op::ALL {
        assert!(!sim.ledger.is_shut(op, 0));
    }
    assert_eq!(recorded(&mut sim, HOLDER, 100), 0);
}
