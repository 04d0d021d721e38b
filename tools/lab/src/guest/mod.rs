// SPDX-License-Identifier: GPL-2.0

//! The guest that runs inside the virtual machine: QEMU with a vfio-pci device, an emulated machine
//! in an emulated one.
//!
//! - [`image`]: on the host, boots it once and saves it, since a boot inside the virtual machine
//!   takes minutes.
//! - This module: in the virtual machine, goes on with it, plugs a device into it, and has its root
//!   user do things.
//!
//! Its root file system is busybox and scripts/guest/init, which says what it can be asked.

pub mod image;
mod machine;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use tempfile::TempDir;
use vfio_client::{sysfs, Bdf};

use crate::kernel;
use crate::paths::Paths;
use crate::wait::wait_until;

/// How QEMU gets the device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Backend {
    /// By a container of VFIO and the device's group.
    Container,
    /// By iommufd and the device's own file.
    Iommufd,
}

/// A guest that runs.
pub struct Guest {
    child: Child,
    console: ChildStdin,
    lines: Receiver<String>,
    monitor: UnixStream,
    deadline: Instant,
    patience: Duration,
    _folder: TempDir,
}

impl Guest {
    /// Go on with the guest that was saved. It has so long for everything until its end.
    pub fn resume(paths: &Paths, patience: Duration) -> Result<Self> {
        let state = image::state(paths);
        ensure!(
            state.exists(),
            "no {}: `scripts/lab.sh build guest` makes it on the host",
            state.display()
        );
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("monitor");
        let deadline = Instant::now() + patience;
        let mut child = Command::new(machine::PROGRAM)
            .args(machine::arguments())
            .arg("-incoming")
            .arg(format!("exec:cat '{}'", state.display()))
            .args(["-serial", "stdio", "-mon", "monitor", "-chardev"])
            .arg(format!(
                "socket,id=monitor,path={},server=on,wait=off",
                socket.display()
            ))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context(machine::PROGRAM)?;
        let console = child.stdin.take().context("the guest has no console")?;
        let output = child.stdout.take().context("the guest has no console")?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line.trim_end_matches('\r').to_owned()).is_err() {
                    return;
                }
            }
        });
        let mut monitor = None;
        wait_until(patience, || {
            monitor = UnixStream::connect(&socket).ok();
            Ok(monitor.is_some() || child.try_wait()?.is_some())
        })?;
        let Some(monitor) = monitor else {
            bail!("the guest's QEMU ended before it began");
        };
        let mut guest = Self {
            child,
            console,
            lines,
            monitor,
            deadline,
            patience,
            _folder: folder,
        };
        while guest.line()? != "guest: up" {}
        Ok(guest)
    }

    /// Plug a device into it, which is given to vfio-pci first, and have the guest find it; what it
    /// says.
    pub fn plug(&mut self, bdf: Bdf, backend: Backend) -> Result<String> {
        kernel::bind(bdf)?;
        let (vendor, device) = sysfs::id(bdf)?;
        let mut words = format!("device_add vfio-pci,host={bdf},rombar=0,bus=port1");
        if backend == Backend::Iommufd {
            writeln!(self.monitor, "object_add iommufd,id=iommufd0")?;
            words += ",iommufd=iommufd0";
        }
        writeln!(self.monitor, "{words}")?;
        self.ask(&format!("device={vendor:04x}:{device:04x}"))
            .map_err(|error| match self.objections() {
                said if said.is_empty() => error,
                said => error.context(said),
            })
    }

    /// Ask it for something; what it answers.
    pub fn ask(&mut self, words: &str) -> Result<String> {
        writeln!(self.console, "{words}").context("the guest's console")?;
        loop {
            let line = self
                .line()
                .with_context(|| format!("asked for {words:?}"))?;
            match line.strip_prefix("guest: ") {
                // It says so until it was asked for the first time.
                None | Some("up") => {}
                Some(answer) if answer.starts_with("error: ") => bail!("the guest says: {answer}"),
                Some(answer) => return Ok(answer.to_owned()),
            }
        }
    }

    /// Have it end.
    pub fn end(mut self) -> Result<()> {
        let answer = self.ask("end")?;
        ensure!(answer == "done", "the guest says {answer:?} at its end");
        let left = self.deadline.saturating_duration_since(Instant::now());
        let ended = wait_until(left, || Ok(self.child.try_wait()?.is_some()))?;
        ensure!(ended, "the guest's QEMU does not end");
        Ok(())
    }

    fn line(&mut self) -> Result<String> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => {
                bail!("the guest took longer than {:?}", self.patience)
            }
            Err(RecvTimeoutError::Disconnected) => {
                bail!("the guest's QEMU ended {:?}", self.child.wait()?)
            }
        }
    }

    /// What QEMU's monitor had to object.
    fn objections(&mut self) -> String {
        let mut said = vec![0; 65536];
        let _ = self
            .monitor
            .set_read_timeout(Some(Duration::from_millis(500)));
        let count = self.monitor.read(&mut said).unwrap_or(0);
        let said = String::from_utf8_lossy(&said[..count]).into_owned();
        let errors = said.lines().filter(|line| line.starts_with("Error"));
        errors.collect::<Vec<_>>().join("; ")
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether this QEMU can take a device by iommufd, and this kernel give one.
pub fn has_iommufd() -> Result<bool> {
    let help = crate::command::stdout(Command::new(machine::PROGRAM).args(["-object", "help"]))?;
    let qemu = help.lines().any(|line| line.trim() == "iommufd");
    Ok(qemu && fs::metadata("/dev/iommu").is_ok())
}
