// SPDX-License-Identifier: GPL-2.0

//! What a driver that calls the service has of it in a kernel without `CONFIG_PCI_AUDIT`.

use std::fs;
use std::path::Path;

use anyhow::{ensure, Result};
use lab::command;
use lab::paths::Paths;
use lab::shell;

/// A driver that uses all of the service.
const DRIVER: &str = "\
#include <linux/pci_audit.h>
int access(struct pci_dev *pdev)
{
	return pci_audit_access(pdev, PCI_AUDIT_WRITE, 0x40, 4, 1, 0);
}
int load(struct notifier_block *nb)
{
	return pci_audit_register_trace_notifier(nb);
}
void unload(struct notifier_block *nb)
{
	pci_audit_unregister_trace_notifier(nb);
}
";

/// The types that the header takes from others of the kernel's.
const TYPES: &str = "typedef unsigned int u32, gfp_t;
typedef unsigned long size_t;
typedef _Bool bool;
";

const FUNCTIONS: [&str; 3] = [
    "pci_audit_access",
    "pci_audit_register_trace_notifier",
    "pci_audit_unregister_trace_notifier",
];

/// Check that the driver calls nothing without the option, and the module with it.
pub(super) fn compiles_to_nothing(paths: &Paths, work: &Path) -> Result<()> {
    let include = work.join("include");
    for folder in ["linux", "generated"] {
        fs::create_dir_all(include.join(folder))?;
    }
    fs::write(work.join("driver.c"), DRIVER)?;
    fs::write(include.join("linux/types.h"), TYPES)?;
    fs::write(include.join("linux/gfp_types.h"), "")?;
    fs::write(include.join("generated/autoconf.h"), "")?;
    let kconfig = "include/linux/kconfig.h";
    fs::copy(paths.kernel_tree().join(kconfig), work.join(kconfig))?;
    for (option, expected) in [(None, &[][..]), (Some("-DCONFIG_PCI_AUDIT=1"), &FUNCTIONS)] {
        let called = called(paths, work, option)?;
        ensure!(
            called == expected,
            "{option:?}: it calls {called:?}, and not {expected:?}"
        );
    }
    Ok(())
}

/// The functions that the driver needs from elsewhere.
fn called(paths: &Paths, work: &Path, option: Option<&str>) -> Result<Vec<String>> {
    let object = work.join("driver.o");
    let mut clang = shell::in_toolchain(paths, "clang");
    clang
        .args(["-std=gnu11", "-Wall", "-Werror", "-O2", "-c", "-I"])
        .arg(work.join("include"))
        .arg("-I")
        .arg(paths.top.join("src/include"))
        .args(option)
        .arg("-o")
        .arg(&object)
        .arg(work.join("driver.c"));
    command::stdout(&mut clang)?;
    let mut nm = shell::in_toolchain(paths, "llvm-nm");
    nm.args(["--undefined-only", "--format=just-symbols"])
        .arg(object);
    Ok(command::stdout(&mut nm)?
        .lines()
        .map(str::to_owned)
        .collect())
}
