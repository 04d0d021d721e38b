// SPDX-License-Identifier: GPL-2.0

//! Programs in memory.
//!
//! The scenarios start programs thousands of times. From the host's files, over 9P, that takes
//! three times as long, and the host may build some of them anew meanwhile.

use std::fs;
use std::path::Path;
use std::process::Command;

use ::lab::command;
use ::lab::paths::Paths;
use anyhow::{Context, Result};
use rustix::mount::mount_bind;

/// A folder of the VM's own memory.
const MEMORY: &str = "/run/e2e-programs";

/// Mounts a copy in memory over each program that scenarios start often. `audit` is where audit
/// userspace is. Only for the VM: the mounts stay.
pub(crate) fn into_memory(paths: &Paths, audit: &Path) -> Result<()> {
    let programs = ["vfio-client", "vfio-pci-audit"].map(|name| paths.tool(name));
    let parts = ["lib", "sbin"].map(|name| audit.join(name));
    fs::create_dir_all(MEMORY).context(MEMORY)?;
    for from in programs.iter().chain(&parts) {
        let name = from.file_name().context("a program without a name")?;
        let copy = Path::new(MEMORY).join(name);
        command::stdout(Command::new("cp").arg("-a").args([from, &copy]))?;
        mount_bind(&copy, from).with_context(|| format!("mounting over {}", from.display()))?;
    }
    Ok(())
}
