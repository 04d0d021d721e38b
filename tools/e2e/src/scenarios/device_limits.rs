// SPDX-License-Identifier: GPL-2.0

//! The limits belong to the device: its holders cannot get new tokens in any way.

use std::fs;
use std::path::Path;

use anyhow::{ensure, Result};
use vfio_client::stream::Op;
use vfio_client::{sysfs, Bdf, Device};

use super::{spot, Scenario};
use crate::account::{Loss, Truth};
use crate::budget::{Budget, Written};
use crate::holder::{self, Holder};
use crate::kernel;
use crate::lab::Lab;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "device-limits/reopening",
        "40 times open, 48 accesses and close write no more than the device may, and all of it \
         adds up",
        |lab| reopening(lab, 40),
    ),
    Scenario::new(
        "device-limits/reopening-thousand",
        "1000 times the same",
        |lab| reopening(lab, 1000),
    )
    .long(),
    Scenario::new(
        "device-limits/rebinding",
        "nor do they when the device goes to no driver and comes back in between",
        rebinding,
    ),
    Scenario::new(
        "device-limits/forking",
        "nor do 100 children of a holder",
        forking,
    ),
    Scenario::new(
        "device-limits/passing",
        "nor do 12 programs to which the descriptor is passed",
        passing,
    ),
    Scenario::new(
        "device-limits/audit-off-and-on",
        "nor do accesses between which auditing is switched off and on",
        audit_off_and_on,
    ),
];

/// Number of records in a burst.
const BURST: usize = 24;

fn burst(device: &Device, truth: &mut Truth) -> Result<()> {
    let at = spot(device.map())?;
    for number in 0..BURST {
        let read = at + number % 8;
        device.read_vec(read as u64, 1)?;
        truth.add(Op::Read, true, read..read + 1);
        let write = at + 16 + number % 8;
        device.write(write as u64, &[0])?;
        truth.add(Op::Write, true, write..write + 1);
    }
    Ok(())
}

/// Checks the records, lets the remaining ones be written, and checks that they add up.
fn finish(lab: &mut Lab, bdf: Bdf, budget: &Budget, truth: &Truth) -> Result<()> {
    let records = lab.records_of(bdf)?;
    budget.check(lab, &records)?;
    // Pending records may be delayed for minutes, at one in five seconds. Refill the buckets.
    lab.fill()?;
    let totals = lab.settle_all(bdf, truth, Loss::None)?;
    lab.note(format!("{totals:?}"));
    Ok(())
}

fn reopening(lab: &mut Lab, rounds: u64) -> Result<()> {
    let bdf = lab.express()?;
    let budget = Budget::start(lab)?;
    let mut truth = Truth::default();
    for _ in 0..rounds {
        burst(&Device::open(bdf)?, &mut truth)?;
    }
    finish(lab, bdf, &budget, &truth)
}

fn rebinding(lab: &mut Lab) -> Result<()> {
    let bdf = lab.express()?;
    let budget = Budget::start(lab)?;
    let mut truth = Truth::default();
    for _ in 0..8 {
        burst(&Device::open(bdf)?, &mut truth)?;
        kernel::unbind(bdf)?;
        kernel::bind(bdf)?;
    }
    finish(lab, bdf, &budget, &truth)
}

fn forking(lab: &mut Lab) -> Result<()> {
    const CHILDREN: u64 = 100;

    let bdf = lab.express()?;
    let at = spot(&sysfs::config_map(bdf)?)?;
    let budget = Budget::start(lab)?;
    let mut holder = Holder::start(bdf)?;
    holder.read_in_children(CHILDREN, at)?;
    let records = lab.records_of(bdf)?;
    // Each recorded read takes two read tokens: one for itself, one for the op=open.
    let opens = Written::count(&records).opens;
    ensure!(
        opens >= 12,
        "only {opens} of {CHILDREN} children are named in the log"
    );
    holder.kill()?;
    let mut truth = Truth::default();
    (0..CHILDREN).for_each(|_| truth.add(Op::Read, true, at..at + 4));
    finish(lab, bdf, &budget, &truth)
}

fn passing(lab: &mut Lab) -> Result<()> {
    let bdf = lab.express()?;
    let at = spot(&sysfs::config_map(bdf)?)?;
    let (program, socket) = (holder::program()?, Path::new("/run/e2e-pass"));
    let budget = Budget::start(lab)?;
    let mut truth = Truth::default();
    let mut first = Holder::start(bdf)?;
    for _ in 0..12 {
        let mut other = Holder::receiver(&program, socket)?;
        first.pass(&mut other, socket)?;
        for _ in 0..BURST {
            other.read(at)?;
            truth.add(Op::Read, true, at..at + 4);
        }
        other.kill()?;
    }
    first.kill()?;
    fs::remove_file(socket)?;
    finish(lab, bdf, &budget, &truth)
}

fn audit_off_and_on(lab: &mut Lab) -> Result<()> {
    let bdf = lab.express()?;
    let budget = Budget::start(lab)?;
    let mut truth = Truth::default();
    let device = Device::open(bdf)?;
    for _ in 0..10 {
        burst(&device, &mut truth)?;
        for enabled in ["0", "1"] {
            lab.audit().ctl(&["-e", enabled])?;
        }
    }
    drop(device);
    finish(lab, bdf, &budget, &truth)
}
