// SPDX-License-Identifier: GPL-2.0

//! In the virtual machine: runs the command, with its output on ports of its own.
//!
//! virtme-ng's own ports need udev, which a small host has not. The command's output goes through
//! pipes, since a port cannot be opened twice, as /dev/stderr would be.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, ChildStdout, Command, Stdio};
use std::thread;

use anyhow::{Context, Result};
use rustix::process::{getppid, kill_process, Pid, Signal};
use serde::{Deserialize, Serialize};

use crate::paths::Paths;

/// The ports for standard output and error.
pub(super) const OUT: &str = "vm.out";
pub(super) const ERR: &str = "vm.err";
/// How many ports a controller has room for: two for these, and one that is kept for a console.
pub(super) const PORTS: usize = 1 + [OUT, ERR].len();

/// What is to be run, and where.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Job {
    command: Vec<String>,
    top: PathBuf,
    build: PathBuf,
}

impl Job {
    pub(super) fn new(paths: &Paths, command: &[String]) -> Result<Self> {
        Ok(Self {
            command: command.to_vec(),
            top: paths.top.clone(),
            build: paths.build.clone(),
        })
    }

    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        fs::write(folder.join("job"), serde_json::to_vec(self)?).context("the VM's job")
    }
}

/// The command line, for the shell in the machine, that runs the job in `folder`.
pub(super) fn words(paths: &Paths, folder: &Path) -> String {
    format!(
        "'{}' inside '{}'",
        paths.tool("lab").display(),
        folder.display()
    )
}

/// What QEMU is told of a port.
pub(super) fn port(name: &str, fifo: &Path) -> Vec<String> {
    let id = name.replace('.', "");
    let mut words = Vec::new();
    if name == OUT {
        words.push("-device virtio-serial-pci,id=vm".to_owned());
    }
    words.push(format!("-chardev file,id={id},path={}", fifo.display()));
    words.push(format!(
        "-device virtserialport,bus=vm.0,name={name},chardev={id}"
    ));
    words
}

/// The command's exit code, if it came to its end.
pub(super) fn exit_code(folder: &Path) -> Option<u8> {
    fs::read_to_string(folder.join("code"))
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// Do the job of `folder`.
pub fn run(folder: &Path) -> Result<()> {
    let job: Job = serde_json::from_slice(&fs::read(folder.join("job"))?)?;
    for (number, name) in ["stdin", "stdout", "stderr"].iter().enumerate() {
        let link = Path::new("/dev").join(name);
        let _ = fs::remove_file(&link);
        symlink(format!("/proc/self/fd/{number}"), &link)
            .with_context(|| link.display().to_string())?;
    }
    let (out, err) = (open_port(OUT)?, open_port(ERR)?);
    let mut child = Command::new(&job.command[0])
        .args(&job.command[1..])
        .current_dir(&job.top)
        .env("HOME", "/root")
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .env("TOP", &job.top)
        .env("BUILD", &job.build)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| job.command[0].clone())?;
    let from: (Option<ChildStdout>, Option<ChildStderr>) =
        (child.stdout.take(), child.stderr.take());
    let copies = [
        from.0.map(|from| thread::spawn(|| copy(from, out))),
        from.1.map(|from| thread::spawn(|| copy(from, err))),
    ];
    let status = child.wait()?;
    let code = status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    fs::write(folder.join("code"), code.to_string())?;
    kill_leftovers()?;
    for copy in copies.into_iter().flatten() {
        let _ = copy.join();
    }
    Ok(())
}

fn open_port(name: &str) -> Result<File> {
    for entry in fs::read_dir("/sys/class/virtio-ports").context("virtio ports")? {
        let entry = entry?;
        let port = fs::read_to_string(entry.path().join("name")).unwrap_or_default();
        if port.trim() == name {
            let device = Path::new("/dev").join(entry.file_name());
            return File::options()
                .write(true)
                .open(&device)
                .with_context(|| device.display().to_string());
        }
    }
    anyhow::bail!("the VM has no port {name}")
}

fn copy(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut buffer = [0; 8192];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            count => to.write_all(&buffer[..count])?,
        }
    }
}

/// Kill what the command left running, for its pipes to end. The kernel's own threads do not mind.
fn kill_leftovers() -> Result<()> {
    let parent = getppid().map_or(1, |pid| pid.as_raw_nonzero().get());
    let spared = [1, parent, std::process::id() as i32];
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        if let (false, Some(pid)) = (spared.contains(&number), Pid::from_raw(number)) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    Ok(())
}
