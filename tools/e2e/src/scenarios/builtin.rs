// SPDX-License-Identifier: GPL-2.0

//! VFIO and the policy built into the kernel image, with parameters on the kernel's command line.

use anyhow::{bail, ensure, Result};
use vfio_client::Device;

use super::{expect_verdict, Scenario, Verdict, PASSED};
use crate::kernel;
use crate::lab::{Lab, Skip};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "builtin/command-line",
        "parameters on the kernel's command line are in force until they are changed",
        command_line,
    ),
    Scenario::new(
        "builtin/run-time",
        "they are changed at run time as a module's are",
        run_time,
    ),
];

fn built_in(lab: &Lab) -> Result<()> {
    if !lab.modules.built_in() {
        bail!(Skip(
            "VFIO is a module; make test runs this on the kernel that has it built in".into()
        ));
    }
    Ok(())
}

/// The value of a parameter on the command line, `1` for a flag without a value.
fn given(name: &str) -> Result<Option<String>> {
    let line = std::fs::read_to_string("/proc/cmdline")?;
    Ok(line.split_ascii_whitespace().find_map(|word| {
        let rest = word.strip_prefix("vfio_pci_audit.")?.strip_prefix(name)?;
        match rest.strip_prefix('=') {
            Some(value) => Some(value.to_owned()),
            None => rest.is_empty().then(|| "1".to_owned()),
        }
    }))
}

fn command_line(lab: &mut Lab) -> Result<()> {
    built_in(lab)?;
    for (name, shown) in [
        (kernel::BLOCK_WRITE, "Y"),
        (kernel::ALLOW_IDS, "10de:1eb8,8086:10d3"),
    ] {
        ensure!(given(name)?.is_some(), "{name} is not on the command line");
        let value = &lab.at_start[name];
        ensure!(
            value == shown,
            "{name} was {value:?} at first, not {shown:?}"
        );
    }
    let value = &lab.at_start[kernel::BLOCK_READ];
    ensure!(
        value == "N",
        "{} was {value:?} at first",
        kernel::BLOCK_READ
    );
    Ok(())
}

fn run_time(lab: &mut Lab) -> Result<()> {
    built_in(lab)?;
    let device = Device::open(lab.express()?)?;
    expect_verdict(lab, &device, PASSED)?;
    lab.block(false, true)?;
    expect_verdict(
        lab,
        &device,
        Verdict {
            read: true,
            write: false,
        },
    )?;
    lab.allow("8086:10d3")?;
    expect_verdict(lab, &device, PASSED)
}
