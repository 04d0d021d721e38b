// SPDX-License-Identifier: GPL-2.0

//! The module that is the livepatch, by system calls alone, for who loads it again and again: in an emulated machine each program that is
//! started, and each file that another machine has, costs a part of a second.

use std::ffi::CStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{bail, ensure, Context, Result};
use rustix::io::Errno;
use rustix::system::{delete_module, init_module, uname};

use crate::audit::wait_until;

/// The module that is the livepatch.
pub(crate) const NAME: &str = "vfio_pci_audit_livepatch";
const C_NAME: &CStr = c"vfio_pci_audit_livepatch";
const FOLDER: &str = "/sys/kernel/livepatch/vfio_pci_audit_livepatch";

/// As long as a task sleeps in the function that is replaced, and no longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What rmmod asks for: an error, and not to wait, while somebody uses the module.
pub(crate) const O_NONBLOCK: i32 = 0o4000;

/// The module's file, in memory.
pub(crate) struct Livepatch(Vec<u8>);

impl Livepatch {
    /// Read the module that build-stock.sh put into `stock`.
    pub(crate) fn read(stock: &Path) -> Result<Self> {
        let release = uname().release().to_string_lossy().into_owned();
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

    /// Load it, and return when every task is with it. What it depends on has to be there.
    pub(crate) fn load(&self) -> Result<()> {
        init_module(&self.0, c"").context("init_module(vfio_pci_audit_livepatch)")?;
        ensure!(
            wait_until(PATIENCE, || Ok(!in_transition()))?,
            "not every task came to the livepatch"
        );
        Ok(())
    }

    /// Disable it, and unload it when every task has left it.
    pub(crate) fn unload(&self) -> Result<()> {
        unload()
    }
}

/// Disable the livepatch that is loaded, and unload it when every task has left it.
pub(crate) fn unload() -> Result<()> {
    fs::write(Path::new(FOLDER).join("enabled"), "0").context("disabling the livepatch")?;
    ensure!(
        wait_until(PATIENCE, || Ok(!in_transition()))?,
        "not every task left the livepatch"
    );
    // It lets go of its module a moment after its folder has gone.
    let unloaded = wait_until(PATIENCE, || match delete_module(C_NAME, O_NONBLOCK) {
        Ok(()) => Ok(true),
        Err(Errno::AGAIN) => Ok(false),
        Err(error) => bail!("delete_module({NAME}): {error}"),
    })?;
    ensure!(unloaded, "{NAME} is in use");
    Ok(())
}

fn in_transition() -> bool {
    fs::read_to_string(Path::new(FOLDER).join("transition")).is_ok_and(|state| state == "1\n")
}
