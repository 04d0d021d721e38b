// SPDX-License-Identifier: GPL-2.0

//! Changes the policy at full speed while it is in use.

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

/// The device is listed, and is not.
const LISTS: &[&str] = &["1b36:0010", "8086:10d3", ""];

/// Minimum number of accesses per thread.
const ACCESSES: usize = 2500;
/// Number of changes of the decision that a thread has to observe.
const CHANGES: usize = 20;
/// Maximum number of accesses to wait for these changes.
const PATIENCE: usize = 100_000;

/// Runs `work` while the policy changes continuously, the list from one of `lists` to the next.
pub(super) fn while_flipping<T>(
    lab: &mut Lab,
    lists: &[&str],
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    // The blocking parameters change quickly. Replacing the list waits for readers, so another
    // thread does that.
    const TOGGLES: &[(&str, &str)] = &[
        (kernel::BLOCK_READ, "Y"),
        (kernel::BLOCK_WRITE, "Y"),
        (kernel::BLOCK_READ, "N"),
        (kernel::BLOCK_READ, "Y"),
        (kernel::BLOCK_WRITE, "N"),
        (kernel::BLOCK_READ, "N"),
    ];
    let lists: Vec<_> = lists
        .iter()
        .map(|list| (kernel::ALLOW_IDS, *list))
        .collect();

    let stop = AtomicBool::new(false);
    let (result, flips) = thread::scope(|scope| {
        let flippers = [TOGGLES, &lists].map(|values| {
            let stop = &stop;
            scope.spawn(move || flip(values, stop))
        });
        let result = work();
        stop.store(true, Ordering::Relaxed);
        let flips = flippers
            .into_iter()
            .map(|flipper| flipper.join().expect("a flipper does not panic"))
            .collect::<Result<Vec<_>>>();
        (result, flips)
    });
    lab.note(format!("toggles and list were changed {:?} times", flips?));
    result
}

fn flip(values: &[(&str, &str)], stop: &AtomicBool) -> Result<u64> {
    let mut flips = 0;
    for (name, value) in values.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        kernel::set_parameter(name, value)?;
        flips += 1;
    }
    Ok(flips)
}

/// The decisions that a thread observed, one for each of its accesses, in order.
type Saw = Vec<bool>;

/// Makes accesses until there were enough of them, and enough changes of the decision.
fn repeat(mut access: impl FnMut(usize) -> Result<bool>) -> Result<Saw> {
    let mut saw = Saw::new();
    let mut changes = 0;
    while saw.len() < ACCESSES || changes < CHANGES {
        ensure!(
            saw.len() < PATIENCE,
            "in {PATIENCE} accesses the decision changed {changes} times only"
        );
        let allowed = access(saw.len())?;
        changes += usize::from(saw.last().is_some_and(|last| *last != allowed));
        saw.push(allowed);
    }
    Ok(saw)
}

/// Reads a range that contains no zero, repeatedly.
fn reader(device: &Device, at: usize, size: usize) -> Result<Saw> {
    repeat(|number| {
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
}

/// Writes a number to a dword, repeatedly, and checks on another path whether it reached the
/// device.
fn writer(device: &Device, at: usize) -> Result<Saw> {
    let mut holds = [0xa5; 4];
    repeat(|number| {
        let bytes = (number as u32 + 1).to_le_bytes();
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
}

fn recorded_is_enforced(lab: &mut Lab) -> Result<()> {
    lab.unlimited()?;
    let device = &Device::open(lab.express()?)?;
    let at = spot(device.map())?;
    sysfs::write_config_at(device.bdf(), at as u64, &[0xa5; 256])?;
    // Each thread has its own offset, so that a record identifies the thread.
    let threads = [
        (Op::Read, at, 4),
        (Op::Read, at + 16, 64),
        (Op::Write, at + 128, 4),
        (Op::Write, at + 160, 4),
    ];
    let saw = while_flipping(lab, LISTS, || {
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

    let mut recorded: HashMap<(u32, usize), Saw> = HashMap::new();
    for record in lab.records_of(device.bdf())? {
        if let Kind::Access { op, offset, .. } = record.kind {
            let allowed = record.res.context("an access without res=")?;
            recorded
                .entry((op as u32, offset))
                .or_default()
                .push(allowed);
        }
    }
    for ((op, at, _), saw) in threads.into_iter().zip(saw) {
        let recorded = recorded.remove(&(op as u32, at)).unwrap_or_default();
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
    let mut runs = device.map().all_runs();
    for run in &runs {
        sysfs::write_config_at(device.bdf(), run.start as u64, &vec![0xa5; run.len()])?;
    }
    // Some bytes are read-only in the device, so use its current contents as the expected values.
    let holds = device.read_vec(0, device.size())?;
    runs.retain(|run| holds[run.clone()].iter().any(|byte| *byte != 0));
    ensure!(runs.len() > 1, "the device has one run only");
    let saw = while_flipping(lab, LISTS, || {
        repeat(|number| {
            let seen = device.read_vec(0, device.size())?;
            let mut verdicts = runs.iter().map(|run| {
                let (seen, holds) = (&seen[run.clone()], &holds[run.clone()]);
                let blocked = seen.iter().all(|byte| *byte == 0);
                ensure!(
                    blocked || seen == holds,
                    "read {number}: the run {run:x?} is half blocked"
                );
                Ok(!blocked)
            });
            let first = verdicts.next().context("no run")??;
            for verdict in verdicts {
                ensure!(
                    verdict? == first,
                    "read {number}: some runs are blocked and some are not"
                );
            }
            Ok(first)
        })
    })?;
    let blocked = saw.iter().filter(|allowed| !**allowed).count();
    lab.note(format!("{blocked} of {} reads were blocked", saw.len()));
    Ok(())
}
