// SPDX-License-Identifier: GPL-2.0

//! Modules that were not built together.

use std::path::Path;

use anyhow::{ensure, Context, Result};
use rustix::io::Errno;

use super::Scenario;
use crate::insmod::{failed_with, Loaded};
use crate::kernel::{self, Messages};
use crate::lab::Lab;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario::new(
    "other-sources/refused",
    "a module that was built against other sources of pci_audit fails with \"Unknown symbol\", \
     and is not loaded",
    refused,
)];

const USER: &str = "vfio_pci_audit";

fn refused(lab: &mut Lab) -> Result<()> {
    let [pci_audit, user] = lab.modules.ours()?;
    let other = lab.modules.other_pci_audit()?;
    lab.modules.unload()?;
    let result = pair(&pci_audit, &user)
        .context("with the pci_audit that it was built with")
        .and_then(|()| expect_refused(&other, &user));
    lab.modules.load(&[])?;
    lab.bind()?;
    result
}

/// Load both, and unload them.
fn pair(pci_audit: &Path, user: &Path) -> Result<()> {
    let _service = Loaded::load(pci_audit, "pci_audit", "")?;
    let _user = Loaded::load(user, USER, "")?;
    ensure!(kernel::has_module(USER), "{USER} is not there");
    Ok(())
}

fn expect_refused(pci_audit: &Path, user: &Path) -> Result<()> {
    let mut messages = Messages::follow()?;
    let error = pair(pci_audit, user)
        .err()
        .context("it was loaded with another pci_audit than it was built with")?;
    ensure!(failed_with(&error, Errno::NOENT), "{error:#}");
    ensure!(!kernel::has_module(USER), "{USER} is there all the same");
    let said = messages.read()?;
    let unknown = format!("{USER}: Unknown symbol _R");
    ensure!(
        said.iter().any(|line| line.contains(&unknown)),
        "the kernel says {said:#?}"
    );
    Ok(())
}
