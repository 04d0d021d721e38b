// SPDX-License-Identifier: GPL-2.0

//! `vfio-pci-audit observe` on kernels of Debian's as they are. No kernel is built.

use anyhow::Result;
use clap::{Args, ValueEnum};
use lab::paths::Paths;
use lab::progress::{self, Step};
use lab::vm;

use crate::cli::e2e::{self, On};
use crate::cli::prepare::{self, Part, Stock};
use crate::cli::show::this;

/// Whose kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Kernel {
    /// Debian 12's, 6.1
    Bookworm,
    /// Debian 13's, 6.12
    Trixie,
    /// 7.3, with the module beside, as a livepatch, to compare with
    Stock,
}

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Whose (default: all)
    kernels: Vec<Kernel>,
    /// Run only scenarios whose name contains this; may be given several times
    #[arg(long, value_name = "PATTERN", default_value = "observe/")]
    only: Vec<String>,
    /// Do not build the scenarios and what they run
    #[arg(long)]
    no_build: bool,
}

/// A kernel of a suite's.
fn fetch(paths: &Paths, suite: &str) -> Result<Stock> {
    progress::run(paths, &[prepare::image(suite)])?;
    Stock::of_suite(paths, suite)
}

impl Stock {
    fn options(&self, name: &str, timeout: u64) -> vm::Options {
        vm::Options {
            name: Some(name.to_owned()),
            kernel: Some(self.kernel.clone()),
            timeout,
            ..vm::Options::default()
        }
    }

    fn variable(&self) -> String {
        format!("STOCK={}", self.folder.display())
    }
}

/// Run its scenarios on each kernel; whether none failed.
pub(crate) fn test(paths: &Paths, arguments: &Arguments) -> Result<bool> {
    let kernels = match arguments.kernels.as_slice() {
        [] => Kernel::value_variants(),
        kernels => kernels,
    };
    if !arguments.no_build {
        progress::run(paths, &prepare::steps(paths, &[Part::Tools]))?;
    }
    let mut good = true;
    for &kernel in kernels {
        let suite = match kernel {
            Kernel::Bookworm => "bookworm",
            Kernel::Trixie => "trixie",
            Kernel::Stock => {
                let mut arguments = e2e::Arguments::only(On::Stock, arguments.only.clone());
                arguments.no_build = true;
                good &= e2e::run(paths, &arguments)? == 0;
                continue;
            }
        };
        let fetched = fetch(paths, suite)?;
        let options = fetched.options(&format!("observe-{suite}"), 900);
        let mut command = vec!["env".to_owned(), "PLAIN=1".to_owned(), fetched.variable()];
        command.push(paths.tool("e2e").display().to_string());
        for pattern in &arguments.only {
            command.extend(["--only".to_owned(), pattern.clone()]);
        }
        good &= options.run(paths, &command)? == 0;
    }
    Ok(good)
}

/// Show it in the kernel of Debian 13, in which nothing of ours is loaded.
pub(crate) fn show(paths: &Paths) -> Result<u8> {
    let setup = ["scripts/setup.sh", "vm"];
    let setup = Step::new("setup", "installing what is missing", &setup);
    progress::run(paths, &[setup])?;
    // It waits for the network while the processors build.
    let tools = prepare::cargo(
        "run-observe-tools",
        "building the tool and a VFIO client",
        &["build", "-p", "vfio-client", "-p", "vfio-pci-audit"],
    );
    progress::run_beside(paths, &[tools], &[prepare::image("trixie")])?;
    let fetched = Stock::of_suite(paths, "trixie")?;
    let mut command = vec!["env".to_owned(), fetched.variable()];
    command.extend(this(paths, &["demo-observe"]));
    Ok(fetched.options("run-observe", 600).run(paths, &command)?)
}
