// SPDX-License-Identifier: GPL-2.0

//! In the VM: shows what `vfio-pci-audit observe` sees on a kernel as it is, on an emulated e1000e.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{ensure, Context, Result};
use lab::command;
use lab::kernel;
use lab::modules::{release, Load, Modules};
use lab::paths::Paths;
use lab::wait_until;
use rustix::process::{kill_process, Pid, Signal};

use crate::cli::demo::{DEVICE, OFFSET_TEXT};

/// Where the records go, and what the observer says.
const LOG: &str = "/run/observe.log";
const SAID: &str = "/run/observe.said";

/// Show it.
pub(crate) fn run(paths: &Paths) -> Result<()> {
    Modules::find(paths).load(&Load::words(["vfio-pci", "vfio_iommu_type1"]))?;
    kernel::bind(DEVICE.parse()?)?;
    let ours = fs::read_to_string("/proc/modules")?;
    let ours = ours.lines().filter(|line| line.contains("pci_audit"));
    println!(
        "This is Linux {}, as Debian built it. Modules of ours: {}.\n\
         Device {DEVICE}, an emulated e1000e, is bound to vfio-pci.\n\
         Byte {OFFSET_TEXT} of its configuration space is in no capability.",
        release(),
        ours.count()
    );
    let client =
        |words: &[&str]| command::stdout(Command::new(paths.tool("vfio-client")).args(words));
    let tool =
        |words: &[&str]| command::stdout(Command::new(paths.tool("vfio-pci-audit")).args(words));

    title(&format!("vfio-pci-audit observe --log {LOG} &"));
    let mut observer = start(paths)?;
    show(&fs::read_to_string(SAID)?);
    title("a client reads and writes that byte");
    show(&client(&["read", DEVICE, OFFSET_TEXT, "1"])?);
    client(&["write", DEVICE, OFFSET_TEXT, "ff"])?;
    title("a client reads all of it, as QEMU does when it starts");
    show(&client(&["read", DEVICE, "0", "16"])?);
    client(&["read", DEVICE, "0", "0x1000"])?;
    title("a client makes 2000 random accesses");
    client(&["stream", DEVICE, "--count", "2000", "--unassigned-only"])?;

    let pid = Pid::from_raw(observer.id() as i32).context("an observer without a number")?;
    kill_process(pid, Signal::TERM)?;
    let status = observer.wait()?;
    ensure!(status.success(), "the observer ended with {status}");
    title("it is told to stop");
    let said = fs::read_to_string(SAID)?;
    show(&said.lines().skip(1).collect::<Vec<_>>().join("\n"));
    title("the log: at the start, and at the end");
    show(&both_ends(&fs::read_to_string(LOG)?, 8, 6));
    for verb in ["report", "advise"] {
        title(&format!("vfio-pci-audit {verb} {LOG}"));
        show(&tool(&[verb, LOG])?);
    }
    Ok(())
}

/// An observer that sees what is done from now on.
fn start(paths: &Paths) -> Result<Child> {
    let mut observer = Command::new(paths.tool("vfio-pci-audit"))
        .args(["observe", "--log", LOG])
        .stderr(File::create(SAID)?)
        .spawn()
        .context("vfio-pci-audit")?;
    let said = || fs::read_to_string(Path::new(SAID)).unwrap_or_default();
    let ready = wait_until(Duration::from_secs(60), || {
        if let Some(status) = observer.try_wait()? {
            anyhow::bail!("the observer ended with {status}: {}", said());
        }
        Ok(said().contains("observing by"))
    })?;
    ensure!(ready, "the observer does not begin: {}", said());
    Ok(observer)
}

fn title(text: &str) {
    println!("\n* {text}");
}

fn show(text: &str) {
    for line in text.lines() {
        println!("    {line}");
    }
}

/// The first and the last lines.
fn both_ends(text: &str, first: usize, last: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    if lines.len() <= first + last {
        return lines.join("\n");
    }
    let (begin, end) = (&lines[..first], &lines[lines.len() - last..]);
    [begin, &["..."][..], end].concat().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_a_log() {
        assert_eq!(both_ends("1\n2\n3\n4\n", 1, 1), "1\n...\n4");
        assert_eq!(both_ends("1\n2\n", 1, 1), "1\n2");
    }
}
