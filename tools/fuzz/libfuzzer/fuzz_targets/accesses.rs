// SPDX-License-Identifier: GPL-2.0

//! Programs for the kernel, guided by what they pass in it. Runs in the virtual machine, where
//! `e2e --only fuzzing/guided` starts it.
#![no_main]

use std::cell::RefCell;
use std::env;
use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicU8, Ordering};

use libfuzzer_sys::fuzz_target;
use pci_audit_fuzz::accesses::{Kcov, Machine};

/// How often places of the kernel were passed. libFuzzer takes this section for coverage of its
/// own, and clears it before each program.
#[link_section = "__libfuzzer_extra_counters"]
static COUNTERS: [AtomicU8; 1 << 15] = [const { AtomicU8::new(0) }; 1 << 15];

/// Spreads addresses over the counters: the golden ratio.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

struct Fuzzer {
    machine: Machine,
    kcov: Kcov,
    done: File,
}

impl Fuzzer {
    fn new() -> Self {
        let variable = |name| env::var(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        let devices: Vec<_> = variable("FUZZ_DEVICES")
            .split(',')
            .map(|bdf| bdf.parse().expect("an address of a device"))
            .collect();
        let done = variable("FUZZ_DONE");
        let done = File::options().append(true).open(&done).expect("FUZZ_DONE");
        let machine = Machine::new(&devices).unwrap_or_else(|error| panic!("{error:#}"));
        let kcov = Kcov::start().unwrap_or_else(|error| panic!("{error:#}"));
        Self {
            machine,
            kcov,
            done,
        }
    }

    fn run(&mut self, program: &[u8]) {
        let mut lines = String::new();
        self.kcov.clear();
        let result = self
            .machine
            .run(program, |done| lines += &format!("{done}\n"));
        for place in self.kcov.passed() {
            let counter = (place as u64).wrapping_mul(FACTOR) >> 49;
            let counter = &COUNTERS[counter as usize];
            counter.store(
                counter.load(Ordering::Relaxed).saturating_add(1),
                Ordering::Relaxed,
            );
        }
        self.done.write_all(lines.as_bytes()).expect("FUZZ_DONE");
        if let Err(error) = result {
            panic!("{error:#}");
        }
    }
}

thread_local! {
    static FUZZER: RefCell<Option<Fuzzer>> = const { RefCell::new(None) };
}

fuzz_target!(|program: &[u8]| {
    FUZZER.with_borrow_mut(|fuzzer| fuzzer.get_or_insert_with(Fuzzer::new).run(program));
});
