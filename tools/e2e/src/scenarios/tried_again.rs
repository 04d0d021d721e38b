// SPDX-License-Identifier: GPL-2.0

//! What audit refuses is tried again.

use std::time::{Duration, Instant};

use anyhow::{ensure, Result};
use vfio_client::stream::Op;
use vfio_client::{Bdf, Device};

use super::{spot, Scenario};
use crate::account::{Loss, Truth};
use crate::audit::wait_until;
use crate::kernel;
use crate::lab::Lab;
use crate::record::Kind;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "tried-again/holder",
        "a process whose op=open audit refuses is named before its next access that is recorded",
        holder,
    ),
    Scenario::new(
        "tried-again/worker",
        "a refused end comes out within 30 seconds of the rule's going, without another access",
        worker,
    ),
    Scenario::new(
        "tried-again/next-access",
        "a refused end comes out soon after the next access that is recorded",
        next_access,
    ),
];

/// Do something while audit refuses records of the type.
fn refused(lab: &mut Lab, act: impl FnOnce(&mut Lab) -> Result<()>) -> Result<()> {
    const RULE: [&str; 3] = ["always,exclude", "-F", "msgtype=1340"];

    lab.audit().ctl(&[["-a"].as_slice(), &RULE].concat())?;
    let result = act(lab);
    lab.audit().ctl(&[["-d"].as_slice(), &RULE].concat())?;
    result
}

fn holder(lab: &mut Lab) -> Result<()> {
    let device = Device::open(lab.express()?)?;
    let (bdf, at) = (device.bdf(), spot(device.map())?);
    let mut truth = Truth::default();
    let mut read = || -> Result<()> {
        device.read_vec(at as u64, 4)?;
        truth.add(Op::Read, true, at..at + 4);
        Ok(())
    };
    refused(lab, |_| read())?;
    read()?;
    read()?;
    // The report of the first may come in between.
    let records = lab.take(bdf)?;
    let opens: Vec<_> = records
        .iter()
        .filter(|record| record.is_access() || record.kind == Kind::Open)
        .map(|record| record.kind == Kind::Open)
        .collect();
    ensure!(
        opens == [true, false, false],
        "recorded were {records:#?}, not an op=open and two reads"
    );
    let totals = lab.settle(device, &truth, Loss::Refused)?;
    ensure!(
        totals.lost == 1,
        "audit did not refuse, so that this shows nothing: {totals:?}"
    );
    Ok(())
}

/// A session with one access, whose end audit refuses.
fn refused_end(lab: &mut Lab, bdf: Bdf) -> Result<Truth> {
    let mut truth = Truth::default();
    refused(lab, |_| {
        let device = Device::open(bdf)?;
        let at = spot(device.map())?;
        device.read_vec(at as u64, 4)?;
        truth.add(Op::Read, true, at..at + 4);
        drop(device);
        // The worker is refused at once.
        std::thread::sleep(Duration::from_secs(2));
        Ok(())
    })?;
    ensure!(
        kernel::has_sessions(),
        "audit did not refuse the end, so that this shows nothing"
    );
    Ok(truth)
}

fn next_access(lab: &mut Lab) -> Result<()> {
    let bdf = lab.express()?;
    refused_end(lab, bdf)?;
    let device = Device::open(bdf)?;
    let ended = |sessions: Vec<kernel::Shown>| sessions.iter().all(|shown| shown.open);
    ensure!(
        !ended(kernel::sessions()?),
        "the end came out with the opening, so that this shows nothing"
    );
    device.read_vec(spot(device.map())? as u64, 4)?;
    // A second, on a machine that is emulated and shared; the worker alone takes 30.
    let told = wait_until(Duration::from_secs(10), || Ok(ended(kernel::sessions()?)))?;
    ensure!(told, "the end is pending still: {:?}", kernel::sessions()?);
    drop(device);
    lab.take_session(bdf).map(drop)
}

fn worker(lab: &mut Lab) -> Result<()> {
    const RETRY: Duration = Duration::from_secs(30);

    let bdf = lab.express()?;
    let truth = refused_end(lab, bdf)?;
    let started = Instant::now();
    // A machine that is emulated and shared may be late.
    let told = wait_until(RETRY + Duration::from_secs(5), || {
        Ok(!kernel::has_sessions())
    })?;
    ensure!(told, "the end is pending still: {:?}", kernel::sessions()?);
    lab.note(format!("it came out after {:?}", started.elapsed()));
    lab.settle_all(bdf, &truth, Loss::Refused).map(drop)
}
