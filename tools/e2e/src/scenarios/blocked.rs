// SPDX-License-Identifier: GPL-2.0

//! Edge cases of blocked accesses, and the warning about a dangerous policy.

use anyhow::{ensure, Context, Result};
use vfio_client::stream::Op;
use vfio_client::Device;

use super::{access_text, access_texts, spot, Scenario};
use crate::account::{Loss, Truth};
use crate::kernel::{self, Messages};
use crate::lab::Lab;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "blocked/bad-buffer",
        "a read to and a write from memory that is not there fail with EFAULT, blocked or not, \
         and are recorded",
        bad_buffer,
    ),
    Scenario::new(
        "blocked/reads-alone",
        "each time reads alone come to be blocked the kernel warns, once",
        reads_alone,
    ),
];

fn bad_buffer(lab: &mut Lab) -> Result<()> {
    const EFAULT: i32 = 14;

    let bdf = lab.express()?;
    let device = Device::open(bdf)?;
    let at = spot(device.map())?;
    let region = device.region();
    let mut truth = Truth::default();
    let mut expected = Vec::new();
    for allowed in [true, false] {
        lab.block(!allowed, !allowed)?;
        for size in [1, 4, 16] {
            for op in [Op::Read, Op::Write] {
                let result = match op {
                    Op::Read => region.read_to_nowhere(at as u64, size),
                    Op::Write => region.write_from_nowhere(at as u64, size),
                };
                let errno = result.as_ref().err().and_then(vfio_client::Error::errno);
                ensure!(
                    errno == Some(EFAULT),
                    "{op:?} of {size} bytes, allowed: {allowed}: {result:?}"
                );
                truth.add(op, allowed, at..at + size);
                expected.push(access_text(bdf, op, at, size, allowed));
            }
        }
    }
    let records = lab.take(bdf)?;
    let found = access_texts(&records);
    ensure!(
        found == expected,
        "recorded were {found:#?}, and expected {expected:#?}"
    );
    lab.settle(device, &truth, Loss::None).map(drop)
}

/// Number of warnings of the module since then.
fn warnings(messages: &mut Messages) -> Result<usize> {
    const WARNING: u32 = 4;

    let said = messages.read()?;
    let ours: Vec<_> = said
        .iter()
        // Messages of the livepatch core about the module do not count.
        .filter(|message| message.contains(";vfio_pci_audit: "))
        .collect();
    for message in &ours {
        let level = message.split(',').next().context("no level")?;
        let level: u32 = level.parse().with_context(|| message.to_string())?;
        ensure!(level & 7 == WARNING, "not a warning: {message}");
        ensure!(
            message.contains(kernel::BLOCK_WRITE),
            "it does not say what to do: {message}"
        );
    }
    Ok(ours.len())
}

fn reads_alone(lab: &mut Lab) -> Result<()> {
    let (read, write) = (kernel::BLOCK_READ, kernel::BLOCK_WRITE);
    let mut messages = Messages::follow()?;
    for (name, value, expected) in [
        (write, "Y", 0),
        (read, "Y", 0),
        (write, "N", 1),
        (write, "N", 0),
        (read, "Y", 0),
        (read, "N", 0),
        (read, "Y", 1),
        (write, "Y", 0),
        (read, "N", 0),
    ] {
        kernel::set_parameter(name, value)?;
        let found = warnings(&mut messages)?;
        ensure!(
            found == expected,
            "{name}={value}: {found} warnings, {expected} expected"
        );
    }
    if lab.modules.built_in() {
        return Ok(());
    }
    lab.reload(&[format!("vfio_pci_audit.{read}=Y")])?;
    let found = warnings(&mut messages)?;
    ensure!(found == 1, "loaded with {read}=Y: {found} warnings");
    lab.reload(&[])
}
