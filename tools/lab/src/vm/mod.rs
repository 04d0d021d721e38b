// SPDX-License-Identifier: GPL-2.0

//! Boots a kernel in QEMU on the host's own root file system, by virtme-ng, and runs a command in
//! it as root.
//!
//! - [`machine`]: what QEMU is told.
//! - [`clock`]: what the machine takes the time from.
//! - [`inside`]: what runs the command in there.
//!
//! Standard output and error are the command's, live; its standard input is empty. The kernel's
//! messages are in the log only. The host's files are visible, to a command as they were when they
//! were first read; changes to them are lost at the end, except under build/.

pub mod clock;
pub mod inside;
pub mod machine;
mod process;

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{ensure, Context};
use clap::{ArgAction, Args};
use rustix::fs::{mknodat, FileType, Mode, CWD};

use crate::complaints;
use crate::paths::{last_lines, Paths};
use machine::Machine;
use process::End;

/// The kernel's argument with the options of the root file system: those of virtme-ng, and that
/// the VM keeps what it has read, which makes programs start twice as fast. The VM does not see
/// what changes on the host meanwhile.
pub const CACHED_ROOT: &str =
    "rootflags=version=9p2000.L,trans=virtio,access=any,msize=524288,cache=loose";

/// What is booted, and for how long.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The kernel to boot (default: build/linux/m); one in a lib/modules folder boots with those
    /// modules
    #[arg(long, value_name = "BZIMAGE")]
    pub kernel: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub machine: Machine,
    /// Kill a VM that takes longer
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    pub timeout: u64,
    /// The kernel's messages go to build/log/vm-NAME.log (default: the command's name)
    #[arg(long)]
    pub name: Option<String>,
    /// Expect complaints of the kernel that have this text; may be given several times
    #[arg(long, value_name = "TEXT", action = ArgAction::Append)]
    pub allow: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            kernel: None,
            machine: Machine::default(),
            timeout: 900,
            name: None,
            allow: Vec::new(),
        }
    }
}

/// Why there is no exit code of the command's.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error(
        "the VM was killed, since '{command}' took longer than {seconds} s; the kernel's last \
         messages, from {log}:\n{last}"
    )]
    TimedOut {
        command: String,
        seconds: u64,
        log: String,
        last: String,
    },
    #[error("the kernel in the VM complained, see {log}:\n{lines}")]
    Complained { log: String, lines: String },
    #[error(
        "the VM ended before '{command}' did; virtme-ng ({status}) said:\n{vng}\nthe kernel's \
         last messages, from {log}:\n{last}"
    )]
    Died {
        command: String,
        status: ExitStatus,
        vng: String,
        log: String,
        last: String,
    },
    #[error("interrupted by signal {0}")]
    Interrupted(i32),
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl Error {
    /// The exit code that tells it from a command's.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::TimedOut { .. } => 124,
            Self::Complained { .. } | Self::Died { .. } => 70,
            Self::Interrupted(signal) => 128 + *signal as u8,
            Self::Other(_) => 1,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Other(error.into())
    }
}

impl Options {
    /// Boot, run the command, and wait for both; the command's exit code.
    pub fn run(&self, paths: &Paths, command: &[String]) -> Result<u8, Error> {
        let words = command.join(" ");
        let program = command.first().context("no command for the VM")?;
        let name = self.name.clone().unwrap_or_else(|| base_name(program));
        let log = paths.log(&format!("vm-{name}"));
        let mut vng = self.vng(paths)?;

        let run = tempfile::Builder::new()
            .prefix("vm.")
            .tempdir_in(&paths.build)
            .context("a folder for the VM")?;
        inside::Job::new(paths, command)?.write(run.path())?;
        let mut qemu = self.machine.qemu()?;
        let mut readers = Vec::new();
        let mut held = Vec::new();
        for (port, to) in [
            (inside::OUT, Box::new(io::stdout()) as Box<dyn Write + Send>),
            (inside::ERR, Box::new(io::stderr())),
        ] {
            let fifo = run.path().join(port);
            mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
                .map_err(io::Error::from)?;
            // Open for writing until the VM has ended, whether or not it came to opening it.
            held.push(File::options().read(true).write(true).open(&fifo)?);
            readers.push(copy(File::open(&fifo)?, to));
            qemu.extend(inside::port(port, &fifo));
        }
        qemu.push(format!("-set chardev.console.path={}", log.display()));

        File::create(&log)?;
        let said = run.path().join("vng");
        let output = File::create(&said)?;
        vng.arg(format!("--qemu-opts={}", qemu.join(" ")))
            .arg("--rwdir")
            .arg(&paths.build)
            .arg("--cwd")
            .arg(&paths.top)
            .arg("--exec")
            .arg(inside::words(paths, run.path()))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        vng.arg("--append").arg(CACHED_ROOT);
        let end = process::run(&mut vng, Duration::from_secs(self.timeout))?;
        drop(held);
        for reader in readers {
            let _ = reader.join();
        }

        let text = fs::read(&log)?;
        let text = String::from_utf8_lossy(&text).replace('\r', "");
        fs::write(&log, &text)?;
        let shown = paths.show(&log);
        let status = match end {
            End::Exited(status) => status,
            End::TimedOut => {
                return Err(Error::TimedOut {
                    command: words,
                    seconds: self.timeout,
                    last: last_lines(&log, 15),
                    log: shown,
                })
            }
            End::Interrupted(signal) => return Err(Error::Interrupted(signal)),
        };
        let complaints = complaints::find(&text, &self.allow);
        if !complaints.is_empty() {
            let lines = complaints.iter().take(5);
            return Err(Error::Complained {
                lines: lines
                    .map(|(number, line)| format!("{number}:{line}"))
                    .collect::<Vec<_>>()
                    .join("\n"),
                log: shown,
            });
        }
        inside::exit_code(run.path()).ok_or_else(|| Error::Died {
            command: words,
            status,
            vng: last_lines(&said, 10),
            last: last_lines(&log, 10),
            log: shown,
        })
    }

    /// Boot, and run a shell command on this terminal. What the kernel and QEMU say goes into the
    /// log.
    pub fn shell(&self, paths: &Paths, command: &str) -> anyhow::Result<ExitStatus> {
        let name = self.name.as_deref().unwrap_or("shell");
        let log = paths.log(&format!("vm-{name}"));
        let run = tempfile::Builder::new()
            .prefix("vm.")
            .tempdir_in(&paths.build)
            .context("a folder for the VM")?;
        // virtme-ng runs commands without a terminal, and only a user's shell on one.
        let program = run.path().join("shell");
        fs::write(&program, format!("#!/bin/sh\n{command}\n"))?;
        fs::set_permissions(&program, Permissions::from_mode(0o755))?;
        let status = self
            .vng(paths)?
            .args(["--user", "root", "--shell"])
            .arg(&program)
            .arg("--rwdir")
            .arg(&paths.build)
            .arg("--cwd")
            .arg(&paths.top)
            .arg(format!("--qemu-opts={}", self.machine.qemu()?.join(" ")))
            .stderr(File::create(&log)?)
            .status()
            .context("vng")?;
        if !status.success() {
            eprintln!("{}", last_lines(&log, 10));
        }
        Ok(status)
    }

    /// virtme-ng, as far as it is the same for all.
    fn vng(&self, paths: &Paths) -> anyhow::Result<Command> {
        let program = paths.build.join("venv/bin/vng");
        ensure!(
            program.exists(),
            "virtme-ng is missing: run scripts/setup.sh first"
        );
        let kernel = self.kernel.clone().unwrap_or_else(|| paths.image("m"));
        ensure!(
            kernel.exists(),
            "no kernel at {}: build one first",
            kernel.display()
        );
        let mut vng = Command::new(&program);
        let bin = paths.build.join("venv/bin").display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        vng.env("PATH", format!("{bin}:{path}"))
            .arg("--run")
            .arg(&kernel)
            .args(["--disable-microvm", "--force-9p"])
            .args(self.machine.vng());
        if let Some(modules) = modules_of(&kernel) {
            can_boot(&modules)?;
        } else {
            vng.arg("--skip-modules");
        }
        Ok(vng)
    }
}

/// The modules that a kernel boots with: those in its folder, where that is one of lib/modules.
fn modules_of(kernel: &Path) -> Option<PathBuf> {
    let folder = kernel.parent()?;
    let above = folder.parent()?;
    (above.ends_with("lib/modules")).then(|| folder.to_owned())
}

/// A kernel without a 9P file system does not find its root, and panics.
fn can_boot(modules: &Path) -> anyhow::Result<()> {
    let lists = ["modules.order", "modules.builtin"]
        .map(|name| fs::read_to_string(modules.join(name)).unwrap_or_default());
    ensure!(
        lists
            .iter()
            .any(|list| list.contains("net/9p/9pnet_virtio.")),
        "the kernel in {} has no 9P over virtio, by which the VM has its root file system: \
         Debian's cloud kernels leave it out; take the release without \"cloud-\"",
        modules.display()
    );
    Ok(())
}

fn base_name(program: &str) -> String {
    Path::new(program).file_name().map_or_else(
        || "command".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// Copy in a thread of its own, and show each piece at once.
fn copy(mut from: File, mut to: Box<dyn Write + Send>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        use std::io::Read;
        let mut buffer = [0; 8192];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            // The reader may have gone; the VM goes on all the same.
            let _ = to.write_all(&buffer[..count]).and_then(|()| to.flush());
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_with_modules_of_their_own() {
        let stock = Path::new("/b/image/lib/modules/7.3.4/vmlinuz");
        assert_eq!(
            modules_of(stock),
            Some(PathBuf::from("/b/image/lib/modules/7.3.4"))
        );
        assert_eq!(
            modules_of(Path::new("/b/linux/m/arch/x86/boot/bzImage")),
            None
        );
    }

    #[test]
    fn a_kernel_without_9p_is_refused() {
        let modules = tempfile::tempdir().unwrap();
        fs::write(
            modules.path().join("modules.order"),
            "kernel/fs/ext4/ext4.ko\n",
        )
        .unwrap();
        assert!(can_boot(modules.path())
            .unwrap_err()
            .to_string()
            .contains("9P"));
        fs::write(
            modules.path().join("modules.order"),
            "kernel/net/9p/9pnet.ko\nkernel/net/9p/9pnet_virtio.ko\n",
        )
        .unwrap();
        can_boot(modules.path()).unwrap();
    }
}
