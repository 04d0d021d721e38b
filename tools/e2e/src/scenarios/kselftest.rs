// SPDX-License-Identifier: GPL-2.0

//! The test that the series adds to the kernel's selftests.

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
];

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
    // A skipped test has not passed.
    let passed = said.lines().filter(|line| line.starts_with("ok ")).count();
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
