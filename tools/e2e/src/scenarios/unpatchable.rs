// SPDX-License-Identifier: GPL-2.0

//! A kernel that lacks what the livepatch depends on.

use std::path::Path;

use anyhow::{bail, ensure, Context, Result};
use vfio_client::Device;

use super::{expect_verdict, Scenario, PASSED};
use crate::insmod::Failing;
use crate::kernel::Messages;
use crate::lab::{Lab, Skip};
use crate::livepatch;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario::new(
    "livepatch/missing",
    "without a function that the livepatch calls nothing is patched, and a message names the \
     function",
    missing,
)];

fn missing(lab: &mut Lab) -> Result<()> {
    if !lab.modules.stock() {
        bail!(Skip(
            "this kernel calls vfio_pci_audit by itself; make e2e FRONT=stock runs this".into()
        ));
    }
    lab.reload(&[])?;
    let livepatch = lab.modules.livepatch()?;
    livepatch.unload()?;
    let mut messages = Messages::follow()?;
    let failing = Failing::new(lab, "__symbol_get", 0)?;
    let loaded = livepatch.load();
    let looked_up = failing.calls()?;
    drop(failing);
    let said = messages.read()?;
    ensure!(looked_up > 0, "no function was looked up");
    loaded
        .err()
        .context("the livepatch was loaded without what it calls")?;
    let ours: Vec<_> = said
        .iter()
        .filter(|line| line.contains("vfio_pci_config_rw_single"))
        .collect();
    ensure!(
        ours.len() == 1 && ours[0].contains("nothing is patched"),
        "the kernel says {said:#?}"
    );
    let folder = Path::new("/sys/kernel/livepatch").join(livepatch::NAME);
    ensure!(!folder.exists(), "{} is there", folder.display());
    livepatch.load()?;
    let device = Device::open(lab.express()?)?;
    expect_verdict(lab, &device, PASSED)
}
