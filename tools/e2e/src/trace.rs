// SPDX-License-Identifier: GPL-2.0

//! The tracepoint of accesses, read through tracefs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::mount::{mount, MountFlags};

const TRACEFS: &str = "/sys/kernel/tracing";
const EVENT: &str = "events/pci_audit/pci_audit_access";

/// A buffer of our own, which holds events of accesses and nothing else.
pub(crate) struct Trace(PathBuf);

impl Trace {
    /// Start tracing accesses.
    pub(crate) fn start() -> Result<Self> {
        let instances = Path::new(TRACEFS).join("instances");
        if !instances.exists() {
            mount("tracefs", TRACEFS, "tracefs", MountFlags::empty(), None).context(TRACEFS)?;
        }
        let folder = instances.join("e2e");
        // One may be left of a scenario that did not end well.
        let _ = fs::remove_dir(&folder);
        fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        let trace = Self(folder);
        trace.enable(true)?;
        Ok(trace)
    }

    /// Start or stop.
    pub(crate) fn enable(&self, on: bool) -> Result<()> {
        let file = self.0.join(EVENT).join("enable");
        fs::write(&file, if on { "1" } else { "0" }).with_context(|| file.display().to_string())
    }

    /// The texts of all events so far, in the order in which they came.
    pub(crate) fn texts(&self) -> Result<Vec<String>> {
        let file = self.0.join("trace");
        let trace = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        Ok(trace
            .lines()
            .filter_map(|line| line.split_once(": pci_audit_access: "))
            .map(|(_, text)| text.to_owned())
            .collect())
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // An instance that stays is removed by the next one.
        let _ = self.enable(false);
        let _ = fs::remove_dir(&self.0);
    }
}
