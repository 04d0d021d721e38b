// SPDX-License-Identifier: GPL-2.0

//! `vfio-pci-audit observe`, as it runs beside a scenario.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{bail, ensure, Context, Result};
use rustix::process::{kill_process, Pid, Signal};

use crate::audit::wait_until;
use crate::lab::Skip;
use crate::record::{self, Record};

/// How long it may take to be ready: an emulated machine's verifier takes its time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where its files are.
const FOLDER: &str = "/run/e2e/observe";

/// Where the kernel shows its types, without which BPF cannot read them.
pub(crate) const BTF: &str = "/sys/kernel/btf/vmlinux";

/// The operator's tool.
pub(crate) fn tool() -> Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name("vfio-pci-audit"))
}

/// The process, which ends when this is dropped.
pub(crate) struct Observing {
    child: Child,
    folder: PathBuf,
}

impl Observing {
    /// Start it with an empty log, and wait until it observes.
    pub(crate) fn start(arguments: &[&str]) -> Result<Self> {
        let observing = Self::spawn(Command::new(tool()?).arg("observe"), arguments)?;
        observing.until("observing by ")?;
        Ok(observing)
    }

    /// Start a command that becomes it, with an empty log.
    pub(crate) fn spawn(command: &mut Command, arguments: &[&str]) -> Result<Self> {
        if !Path::new(BTF).exists() {
            bail!(Skip("this kernel does not show its types to BPF".into()));
        }
        let folder = PathBuf::from(FOLDER);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        let child = command
            .args(arguments)
            .args([OsStr::new("--log"), folder.join("log").as_os_str()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.join("stderr"))?)
            .process_group(0)
            .spawn()
            .with_context(|| format!("{command:?}"))?;
        Ok(Self { child, folder })
    }

    /// What it said.
    pub(crate) fn said(&self) -> Result<String> {
        Ok(fs::read_to_string(self.folder.join("stderr"))?)
    }

    /// Wait until it says something.
    pub(crate) fn until(&self, words: &str) -> Result<()> {
        let said = wait_until(PATIENCE, || Ok(self.said()?.contains(words)))?;
        ensure!(said, "it never said {words:?}: {}", self.said()?);
        Ok(())
    }

    /// Its log.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Every record in its log.
    pub(crate) fn records(&self) -> Result<Vec<Record>> {
        let log = self.log();
        let text = fs::read_to_string(&log).with_context(|| log.display().to_string())?;
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        record::parse_all(whole)
    }

    /// Wait until its log has so many records that `wanted` wants; all of them.
    pub(crate) fn until_recorded(
        &self,
        count: usize,
        wanted: impl Fn(&Record) -> bool,
    ) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        let there = wait_until(PATIENCE, || {
            records = self.records()?;
            Ok(records.iter().filter(|record| wanted(record)).count() >= count)
        })?;
        ensure!(there, "there are no {count} such records: {records:#?}");
        Ok(records)
    }

    /// Send it a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.child.id() as i32).context("it has no pid")?;
        kill_process(pid, signal).context("vfio-pci-audit observe")
    }

    /// End it as an operator does; every record in its log.
    pub(crate) fn stop(&mut self) -> Result<Vec<Record>> {
        self.signal(Signal::TERM)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "it ended with {status}: {}", self.said()?);
        self.records()
    }

    /// Its exit code, when it has ended by itself.
    pub(crate) fn exit_code(&mut self) -> Result<Option<i32>> {
        let mut code = None;
        let ended = wait_until(PATIENCE, || {
            let status = self.child.try_wait()?;
            code = status.and_then(|status| status.code());
            Ok(status.is_some())
        })?;
        ensure!(ended, "it goes on: {}", self.said()?);
        Ok(code)
    }
}

impl Drop for Observing {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
