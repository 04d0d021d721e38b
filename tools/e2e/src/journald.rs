// SPDX-License-Identifier: GPL-2.0

//! systemd's journald, which listens to audit on many hosts, alone or beside a daemon.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{ensure, Context, Result};

use crate::audit::wait_until;
use crate::command;
use crate::kernel;
use crate::lab::Skip;

const PROGRAM: &str = "/lib/systemd/systemd-journald";
/// What it reads besides the host's configuration; the journal is in memory.
const CONFIGURATION: &str = "/run/systemd/journald.conf.d/e2e.conf";
const JOURNALS: &str = "/run/log/journal";
const MACHINE_ID: &str = "/etc/machine-id";
const PATIENCE: Duration = Duration::from_secs(60);

/// The program, which ends when this is dropped.
pub(crate) struct Journald(Child);

impl Journald {
    /// Start it with an empty journal, and wait until it listens to audit.
    pub(crate) fn start() -> Result<Self> {
        if !Path::new(PROGRAM).exists() {
            return Err(Skip(format!("there is no {PROGRAM}")).into());
        }
        // A fresh system may have none, and the journal is named by it.
        if fs::read_to_string(MACHINE_ID)
            .unwrap_or_default()
            .trim()
            .is_empty()
        {
            fs::write(MACHINE_ID, format!("{:032x}\n", 0x0e2e)).context(MACHINE_ID)?;
        }
        match fs::remove_dir_all(JOURNALS) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).context(JOURNALS);
            }
            _ => fs::create_dir_all(JOURNALS)?,
        }
        let folder = Path::new(CONFIGURATION).parent().context("no folder")?;
        fs::create_dir_all(folder)?;
        fs::create_dir_all("/run/systemd/journal")?;
        fs::write(
            CONFIGURATION,
            "[Journal]\nStorage=volatile\nAudit=yes\nRateLimitIntervalSec=0\n",
        )?;
        let child = Command::new(PROGRAM)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create("/run/e2e/journald.err")?)
            .spawn()
            .context(PROGRAM)?;
        let journald = Self(child);
        let pid = journald.0.id();
        let listens = wait_until(PATIENCE, || Ok(kernel::audit_listener(pid)?.is_some()))?;
        ensure!(
            listens,
            "journald does not listen: {}",
            fs::read_to_string("/run/e2e/journald.err")?
        );
        Ok(journald)
    }

    /// Have journalctl print what the journal has.
    pub(crate) fn print(&self, arguments: &[&str]) -> Result<String> {
        command::stdout(self.journalctl().args(arguments))
    }

    /// Have journalctl write all of it to a file. Not all of it is text: in the export format the
    /// length of a message of several lines is a number of eight bytes.
    pub(crate) fn save(&self, format: &str, file: &Path) -> Result<()> {
        let out = File::create(file).with_context(|| file.display().to_string())?;
        let status = self
            .journalctl()
            .args(["--output", format])
            .stdout(out)
            .status()
            .context("journalctl")?;
        ensure!(status.success(), "journalctl ended with {status}");
        Ok(())
    }

    fn journalctl(&self) -> Command {
        let mut command = Command::new("journalctl");
        command.args(["--no-pager", "--quiet", "--directory", JOURNALS]);
        command
    }
}

impl Drop for Journald {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
