// SPDX-License-Identifier: GPL-2.0

//! The kernel's selftests of VFIO: the one that the series adds, and those that were there.

use std::process::{Command, Output};

use anyhow::{bail, ensure, Result};
use vfio_client::Bdf;

use super::Scenario;
use crate::lab::{Lab, Skip};
use crate::{command, kernel};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "kselftest/express",
        "the kselftest of the series passes on a PCIe device",
        |lab| passes(lab, true),
    ),
    Scenario::new(
        "kselftest/conventional",
        "and on a conventional one",
        |lab| passes(lab, false),
    ),
    Scenario::new(
        "kselftest/setup-fails",
        "parameters are as before when the device cannot be opened",
        setup_fails,
    ),
    Scenario::new(
        "kselftest/blocked",
        "the kernel's own selftests of VFIO pass with both toggles Y",
        others_pass,
    )
    .long(),
];

/// The kernel's own, each with how many of its tests have to pass; all others may skip what this
/// machine has not, such as huge pages.
const OTHERS: [(&str, usize); 5] = [
    ("vfio_pci_device_test", 5),
    ("vfio_pci_device_init_perf_test", 5),
    ("vfio_iommufd_setup_test", 6),
    ("vfio_dma_mapping_mmio_test", 1),
    ("vfio_dma_mapping_test", 1),
];

fn others_pass(lab: &mut Lab) -> Result<()> {
    let bdf = lab.express()?;
    lab.block(true, true)?;
    let mut wrong = Vec::new();
    for (name, least) in OTHERS {
        let test = lab.build.join("linux/selftests/vfio").join(name);
        if !test.exists() {
            bail!(Skip(format!(
                "{name} was not built: `scripts/lab.sh build m unpatched` does"
            )));
        }
        let output =
            command::output(Command::new(test).env("VFIO_SELFTESTS_BDF", bdf.to_string()))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let passed = passed(&said);
        let failed = said.lines().any(|line| line.starts_with("not ok "));
        lab.note(format!("{name}: {passed} tests passed"));
        if failed || passed < least || !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            wrong.push(format!(
                "{name} ended with {}: {said}{errors}",
                output.status
            ));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// How many tests have passed; a skipped test has not.
fn passed(said: &str) -> usize {
    said.lines()
        .filter(|line| line.starts_with("ok ") && !line.contains("# SKIP"))
        .count()
}

/// Runs the kselftest of the series on a device.
fn run(lab: &Lab, bdf: Bdf) -> Result<Output> {
    let test = lab
        .build
        .join("linux/selftests/vfio/vfio_pci_unassigned_access_test");
    if !test.exists() {
        bail!(Skip(
            "the kselftest was not built: it takes a kernel tree, which `scripts/lab.sh build m \
             unpatched` has"
                .into()
        ));
    }
    command::output(Command::new(test).env("VFIO_SELFTESTS_BDF", bdf.to_string()))
}

fn setup_fails(lab: &mut Lab) -> Result<()> {
    const OURS: [(&str, &str); 4] = [
        (kernel::BLOCK_READ, "N"),
        (kernel::BLOCK_WRITE, "N"),
        (kernel::ALLOW_IDS, "1234:5678"),
        (kernel::RATE, "7"),
    ];

    let bdf = lab.express()?;
    for (name, value) in OURS {
        kernel::set_parameter(name, value)?;
    }
    kernel::unbind(bdf)?;
    let output = run(lab, bdf);
    lab.bind()?;
    let output = output?;
    ensure!(
        !output.status.success(),
        "it passed without a device, so that this shows nothing: {}",
        String::from_utf8_lossy(&output.stdout)
    );
    for (name, value) in OURS {
        let found = kernel::parameter(name)?;
        ensure!(found == value, "{name} was {value:?} and is {found:?}");
    }
    Ok(())
}

fn passes(lab: &mut Lab, express: bool) -> Result<()> {
    let bdf = if express {
        lab.express()?
    } else {
        lab.conventional()?
    };
    let output = run(lab, bdf)?;
    let said = String::from_utf8_lossy(&output.stdout);
    let passed = passed(&said);
    let skipped = said.lines().any(|line| line.contains("# SKIP"));
    ensure!(
        output.status.success() && passed >= 6 && !skipped,
        "it ended with {}: {said}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    lab.note(format!("{bdf}: {passed} tests passed"));
    Ok(())
}
