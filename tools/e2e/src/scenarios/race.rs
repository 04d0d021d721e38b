// SPDX-License-Identifier: GPL-2.0

//! The policy is changed as fast as it can be while it is used.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{bail, ensure, Context, Result};
use vfio_client::stream::Op;
use vfio_client::{hex, sysfs, Device};

use super::{spot, Scenario};
use crate::kernel;
use crate::lab::Lab;
use crate::record::Kind;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "race/recorded-is-enforced",
        "no record disagrees with what the client saw while toggles and list change",
        recorded_is_enforced,
    ),
    Scenario::new(
        "race/one-snapshot",
        "all runs of one system call have the decision of one policy",
        one_snapshot,
    ),
];

const ACCESSES: usize = 2500;

/// Calls `work` while the policy changes all the time.
fn while_flipping<T>(lab: &mut Lab, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let stop = AtomicBool::new(false);
    let (result, rounds) = thread::scope(|scope| {
        let flipper = scope.spawn(|| flip(&stop));
        let result = work();
        stop.store(true, Ordering::Relaxed);
        (result, flipper.join().expect("the flipper does not panic"))
    });
    lab.note(format!("the policy changed {} times", rounds?));
    result
}

fn flip(stop: &AtomicBool) -> Result<u64> {
    let mut rounds = 0u64;
    while !stop.load(Ordering::Relaxed) {
        for (name, value) in [
            (kernel::BLOCK_READ, "Y"),
            (kernel::BLOCK_WRITE, "Y"),
            (kernel::ALLOW_IDS, "8086:10d3"),
            (kernel::BLOCK_WRITE, "N"),
            (kernel::ALLOW_IDS, ""),
            (kernel::BLOCK_READ, "N"),
            (kernel::BLOCK_WRITE, "Y"),
            (kernel::BLOCK_READ, "Y"),
            (kernel::BLOCK_WRITE, "N"),
            (kernel::BLOCK_READ, "N"),
        ] {
            kernel::set_parameter(name, value)?;
            rounds += 1;
        }
    }
    Ok(rounds)
}

/// What a thread saw: of each of its accesses, in order, whether it was allowed.
type Saw = Vec<bool>;

/// Read a range that holds no zero, again and again.
fn reader(device: &Device, at: usize, size: usize) -> Result<Saw> {
    (0..ACCESSES)
        .map(|number| {
            let seen = device.read_vec(at as u64, size)?;
            if seen.iter().all(|byte| *byte == 0xa5) {
                return Ok(true);
            }
            ensure!(
                seen.iter().all(|byte| *byte == 0),
                "read {number} at {at:#x} is half blocked: {}",
                hex::plain(&seen)
            );
            Ok(false)
        })
        .collect()
}

/// Write a number to a dword, again and again, and look past VFIO whether it arrived.
fn writer(device: &Device, at: usize) -> Result<Saw> {
    let mut holds = [0xa5; 4];
    (1..=ACCESSES as u32)
        .map(|number| {
            let bytes = number.to_le_bytes();
            device.write(at as u64, &bytes)?;
            let now = sysfs::config_at(device.bdf(), at as u64, 4)?;
            let arrived = match now {
                now if now == bytes => true,
                now if now == holds => false,
                now => bail!("after write {number} the device holds {}", hex::plain(&now)),
            };
            if arrived {
                holds = bytes;
            }
            Ok(arrived)
        })
        .collect()
}

fn recorded_is_enforced(lab: &mut Lab) -> Result<()> {
    lab.unlimited()?;
    let device = &Device::open(lab.express()?)?;
    let at = spot(device.map())?;
    sysfs::write_config_at(device.bdf(), at as u64, &[0xa5; 256])?;
    // Each thread has its own place, so that a record tells whose access it is of.
    let threads = [
        (Op::Read, at, 4),
        (Op::Read, at + 16, 64),
        (Op::Write, at + 128, 4),
        (Op::Write, at + 160, 4),
    ];
    let saw = while_flipping(lab, || {
        thread::scope(|scope| {
            let running = threads.map(|(op, at, size)| {
                scope.spawn(move || match op {
                    Op::Read => reader(device, at, size),
                    Op::Write => writer(device, at),
                })
            });
            running
                .into_iter()
                .map(|thread| thread.join().expect("the thread does not panic"))
                .collect::<Result<Vec<Saw>>>()
        })
    })?;

    let mut recorded: HashMap<(Op, usize), Saw> = HashMap::new();
    for record in lab.records_of(device.bdf())? {
        if let Kind::Access { op, offset, .. } = record.kind {
            let allowed = record.res.context("an access without res=")?;
            recorded.entry((op, offset)).or_default().push(allowed);
        }
    }
    for ((op, at, _), saw) in threads.into_iter().zip(saw) {
        let recorded = recorded.remove(&(op, at)).unwrap_or_default();
        ensure!(
            recorded.len() == saw.len(),
            "{} of {} accesses at {at:#x} are recorded",
            recorded.len(),
            saw.len()
        );
        let wrong = recorded
            .iter()
            .zip(&saw)
            .position(|(told, saw)| told != saw);
        ensure!(
            wrong.is_none(),
            "{op:?} {wrong:?} at {at:#x} is not what the record says"
        );
        let blocked = saw.iter().filter(|allowed| !**allowed).count();
        lab.note(format!(
            "{op:?} at {at:#x}: {blocked} of {} were blocked",
            saw.len()
        ));
    }
    Ok(())
}

fn one_snapshot(lab: &mut Lab) -> Result<()> {
    let device = Device::open(lab.express()?)?;
    let runs = device.map().all_runs();
    for run in &runs {
        sysfs::write_config_at(device.bdf(), run.start as u64, &vec![0xa5; run.len()])?;
    }
    ensure!(runs.len() > 1, "the device has one run only");
    while_flipping(lab, || {
        for number in 0..ACCESSES {
            let seen = device.read_vec(0, device.size())?;
            let mut bytes = runs.iter().flat_map(|run| &seen[run.clone()]);
            let first = bytes.next().copied();
            ensure!(
                bytes.all(|byte| Some(*byte) == first),
                "read {number}: some runs are blocked and some are not"
            );
        }
        Ok(())
    })
}
