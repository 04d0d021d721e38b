// SPDX-License-Identifier: GPL-2.0

//! DPDK's testpmd, a driver in user space, with both toggles Y.

use std::fs::{self, File};
use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{bail, ensure, Context, Result};

use super::Scenario;
use crate::audit::wait_until;
use crate::lab::{Lab, Skip};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario::new(
    "dpdk/testpmd",
    "DPDK's driver of an e1000e sends with both toggles Y, and nothing of it is blocked",
    testpmd,
)
.long()];

/// Where what it says goes.
const OUTPUT: &str = "/run/testpmd";

/// How long it sends.
const SENDING: Duration = Duration::from_secs(5);

/// How long it may take to begin, and to end.
const PATIENCE: Duration = Duration::from_secs(180);

fn testpmd(lab: &mut Lab) -> Result<()> {
    let folder = lab.build.join("dpdk/usr");
    let program = folder.join("bin/dpdk-testpmd");
    if !program.exists() {
        bail!(Skip(
            "DPDK was not fetched: `scripts/lab.sh build dpdk` does".into()
        ));
    }
    let bdf = lab.express()?;
    lab.block(true, true)?;

    let libraries = folder.join("lib/x86_64-linux-gnu");
    let drivers = fs::read_dir(libraries.join("dpdk"))?
        .next()
        .context("DPDK has no drivers")??;
    let output = File::create(OUTPUT).context(OUTPUT)?;
    let mut child = Command::new(&program)
        .env("LD_LIBRARY_PATH", &libraries)
        .arg("-d")
        .arg(drivers.path())
        // This machine has no huge pages.
        .args([
            "-l",
            "0,1",
            "--no-huge",
            "-m",
            "256",
            "--iova-mode=va",
            "--no-shconf",
        ])
        .args([
            "-a",
            &bdf.to_string(),
            "--",
            "--forward-mode=txonly",
            "--auto-start",
        ])
        .args(["--total-num-mbufs=4096", "--no-mlockall"])
        .stdin(Stdio::piped())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .with_context(|| program.display().to_string())?;
    let mut input = child.stdin.take().context("testpmd without input")?;
    let said = || {
        let text = fs::read(OUTPUT).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    };
    let begun = wait_until(PATIENCE, || {
        Ok(said().contains("Press enter to exit") || child.try_wait()?.is_some())
    })?;
    thread::sleep(SENDING);
    // It may have ended by itself, which its output explains.
    let _ = input.write_all(b"\n");
    drop(input);
    let ended = wait_until(PATIENCE, || Ok(child.try_wait()?.is_some()))?;
    let _ = child.kill();
    let status = child.wait()?;
    let said = said();
    ensure!(
        begun && ended && status.success(),
        "it ended with {status}: {said}"
    );
    let sent = said
        .lines()
        .filter_map(|line| line.trim().strip_prefix("TX-packets: "))
        .filter_map(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .max()
        .unwrap_or(0);
    ensure!(sent > 0, "it sent nothing: {said}");
    let records = lab.records_of(bdf)?;
    let blocked = records.iter().find(|record| record.is_access());
    ensure!(blocked.is_none(), "it accesses {blocked:?}");
    lab.note(format!("{bdf}: {sent} packets sent"));
    Ok(())
}
