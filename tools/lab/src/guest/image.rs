// SPDX-License-Identifier: GPL-2.0

//! On the host: boots the guest, and saves it for the virtual machine to go on with.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{bail, ensure, Context, Result};

use super::{drivers, machine};
use crate::command;
use crate::initramfs;
use crate::paths::Paths;
use crate::wait::wait_until;

/// Where the saved guest is.
pub(super) fn state(paths: &Paths) -> PathBuf {
    paths.build.join("guest/state")
}

/// What the guest's init wants of busybox.
const APPLETS: &[&str] = &[
    "sh", "mount", "stty", "sleep", "dd", "od", "reboot", "modprobe", "mknod", "ip", "ping",
];

/// Its kernel's arguments.
const KERNEL_ARGUMENTS: &str = "console=ttyS0 quiet panic=-1 reboot=t tsc=reliable \
 pty.legacy_count=0 8250.nr_uarts=1 pcie_ports=compat";

/// Boot the guest with this kernel and save it, unless that was done with the very same parts;
/// whether it had to be.
pub fn build(paths: &Paths, kernel: &Path) -> Result<bool> {
    let folder = paths.build.join("guest");
    let busybox = busybox()?;
    let init = paths.script("guest/init");
    let drivers = drivers::files(kernel)?;
    let program = machine::program(paths);
    let key = key(&program, &[kernel, &busybox, &init], &drivers)?;
    if fs::read_to_string(folder.join("key")).is_ok_and(|last| last == key) {
        return Ok(false);
    }
    fs::create_dir_all(&folder)?;
    let work = tempfile::Builder::new()
        .prefix("guest.")
        .tempdir_in(&paths.build)?;
    let initramfs = root(work.path(), &busybox, &init, &drivers)?;
    let saved = boot_and_try(&program, work.path(), kernel, &initramfs)?;
    fs::rename(saved, state(paths))?;
    drivers::save(paths, &drivers)?;
    fs::write(folder.join("key"), key)?;
    Ok(true)
}

fn busybox() -> Result<PathBuf> {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .map(|folder| folder.join("busybox"))
        .find(|file| file.exists())
        .context("busybox is missing: run scripts/setup.sh first")?;
    let dynamic = command::output(Command::new("ldd").arg(&found))?.status;
    ensure!(
        !dynamic.success(),
        "{} is not static: install busybox-static",
        found.display()
    );
    let list = command::stdout(Command::new(&found).arg("--list"))?;
    for applet in APPLETS {
        ensure!(
            list.lines().any(|line| line == *applet),
            "{} has no {applet}",
            found.display()
        );
    }
    Ok(found)
}

/// What the saved guest depends on.
fn key(program: &Path, files: &[&Path], drivers: &[PathBuf]) -> Result<String> {
    let mut sums = Command::new("sha256sum");
    let sums = command::stdout(sums.args(files).args(drivers))?;
    let qemu = command::stdout(Command::new(program).arg("--version"))?;
    let machine: Vec<_> = machine::arguments().collect();
    Ok(format!(
        "{sums}{qemu}{}\n{KERNEL_ARGUMENTS}\n{}\n",
        machine.join(" "),
        APPLETS.join(" ")
    ))
}

/// The guest's root file system, packed.
fn root(work: &Path, busybox: &Path, init: &Path, drivers: &[PathBuf]) -> Result<PathBuf> {
    let root = work.join("root");
    initramfs::folders(&root)?;
    fs::create_dir_all(root.join("lib"))?;
    for (from, to) in [(busybox, "bin/busybox"), (init, "init")] {
        initramfs::program(from, &root, to)?;
    }
    drivers::install(drivers, &root)?;
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    let packed = work.join("initramfs");
    initramfs::pack(&root, &packed)?;
    Ok(packed)
}

/// Boot and save until what was saved goes on: one in a dozen was saved where QEMU 7.2 retries the
/// same instruction for ever; likely so while it writes to the console.
fn boot_and_try(program: &Path, work: &Path, kernel: &Path, initramfs: &Path) -> Result<PathBuf> {
    for attempt in 1..=3 {
        let saved = boot(program, work, kernel, initramfs)?;
        if goes_on(program, work, &saved)? {
            return Ok(saved);
        }
        eprintln!("saved where it does not go on from, time {attempt}");
    }
    bail!("none of the guests that were saved goes on")
}

fn boot(program: &Path, work: &Path, kernel: &Path, initramfs: &Path) -> Result<PathBuf> {
    let (saved, console, socket) = (
        work.join("state"),
        work.join("console"),
        work.join("monitor"),
    );
    let _ = fs::remove_file(&console);
    let mut qemu = start(
        Command::new(program)
            .arg("-kernel")
            .arg(kernel)
            .arg("-initrd")
            .arg(initramfs)
            .args(["-append", KERNEL_ARGUMENTS, "-mon", "monitor", "-chardev"])
            .arg(format!(
                "socket,id=monitor,path={},server=on,wait=off",
                socket.display()
            )),
        &console,
    )?;
    let up = is_up(&mut qemu.0, &console, Duration::from_secs(300))?;
    ensure!(
        up,
        "the guest does not come up: {}",
        fs::read_to_string(&console).unwrap_or_default()
    );
    // It has said that it is up, and sleeps.
    thread::sleep(Duration::from_millis(300));
    let mut monitor = UnixStream::connect(&socket).context("the guest's monitor")?;
    // The monitor takes the second command when the first is done.
    write!(monitor, "migrate \"exec:cat >{}\"\nquit\n", saved.display())?;
    let ended = wait_until(Duration::from_secs(60), || Ok(qemu.0.try_wait()?.is_some()))?;
    ensure!(
        ended && fs::metadata(&saved).is_ok_and(|data| data.len() > 0),
        "the guest could not be saved"
    );
    Ok(saved)
}

fn goes_on(program: &Path, work: &Path, saved: &Path) -> Result<bool> {
    let console = work.join("goes-on");
    let _ = fs::remove_file(&console);
    let mut qemu = start(
        Command::new(program)
            .args(["-monitor", "none", "-incoming"])
            .arg(format!("exec:cat '{}'", saved.display())),
        &console,
    )?;
    is_up(&mut qemu.0, &console, Duration::from_secs(20))
}

/// QEMU, which ends when this is dropped.
struct Qemu(Child);

impl Drop for Qemu {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(qemu: &mut Command, console: &Path) -> Result<Qemu> {
    qemu.args(machine::arguments())
        .arg("-serial")
        .arg(format!("file:{}", console.display()))
        .stdin(Stdio::null())
        .spawn()
        .map(Qemu)
        .with_context(|| format!("{qemu:?}"))
}

/// Whether the guest says that it is up before its machine ends.
fn is_up(qemu: &mut Child, console: &Path, patience: Duration) -> Result<bool> {
    let mut up = false;
    wait_until(patience, || {
        let said = fs::read_to_string(console).unwrap_or_default();
        up = said.lines().any(|line| line.starts_with("guest: up"));
        Ok(up || qemu.try_wait()?.is_some())
    })?;
    Ok(up)
}
