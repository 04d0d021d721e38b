// SPDX-License-Identifier: GPL-2.0

//! While auditing is off, nothing is recorded. Blocking works as usual.

use anyhow::{ensure, Result};
use vfio_client::Device;

use super::{try_both, Scenario, BLOCKED, PASSED};
use crate::lab::Lab;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "audit-off/blocks",
        "without auditing the toggles still block, and nothing is recorded",
        blocks,
    ),
    Scenario::new(
        "audit-off/and-on-again",
        "what happens after auditing is switched on is recorded, on the device that was open",
        on_again,
    ),
];

fn blocks(lab: &mut Lab) -> Result<()> {
    lab.audit().ctl(&["-e", "0"])?;
    for bdf in lab.kinds()? {
        let device = Device::open(bdf)?;
        for (block, expected) in [(false, PASSED), (true, BLOCKED)] {
            lab.block(block, block)?;
            let found = try_both(&device)?;
            ensure!(found == expected, "{bdf}: {found:?}, expected {expected:?}");
        }
    }
    lab.audit().ctl(&["-e", "1"])?;
    for bdf in lab.kinds()? {
        let records = lab.take(bdf)?;
        ensure!(records.is_empty(), "recorded without auditing: {records:?}");
    }
    Ok(())
}

fn on_again(lab: &mut Lab) -> Result<()> {
    let device = Device::open(lab.express()?)?;
    lab.block(true, true)?;
    lab.audit().ctl(&["-e", "0"])?;
    ensure!(try_both(&device)? == BLOCKED, "not blocked");
    lab.audit().ctl(&["-e", "1"])?;
    super::expect_verdict(lab, &device, BLOCKED)
}
