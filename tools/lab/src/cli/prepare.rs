// SPDX-License-Identifier: GPL-2.0

//! What is built before anything runs: each part a step, which does nothing when it is up to date.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;
use lab::paths::Paths;
use lab::progress::{self, Step};
use lab::shell;

/// Something to build.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Part {
    /// Debian packages and tools for everything in the VM, and for kernels
    Setup,
    /// The same for a kernel of Debian's as it is
    SetupStock,
    /// Audit userspace with our patches
    Audit,
    /// Audit userspace without our patches
    UnpatchedAudit,
    /// The programs that the demonstration needs
    Client,
    /// All programs of the host
    Tools,
    /// The same, and the tests of everything
    Tests,
    /// The programs, optimised
    Optimised,
    /// The kernel with VFIO as modules
    M,
    /// The kernel with everything built in, and KUnit
    Y,
    /// The kernel without VFIO
    Novfio,
    /// The kernel that looks for mistakes
    Debug,
    /// The same with VFIO as it is, and a livepatch for it
    DebugStock,
    /// A QEMU with iommufd for the guest, where the system has none
    Qemu,
    /// DPDK, for a long scenario
    Dpdk,
    /// The guest that runs inside the VM
    Guest,
    /// What tests load and run besides: modules without our patches, a variant driver, a kselftest
    Unpatched,
}

/// A step that has the distribution's cargo do something.
pub(crate) fn cargo(name: &str, what: &str, arguments: &[&str]) -> Step {
    let mut step = Step::new(name, what, arguments);
    step.command.splice(..0, shell::words("host_cargo"));
    step
}

/// The step that makes the inner guest for a kernel.
pub(crate) fn guest(paths: &Paths, kernel: &Path) -> Step {
    let program = paths.tool("lab").display().to_string();
    let kernel = kernel.display().to_string();
    Step::new(
        "guest",
        "booting the guest that goes on inside the VM",
        &[&program, "guest-image", &kernel],
    )
}

impl Part {
    fn steps(self, paths: &Paths) -> Vec<Step> {
        let kernel = |kind: &str, what: &str| {
            vec![Step::new(
                &format!("kernel-{kind}"),
                &format!("building the kernel {what}"),
                &["scripts/build-kernel.sh", kind],
            )]
        };
        match self {
            Self::Setup => vec![Step::new(
                "setup",
                "installing what is missing",
                &["scripts/setup.sh", "vm", "kernel"],
            )],
            Self::SetupStock => vec![Step::new(
                "setup",
                "installing what is missing",
                &["scripts/setup.sh", "stock", "vm"],
            )],
            Self::UnpatchedAudit => vec![Step::new(
                "audit-unpatched",
                "building audit userspace without the patches",
                &["scripts/build-audit.sh", "--unpatched"],
            )],
            Self::Audit => vec![Step::new(
                "audit",
                "building audit userspace with the patches",
                &["scripts/build-audit.sh"],
            )],
            Self::Client => vec![cargo(
                "client",
                "building the VFIO client",
                &["build", "-p", "lab", "-p", "vfio-client"],
            )],
            Self::Tools => vec![cargo("tools", "building the host's tools", &["build"])],
            // In one go: for less, cargo chooses fewer features of what they depend on, and
            // compiles that anew for the tests.
            Self::Tests => vec![cargo(
                "tools",
                "building the host's tools and their tests",
                &[
                    "build",
                    "--workspace",
                    "--lib",
                    "--bins",
                    "--examples",
                    "--tests",
                ],
            )],
            Self::Optimised => vec![cargo(
                "optimised",
                "building the host's tools, optimised",
                &["build", "--release"],
            )],
            Self::M => kernel(
                "m",
                "with VFIO as modules (10 minutes on two cores the first time)",
            ),
            Self::Y => kernel("y", "with VFIO and KUnit built in"),
            Self::Novfio => kernel("novfio", "without VFIO"),
            Self::Debug => kernel(
                "debug",
                "that looks for mistakes (20 minutes on two cores the first time)",
            ),
            Self::DebugStock => vec![Step::new(
                "kernel-debug-stock",
                "building the same with VFIO as it is, and the livepatch for it",
                &["scripts/build-debug-stock.sh"],
            )],
            Self::Qemu => vec![Step::new(
                "qemu",
                "looking for a QEMU with iommufd",
                &["scripts/fetch-qemu.sh"],
            )],
            Self::Dpdk => vec![Step::new(
                "dpdk",
                "fetching DPDK",
                &["scripts/fetch-dpdk.sh"],
            )],
            Self::Guest => vec![guest(paths, &paths.image("m"))],
            Self::Unpatched => vec![
                Step::new(
                    "unpatched",
                    "building vfio-pci-core to compare with",
                    &["scripts/build-unpatched.sh"],
                ),
                Step::new(
                    "variant",
                    "building the variant driver of the tests",
                    &["scripts/build-module.sh", "variant"],
                ),
                Step::new(
                    "faults",
                    "building the modules that have functions fail",
                    &["scripts/build-faults.sh"],
                ),
                Step::new(
                    "selftest",
                    "building the selftests of VFIO",
                    &["scripts/build-selftest.sh"],
                ),
            ],
        }
    }
}

/// The steps of several parts.
pub(crate) fn steps(paths: &Paths, parts: &[Part]) -> Vec<Step> {
    parts.iter().flat_map(|part| part.steps(paths)).collect()
}

/// Build parts, one after the other.
pub(crate) fn run(paths: &Paths, parts: &[Part]) -> Result<()> {
    progress::run(paths, &steps(paths, parts))
}

/// Where a kernel of Debian's and the modules for it are, and its image.
pub(crate) struct Stock {
    /// The folder that build-stock.sh made.
    pub(crate) folder: PathBuf,
    /// The kernel.
    pub(crate) kernel: PathBuf,
}

/// The step that makes them; [`Stock::find`] looks for them then.
pub(crate) fn stock() -> Step {
    Step::new(
        "stock",
        "building the modules for a kernel of Debian's (8 minutes the first time)",
        &[
            "sh",
            "-c",
            "scripts/build-stock.sh --image >\"$BUILD/stock.path\"",
        ],
    )
}

/// The step that fetches the kernel of a suite of Debian's; [`Stock::of_suite`] looks for it then.
pub(crate) fn image(suite: &str) -> Step {
    Step::new(
        &format!("image-{suite}"),
        &format!("fetching Debian's kernel of {suite}"),
        &["scripts/fetch-image.sh", suite],
    )
}

impl Stock {
    /// Where [`stock`] has put them.
    pub(crate) fn find(paths: &Paths) -> Result<Self> {
        let note = paths.build.join("stock.path");
        let folder = std::fs::read_to_string(&note).with_context(|| note.display().to_string())?;
        Self::in_folder(PathBuf::from(folder.trim()))
    }

    /// Where [`image`] has put a kernel, with no modules of ours.
    pub(crate) fn of_suite(paths: &Paths, suite: &str) -> Result<Self> {
        Self::in_folder(paths.build.join(format!("stock/{suite}-kernel")))
    }

    fn in_folder(folder: PathBuf) -> Result<Self> {
        let modules = folder.join("image/lib/modules");
        let release = std::fs::read_dir(&modules)
            .with_context(|| modules.display().to_string())?
            .next()
            .context("the stock kernel has no modules")??;
        Ok(Self {
            kernel: release.path().join("vmlinuz"),
            folder,
        })
    }
}
