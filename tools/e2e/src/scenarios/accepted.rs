// SPDX-License-Identifier: GPL-2.0

//! Records that audit accepted and dropped later: the totals count what audit accepted.

use anyhow::{ensure, Result};
use vfio_client::stream::Op;
use vfio_client::Device;

use super::{spot, Scenario};
use crate::account::{self, Loss, Truth};
use crate::lab::Lab;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario::new(
    "accepted/audit-rate",
    "with auditctl -r audit drops records that it took: records= counts them, audit's lost= says \
     how many",
    audit_rate,
)
.rules(false)];

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
