// SPDX-License-Identifier: GPL-2.0

//! The same accesses with and without the patches. The unpatched kernel is the reference.

use std::collections::HashMap;

use anyhow::{ensure, Context, Result};
use vfio_client::stream::{Generator, Op, Plan};
use vfio_client::sweep::{self, Transcript};
use vfio_client::{sysfs, Bdf, ConfigMap, Device};

use super::Scenario;
use crate::lab::Lab;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "differential/toggles-off",
        "with the toggles off every byte is as without the patches, with auditing on and off",
        toggles_off,
    ),
    Scenario::new(
        "differential/toggles-on",
        "with the toggles on every byte is, save the unassigned ones, which read as zeros",
        toggles_on,
    ),
];

/// The transcripts of every device, and the initial values of its unassigned bytes.
type Seen = HashMap<Bdf, Transcript>;
type Before = HashMap<Bdf, Vec<u8>>;

/// The power management capability, and the offset of its control and status register.
const POWER_MANAGEMENT: u16 = 0x01;
const PMCSR: usize = 4;

/// Restores the initial values that opening a device does not reset: unassigned bytes, and the
/// power management control register, which only kernels with runtime power management clear.
fn restore(device: &Device, before: &[u8]) -> Result<()> {
    let mut left = device.map().all_runs();
    left.extend(
        (device.map().capabilities().iter())
            .filter(|capability| !capability.extended && capability.id == POWER_MANAGEMENT)
            .map(|capability| capability.offset + PMCSR..capability.offset + PMCSR + 2),
    );
    for range in left {
        sysfs::write_config_at(device.bdf(), range.start as u64, &before[range])?;
    }
    Ok(())
}

/// Sweeps of reads and writes, random accesses, and the final contents of the device.
fn observe(bdf: Bdf, before: &[u8]) -> Result<Transcript> {
    let device = Device::open(bdf)?;
    restore(&device, before)?;
    let mut transcript = sweep::read(&device)?;
    // This writes to every register that resets the device or suspends it.
    let writes = sweep::write(&device, 7, |_, _| true)?;
    for seen in writes.seen() {
        transcript.add(seen.offset, &[seen.value]);
    }
    drop(device);

    let device = Device::open(bdf)?;
    restore(&device, before)?;
    let plan = Plan {
        seed: 11,
        max_size: 4096,
        ..Plan::default()
    };
    let mut generator = Generator::new(&plan, 0, device.map());
    let mut buffer = Vec::new();
    for _ in 0..1000 {
        let access = generator.access().context("nothing to access")?;
        generator.perform(&device, access, &mut buffer)?;
        if access.op == Op::Read {
            transcript.add(access.offset, &buffer);
        }
    }
    transcript.add(0, &sysfs::config(bdf)?);
    Ok(transcript)
}

fn observe_all(lab: &Lab, before: &Before) -> Result<Seen> {
    lab.kinds()?
        .into_iter()
        .map(|bdf| {
            Ok((
                bdf,
                observe(bdf, &before[&bdf]).with_context(|| bdf.to_string())?,
            ))
        })
        .collect()
}

/// Runs the accesses on the unpatched kernel twice. Differences between these two runs are ignored.
fn reference(lab: &mut Lab) -> Result<(Before, Seen, Seen)> {
    let before = lab
        .kinds()?
        .into_iter()
        .map(|bdf| Ok((bdf, sysfs::config(bdf)?)))
        .collect::<Result<Before>>()?;
    lab.modules.unload()?;
    lab.modules.load_unpatched()?;
    lab.bind()?;
    let first = observe_all(lab, &before)?;
    let second = observe_all(lab, &before)?;
    lab.reload(&[])?;
    lab.default_policy()?;
    Ok((before, first, second))
}

/// Compares byte for byte, except for what `skip` names and what differs between the unpatched
/// runs.
fn compare(
    lab: &mut Lab,
    what: &str,
    (first, second, patched): (&Seen, &Seen, &Seen),
    wrong: impl Fn(&ConfigMap, usize, u8, u8) -> bool,
) -> Result<()> {
    for bdf in lab.kinds()? {
        let map = sysfs::config_map(bdf)?;
        let (first, second, patched) = (
            first[&bdf].seen(),
            second[&bdf].seen(),
            patched[&bdf].seen(),
        );
        ensure!(
            first.len() == patched.len() && first.len() == second.len(),
            "{bdf}: the transcripts have {}, {} and {} bytes",
            first.len(),
            second.len(),
            patched.len()
        );
        let mut volatile = Vec::new();
        for (at, expected) in first.iter().enumerate() {
            if expected.value != second[at].value {
                volatile.push(expected.offset);
                continue;
            }
            ensure!(
                !wrong(&map, expected.offset, expected.value, patched[at].value),
                "{what}: {bdf}: byte {at} of the transcript, {:#x} by an access of {}: {:#04x}, \
                 unpatched {:#04x}",
                expected.offset,
                expected.size,
                patched[at].value,
                expected.value
            );
        }
        ensure!(
            volatile.len() * 100 <= first.len(),
            "{bdf}: {} of {} bytes differ between two unpatched runs",
            volatile.len(),
            first.len()
        );
        let compared = first.len() - volatile.len();
        volatile.sort_unstable();
        volatile.dedup();
        lab.note(format!(
            "{what}: {bdf}: {compared} bytes compared, volatile ones left out at {volatile:x?}"
        ));
    }
    Ok(())
}

fn toggles_off(lab: &mut Lab) -> Result<()> {
    let (before, first, second) = reference(lab)?;
    for (what, enabled) in [("auditing", "1"), ("not auditing", "0")] {
        lab.audit().ctl(&["-e", enabled])?;
        let patched = observe_all(lab, &before)?;
        compare(
            lab,
            what,
            (&first, &second, &patched),
            |_, _, unpatched, now| unpatched != now,
        )?;
    }
    Ok(())
}

fn toggles_on(lab: &mut Lab) -> Result<()> {
    let (before, first, second) = reference(lab)?;
    // spans/reads checks the unassigned bytes of blocked reads, byte for byte.
    for (what, read, write) in [
        ("blocking reads", true, false),
        ("blocking writes", false, true),
        ("blocking both", true, true),
    ] {
        lab.block(read, write)?;
        let patched = observe_all(lab, &before)?;
        compare(
            lab,
            what,
            (&first, &second, &patched),
            |map, offset, unpatched, now| !map.unassigned(offset) && unpatched != now,
        )?;
    }
    Ok(())
}
