// SPDX-License-Identifier: GPL-2.0

//! Ranges are excepted and blocked again as fast as it goes, while they are accessed.

use std::collections::{HashMap, HashSet};
use std::thread;

use anyhow::{ensure, Result};
use vfio_client::stream::Op;
use vfio_client::{sysfs, Device};

use super::race::while_flipping;
use super::{access_text, spot, Scenario};
use crate::lab::Lab;
use crate::record::Kind;
use crate::seen;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario::new(
    "race/ranges",
    "while ranges change, each access has the runs of one list, and its records say what happened \
     to each",
    ranges,
)];

/// How many accesses a thread makes at least, and at most, and how many different decisions it
/// wants to see.
const ACCESSES: usize = 1200;
const PATIENCE: usize = 40_000;
const DECISIONS: usize = 4;

/// Bytes of an access.
const SIZE: usize = 8;

/// Which of the bytes of each access are excepted by each of the lists, one bit each.
const LISTS: [u8; 5] = [0x00, 0x0f, 0x66, 0x81, 0xff];

/// A list that excepts the bytes of `bits` at each of `places`.
fn list(places: &[usize], bits: u8) -> String {
    let mut entries = Vec::new();
    for place in places {
        for byte in (0..SIZE).filter(|byte| bits >> byte & 1 == 1) {
            let device = if byte % 2 == 0 { "10d3" } else { "*" };
            entries.push(format!("8086:{device}@{0:x}-{0:x}", place + byte));
        }
    }
    entries.join(",")
}

/// What a thread saw: of each of its accesses, in order, which bytes were allowed.
type Saw = Vec<u8>;

fn repeat(mut access: impl FnMut(usize) -> Result<u8>) -> Result<Saw> {
    let mut saw = Saw::new();
    let mut decisions = HashSet::new();
    while saw.len() < ACCESSES || decisions.len() < DECISIONS {
        ensure!(
            saw.len() < PATIENCE,
            "in {PATIENCE} accesses these bytes were allowed: {decisions:x?}"
        );
        let allowed = access(saw.len())?;
        ensure!(
            LISTS.contains(&allowed),
            "access {}: bytes {allowed:#x} were allowed, which no list excepts",
            saw.len()
        );
        decisions.insert(allowed);
        saw.push(allowed);
    }
    Ok(saw)
}

fn reader(device: &Device, at: usize) -> Result<Saw> {
    repeat(|_| {
        let seen = device.read_vec(at as u64, SIZE)?;
        seen::compare(&seen, &[0xa5; SIZE], &[0; SIZE])
    })
}

fn writer(device: &Device, at: usize) -> Result<Saw> {
    let mut holds = [0xa5; SIZE];
    let mut value = 0u8;
    repeat(|_| {
        // A value that no byte holds, whenever it was that it was last written.
        while holds.contains(&value) {
            value = value.wrapping_add(1);
        }
        let bytes = [value; SIZE];
        device.write(at as u64, &bytes)?;
        let now = sysfs::config_at(device.bdf(), at as u64, SIZE)?;
        let allowed = seen::compare(&now, &bytes, &holds)?;
        holds.copy_from_slice(&now);
        Ok(allowed)
    })
}

/// The records of an access of which these bytes were allowed.
fn texts(device: &Device, op: Op, at: usize, allowed: u8) -> Vec<String> {
    seen::runs(at, SIZE, allowed)
        .into_iter()
        .map(|(run, allowed)| access_text(device.bdf(), op, run.start, run.len(), allowed))
        .collect()
}

fn ranges(lab: &mut Lab) -> Result<()> {
    lab.unlimited()?;
    let device = &Device::open(lab.express()?)?;
    let at = spot(device.map())?;
    sysfs::write_config_at(device.bdf(), at as u64, &[0xa5; 128])?;
    // Each thread has its own place, so that a record tells whose access it is of. One is across
    // two dwords' borders.
    let threads = [
        (Op::Read, at),
        (Op::Read, at + 0x1e),
        (Op::Write, at + 0x30),
        (Op::Write, at + 0x3d),
    ];
    let places = threads.map(|(_, place)| place);
    let lists = LISTS.map(|bits| list(&places, bits));
    let lists: Vec<_> = lists.iter().map(String::as_str).collect();
    let saw = while_flipping(lab, &lists, || {
        thread::scope(|scope| {
            let running = threads.map(|(op, place)| {
                scope.spawn(move || match op {
                    Op::Read => reader(device, place),
                    Op::Write => writer(device, place),
                })
            });
            running
                .into_iter()
                .map(|thread| thread.join().expect("the thread does not panic"))
                .collect::<Result<Vec<Saw>>>()
        })
    })?;

    let mut recorded: HashMap<usize, Vec<String>> = HashMap::new();
    for record in lab.records_of(device.bdf())? {
        if let Kind::Access { offset, .. } = record.kind {
            let of = places
                .iter()
                .position(|place| (*place..place + SIZE).contains(&offset));
            let of = of.ok_or_else(|| anyhow::anyhow!("whose is {}", record.text))?;
            recorded.entry(of).or_default().push(record.plain);
        }
    }
    for (number, ((op, place), saw)) in threads.into_iter().zip(saw).enumerate() {
        let mut recorded = recorded.remove(&number).unwrap_or_default().into_iter();
        for (access, allowed) in saw.iter().enumerate() {
            let expected = texts(device, op, place, *allowed);
            let found: Vec<_> = recorded.by_ref().take(expected.len()).collect();
            ensure!(
                found == expected,
                "access {access} of which bytes {allowed:#x} were allowed: recorded were {found:#?}"
            );
        }
        let left: Vec<_> = recorded.collect();
        ensure!(left.is_empty(), "too many records: {left:#?}");
        lab.note(format!(
            "{op:?} at {place:#x}: {} accesses, {} of them of some bytes only",
            saw.len(),
            saw.iter()
                .filter(|allowed| !matches!(allowed, 0 | 0xff))
                .count()
        ));
    }
    Ok(())
}
