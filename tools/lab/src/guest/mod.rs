// SPDX-License-Identifier: GPL-2.0

//! The guest that runs inside the virtual machine: QEMU with a vfio-pci device, an emulated machine
//! in an emulated one.
//!
//! - [`image`]: on the host, boots it once and saves it, since a boot inside the virtual machine
//!   takes minutes.
//! - This module: in the virtual machine, goes on with it, plugs a device into it, and has its root
//!   user do things.
//! - [`action`]: what that can be.
//! - [`drivers`]: which drivers of its kernel it has.
//!
//! Its root file system is busybox, these drivers, and scripts/guest/init.

mod action;
pub mod drivers;
pub mod image;
pub(crate) mod machine;

use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail, ensure, Context, Error, Result};
use tempfile::TempDir;
use vfio_client::{sysfs, Bdf};

use crate::kernel;
use crate::paths::Paths;
use crate::wait::wait_until;
use action::Action;

/// How QEMU gets the device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Backend {
    /// By a container of VFIO and the device's group.
    Container,
    /// By iommufd and the device's own file.
    Iommufd,
}

/// The error of a guest whose processor executes one instruction again and again. QEMU 7.2 may get
/// there when it counts instructions and one of them accesses a device.
#[derive(Debug)]
pub struct Stuck(String);

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the guest's QEMU executes one instruction for ever, at {}",
            self.0
        )
    }
}

impl std::error::Error for Stuck {}

/// A guest that runs.
pub struct Guest {
    child: Child,
    console: ChildStdin,
    lines: Receiver<String>,
    monitor: UnixStream,
    /// The address of the device that was plugged in, as the guest has it.
    device: String,
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
        let program = machine::program(paths);
        let mut child = Command::new(&program)
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
            .with_context(|| program.display().to_string())?;
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
            device: String::new(),
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
        // It is plugged in by another thread of QEMU's than the one that delivers lines.
        for wait in 0..5 {
            thread::sleep(Duration::from_secs(wait));
            let listed = self.run(action::DEVICES)?;
            if let Some(address) = action::find(&listed, (vendor, device)) {
                address.clone_into(&mut self.device);
                return Ok(format!("device {vendor:04x}:{device:04x} at {address}"));
            }
        }
        bail!(
            "the guest has no device {vendor:04x}:{device:04x}{}",
            self.objections()
        )
    }

    /// Ask it for something, as in `poke=0x2f8:0xff:1`; what it answers.
    pub fn ask(&mut self, words: &str) -> Result<String> {
        let action = Action::parse(words)?;
        let printed = self
            .run(&action.line(&self.device))
            .with_context(|| format!("asked for {words:?}"))?;
        Ok(action.answer(&printed))
    }

    /// Have its shell run a line, which has to succeed; what that says.
    fn run(&mut self, line: &str) -> Result<String> {
        writeln!(self.console, "{line}").context("the guest's console")?;
        let (mut said, mut other) = (Vec::new(), Vec::new());
        loop {
            let line = self.line()?;
            match line.strip_prefix("guest: ") {
                // It says so until it was asked for the first time.
                Some("up") => {}
                Some("= 0") => return Ok(said.join("\n")),
                Some(code) if code.starts_with("= ") => {
                    bail!(
                        "the guest's shell ends with {}: {}",
                        &code[2..],
                        other.join("; ")
                    )
                }
                Some(text) => said.push(text.to_owned()),
                None => other.push(line),
            }
        }
    }

    /// Have it end.
    pub fn end(mut self) -> Result<()> {
        writeln!(self.console, "reboot -f").context("the guest's console")?;
        let left = self.deadline.saturating_duration_since(Instant::now());
        let ended = wait_until(left, || Ok(self.child.try_wait()?.is_some()))?;
        ensure!(ended, "the guest's QEMU does not end");
        Ok(())
    }

    fn line(&mut self) -> Result<String> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => Err(self.late()),
            Err(RecvTimeoutError::Disconnected) => {
                bail!("the guest's QEMU ended {:?}", self.child.wait()?)
            }
        }
    }

    /// Why there is no answer, as far as the guest's processor tells.
    fn late(&mut self) -> Error {
        const SAMPLES: usize = 4;

        let samples: Vec<_> = (0..SAMPLES).map_while(|_| self.place()).collect();
        let (Some((first, halted)), true) = (samples.first(), samples.len() == SAMPLES) else {
            return anyhow!("the guest took longer than {:?}", self.patience);
        };
        if !halted
            && samples
                .iter()
                .all(|sample| *sample == (first.clone(), false))
        {
            return Stuck(first.clone()).into();
        }
        anyhow!(
            "the guest took longer than {:?}; its processor is at {samples:?}",
            self.patience
        )
    }

    /// Where the guest's processor is, and whether it waits for an interrupt.
    fn place(&mut self) -> Option<(String, bool)> {
        // What the monitor said before.
        self.said(Duration::from_millis(100));
        writeln!(self.monitor, "info registers").ok()?;
        let said = self.said(Duration::from_secs(2));
        let word = |key: &str| {
            said.split_whitespace()
                .find_map(|word| word.strip_prefix(key))
        };
        Some((word("RIP=")?.to_owned(), word("HLT=")? == "1"))
    }

    /// What the monitor says until it is silent for so long.
    fn said(&mut self, silence: Duration) -> String {
        let mut said = Vec::new();
        let mut part = [0; 4096];
        let _ = self.monitor.set_read_timeout(Some(silence));
        while let Ok(count @ 1..) = self.monitor.read(&mut part) {
            said.extend_from_slice(&part[..count]);
        }
        String::from_utf8_lossy(&said).into_owned()
    }

    /// What QEMU's monitor had to object.
    fn objections(&mut self) -> String {
        let said = self.said(Duration::from_millis(500));
        let errors = said.lines().filter(|line| line.starts_with("Error"));
        errors.map(|line| format!("; {line}")).collect()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether there is a guest to go on with.
pub fn is_saved(paths: &Paths) -> bool {
    image::state(paths).exists()
}

/// Whether this QEMU can take a device by iommufd, and this kernel give one.
pub fn has_iommufd(paths: &Paths) -> Result<bool> {
    let mut qemu = Command::new(machine::program(paths));
    let help = crate::command::stdout(qemu.args(["-object", "help"]))?;
    let qemu = help.lines().any(|line| line.trim() == "iommufd");
    Ok(qemu && fs::metadata("/dev/iommu").is_ok())
}
