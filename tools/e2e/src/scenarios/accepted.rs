// SPDX-License-Identifier: GPL-2.0

//! Records that audit accepted and dropped later: the totals count what audit accepted.

use std::time::{Duration, Instant};

use anyhow::{ensure, Result};
use rustix::process::Signal;
use vfio_client::stream::Op;
use vfio_client::Device;

use super::{spot, Scenario};
use crate::account::{self, Loss, Truth};
use crate::audit::wait_until;
use crate::kernel::{self, Messages};
use crate::lab::Lab;

/// How long kauditd may take to print what is queued.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "accepted/audit-rate",
        "with auditctl -r audit drops records that it took: records= counts them, audit's lost= \
         says how many",
        audit_rate,
    )
    .rules(false),
    Scenario::new(
        "accepted/no-daemon",
        "without a daemon the kernel prints records to its log at a limited rate, and hides the \
         rest",
        no_daemon,
    )
    .rules(false),
];

fn audit_rate(lab: &mut Lab) -> Result<()> {
    const READS: u64 = 300;
    const LIMIT: &str = "20";

    lab.unlimited()?;
    let device = Device::open(lab.express()?)?;
    let (bdf, at) = (device.bdf(), spot(device.map())?);
    let mut truth = Truth::default();
    let lost_before = lab.audit().status("lost")?;
    lab.audit().ctl(&["-r", LIMIT])?;
    for _ in 0..READS {
        device.read_vec(at as u64, 4)?;
        truth.add(Op::Read, true, at..at + 4);
    }
    lab.audit().ctl(&["-r", "0"])?;
    let totals = lab.settle(device, &truth, Loss::Unnoticed)?;
    let found = account::accesses(&lab.records_of(bdf)?);
    let dropped = lab.audit().status("lost")? - lost_before;
    lab.note(format!(
        "of {READS} reads records={} lost={}; {found} are in the log, and audit says \
         lost={dropped}",
        totals.records, totals.lost
    ));
    ensure!(
        found < READS,
        "auditctl -r {LIMIT} dropped nothing, so that this shows nothing"
    );
    // Audit may have dropped op=open and its own configuration records too.
    ensure!(
        (READS - found..=READS - found + 4).contains(&dropped),
        "{} accesses are not in the log, and audit says lost={dropped}",
        READS - found
    );
    Ok(())
}

/// Without a daemon, audit's own limit is that of printk_ratelimit().
fn no_daemon(lab: &mut Lab) -> Result<()> {
    const READS: u64 = 300;

    lab.unlimited()?;
    lab.audit().stop(Signal::TERM)?;
    // What audit printed while the machine was reset counts against the limit, too.
    kernel::wait_for_printk();
    let mut messages = Messages::follow()?;
    let device = Device::open(lab.express()?)?;
    let at = spot(device.map())?;
    let started = Instant::now();
    for _ in 0..READS {
        device.read_vec(at as u64, 4)?;
    }
    // kauditd prints what is queued.
    let mut printed = 0;
    wait_until(PATIENCE, || {
        let said = messages.read()?;
        let count = said
            .iter()
            .filter(|text| text.contains("type=1340"))
            .count();
        printed += count;
        Ok(printed > 0 && count == 0)
    })?;
    let spans = 1 + (started.elapsed().as_secs() / kernel::PRINTK_INTERVAL.as_secs()) as usize;
    let shown = kernel::sessions()?;
    lab.note(format!(
        "of {READS} reads {printed} are in the kernel's log, in {:?}",
        started.elapsed()
    ));
    ensure!(
        shown.len() == 1 && shown[0].accesses == READS,
        "{READS} reads, and the account is {shown:?}"
    );
    ensure!(printed > 0, "the kernel prints no record");
    ensure!(
        printed <= kernel::PRINTK_BURST * spans,
        "the kernel prints {printed} records, more than its limit"
    );
    drop(device);
    // Nothing of this session is for the daemon of the next scenario.
    lab.audit().start()
}
