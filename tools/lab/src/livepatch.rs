// SPDX-License-Identifier: GPL-2.0

//! Loads and unloads the livepatch by system calls alone, for scenarios that do so repeatedly: on
//! an emulated machine, starting a program or reading a file of the host takes a fraction of a
//! second each.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{bail, ensure, Context, Result};
use rustix::io::Errno;

use crate::insmod;
use crate::modules::release;
use crate::wait::wait_until;

/// The name of the livepatch module.
pub const NAME: &str = "vfio_pci_audit_livepatch";
const FOLDER: &str = "/sys/kernel/livepatch/vfio_pci_audit_livepatch";

/// Timeout for transitions: longer than any task sleeps in the function that is replaced.
const PATIENCE: Duration = Duration::from_secs(60);

/// The module's file, in memory.
pub struct Livepatch(Vec<u8>);

impl Livepatch {
    /// Reads the module that build-stock.sh built in `stock`.
    pub fn read(stock: &Path) -> Result<Self> {
        let release = release();
        let file: PathBuf = [
            stock,
            Path::new("image/lib/modules"),
            Path::new(&release),
            Path::new("updates/vfio-pci-audit-livepatch.ko"),
        ]
        .iter()
        .collect();

        fs::read(&file)
            .map(Self)
            .with_context(|| file.display().to_string())
    }

    /// Loads the module, and waits until the transition of all tasks is complete. Its dependencies
    /// have to be loaded.
    pub fn load(&self) -> Result<()> {
        insmod::load_image(&self.0, "").with_context(|| format!("init_module({NAME})"))?;
        settle()
    }

    /// Disables the livepatch, waits for the transition of all tasks, and unloads the module.
    pub fn unload(&self) -> Result<()> {
        unload()
    }
}

/// Disables the livepatch that is loaded, waits for the transition, and unloads its module.
pub fn unload() -> Result<()> {
    fs::write(Path::new(FOLDER).join("enabled"), "0").context("disabling the livepatch")?;
    settle()?;
    // The reference on the module is dropped shortly after the livepatch's folder disappears.
    let unloaded = wait_until(PATIENCE, || match insmod::unload(NAME) {
        Ok(()) => Ok(true),
        Err(Errno::AGAIN) => Ok(false),
        Err(error) => bail!("delete_module({NAME}): {error}"),
    })?;
    ensure!(unloaded, "{NAME} is in use");
    Ok(())
}

/// Whether the livepatch is loaded and not replaced by another.
pub fn is_enabled() -> bool {
    Path::new(FOLDER).exists()
}

/// Wait until every task is where the livepatch wants it: a task keeps to the old function until it
/// was seen outside of it, a moment, or as long as it sleeps in there. Without a livepatch there is
/// nothing to wait for.
pub fn settle() -> Result<()> {
    ensure!(
        wait_until(PATIENCE, || Ok(!in_transition()))?,
        "the livepatch does not come to rest"
    );
    Ok(())
}

fn in_transition() -> bool {
    fs::read_to_string(Path::new(FOLDER).join("transition")).is_ok_and(|state| state == "1\n")
}
