// SPDX-License-Identifier: GPL-2.0

//! Runs the KUnit suites of both modules in QEMU, on the kernel that has them built in; the
//! kernel's own kunit.py reads what they print.

use std::fs::File;
use std::process::{Command, Stdio};

use anyhow::{ensure, Context, Result};
use lab::paths::{given, Paths};
use lab::progress;

/// What the kernel is told. It does not try its timer: while the host is busy, an emulated one may
/// miss the moment. After a panic it ends at once.
const KERNEL_ARGUMENTS: &str = "console=ttyS0 audit=1 no_timer_check panic=-1 kunit.enable=1 \
    kunit.filter_glob=*pci_audit* kunit_shutdown=reboot";

/// Run them; whether all pass.
pub(crate) fn run(paths: &Paths) -> Result<bool> {
    let kernel = paths.image("y");
    ensure!(
        kernel.exists(),
        "no kernel in build/linux/y: run make kunit"
    );
    let log = paths.log("kunit");
    let output = File::create(&log).with_context(|| log.display().to_string())?;
    // kunit.py's way to start QEMU takes /dev/kvm wherever there is one, usable or not.
    let accelerator = given("ACCEL").unwrap_or_else(|| "tcg".into());
    let status = Command::new("timeout")
        .args(["300", "qemu-system-x86_64", "-accel"])
        .arg(accelerator)
        .args(["-cpu", "max", "-m", "1024", "-nodefaults", "-nographic"])
        .args(["-no-reboot", "-serial", "stdio", "-kernel"])
        .arg(kernel)
        .args(["-append", KERNEL_ARGUMENTS])
        .stdin(Stdio::null())
        .stdout(output)
        .status()
        .context("QEMU")?;
    ensure!(
        status.success(),
        "QEMU ended with {status}, see {}",
        paths.show(&log)
    );
    let kunit = paths.kernel_tree().join("tools/testing/kunit/kunit.py");
    let words = ["python3", &kunit.display().to_string(), "parse"].map(str::to_owned);
    let status = progress::command(paths, &words).arg(&log).status()?;
    Ok(status.success())
}
