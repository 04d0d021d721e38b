// SPDX-License-Identifier: GPL-2.0

//! The kernel's selftests of VFIO: the one that the series adds, and those that were there.

use std::process::Command;

use anyhow::{bail, ensure, Result};

use super::Scenario;
use crate::command;
use crate::lab::{Lab, Skip};

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

fn passes(lab: &mut Lab, express: bool) -> Result<()> {
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
    let bdf = if express {
        lab.express()?
    } else {
        lab.conventional()?
    };
    let output = command::output(Command::new(test).env("VFIO_SELFTESTS_BDF", bdf.to_string()))?;
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
