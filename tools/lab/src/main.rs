// SPDX-License-Identifier: GPL-2.0

//! The lab's command line.

mod cli;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};
use lab::guest::{self, Backend, Guest};
use lab::modules::{Load, Modules};
use lab::paths::Paths;
use lab::{progress, vm};
use vfio_client::Bdf;

use cli::{
    arm64, audit, audit_suite, bench, checks, coverage, demo, demo_observe, e2e, fits_check,
    kernels, kunit, observe, prepare, series, show, soak, tests,
};

#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Boot a kernel and run a command in it; the exit code is the command's, 124 if it took too
    /// long, 70 if the kernel complained
    Vm {
        #[command(flatten)]
        options: vm::Options,
        #[arg(required = true, trailing_var_arg = true)]
        command: Vec<String>,
    },
    /// Boot a VM with a device bound to vfio-pci, an audit daemon and a shell on this terminal
    Shell,
    /// Build everything and run the demonstration
    Run {
        /// On an unmodified kernel of Debian
        #[arg(long)]
        stock: bool,
    },
    /// Run all tests; the last line is "N passed, N failed"
    Test,
    /// Run the end-to-end scenarios
    E2e(e2e::Arguments),
    /// Run hours of mixed load in one VM, with exact accounts after each cycle
    Soak(soak::Arguments),
    /// Measure the cost of an access, in instructions
    Bench {
        /// Measure only the table, without the growth charts
        #[arg(long)]
        quick: bool,
    },
    /// Build the named parts that are out of date
    Build {
        /// Parts to build
        #[arg(required = true)]
        what: Vec<prepare::Part>,
    },
    /// Run checks that need no scenarios, and print KTAP
    Check {
        /// What to check
        subject: checks::Subject,
    },
    /// Run the KUnit suites of both modules, in the kernel that has them built in
    Kunit,
    /// Write the patch series for the mailing lists to build/series
    Series,
    /// Run the scenarios of `vfio-pci-audit observe`, on unmodified kernels of Debian
    Observe(observe::Arguments),
    /// Demonstrate `vfio-pci-audit observe` in the kernel of Debian 13
    RunObserve,
    /// Measure the test coverage of the files that import only core
    Coverage,
    /// Build audit userspace with our patches, into build/audit
    BuildAudit(audit::Arguments),
    /// Test audit userspace with our patches, in the stable and in the newest version
    AuditSuite,
    /// Put the sources and the C glue into a kernel tree, or bring it up to date
    Graft(kernels::Graft),
    /// Build the modules for an unmodified kernel of Debian, and print the folder
    Stock(kernels::Stock),
    /// Check whether the series and the livepatch fit a kernel, and why not
    Fits(kernels::Fits),
    /// Test that `fits` finds planted misfits in the kernel tree
    FitsCheck,
    /// Compile both modules for arm64 and s390, and run the KUnit suites and the kselftest on arm64
    Arm64,
    /// In the VM: load modules with their dependencies
    Load {
        /// MODULE or MODULE.PARAMETER=VALUE; without a module, those that VFIO needs
        words: Vec<String>,
    },
    /// In the VM: unload modules; without names, those of VFIO and of this project
    Unload {
        /// The modules
        names: Vec<String>,
    },
    /// In the VM: resume the guest, plug a device into it, and have its root access it
    Guest {
        /// The device
        device: Bdf,
        /// poke=OFFSET:VALUE:SIZE, peek=OFFSET:SIZE, driver=NAME, load=NAME, hold=MAJOR:MINOR,
        /// address=ADDRESS, ping=ADDRESS or disk=BLOCK:NUMBER
        actions: Vec<String>,
        /// Time limit of the guest
        #[arg(long, value_name = "SECONDS", default_value_t = 300)]
        timeout: u64,
        /// Pass the device by iommufd
        #[arg(long)]
        iommufd: bool,
    },
    /// In the VM: the demonstration
    #[command(hide = true)]
    Demo,
    /// In the VM: what `run-observe` shows
    #[command(hide = true)]
    DemoObserve,
    /// In the VM: what `shell` starts
    #[command(hide = true)]
    Welcome,
    /// In the VM: what `vm` starts
    #[command(hide = true)]
    Inside { folder: PathBuf },
    /// Boot the inner guest with a kernel, and save it
    #[command(hide = true)]
    GuestImage { kernel: PathBuf },
}

fn main() -> ExitCode {
    match run(Cli::parse().verb) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(
                error
                    .downcast_ref::<vm::Error>()
                    .map_or(1, vm::Error::exit_code),
            )
        }
    }
}

fn run(verb: Verb) -> Result<u8> {
    if let Verb::Inside { folder } = verb {
        vm::inside::run(&folder)?;
        return Ok(0);
    }
    let paths = Paths::find()?;
    progress::prepare(&paths)?;
    let code = |good: bool| u8::from(!good);
    match verb {
        Verb::Vm { options, command } => return Ok(options.run(&paths, &command)?),
        Verb::Shell => return show::shell(&paths),
        Verb::Run { stock: false } => return show::run(&paths),
        Verb::Run { stock: true } => return show::run_stock(&paths),
        Verb::Test => return tests::run(&paths).map(code),
        Verb::E2e(arguments) => return e2e::run(&paths, &arguments),
        Verb::Soak(arguments) => return soak::run(&paths, &arguments),
        Verb::Bench { quick } => return bench::run(&paths, quick).map(code),
        Verb::Build { what } => prepare::run(&paths, &what)?,
        Verb::Check { subject } => return checks::run(&paths, subject).map(code),
        Verb::Kunit => return kunit::run(&paths).map(code),
        Verb::Series => series::run(&paths)?,
        Verb::Observe(arguments) => return observe::test(&paths, &arguments).map(code),
        Verb::RunObserve => return observe::show(&paths),
        Verb::Coverage => return coverage::run(&paths).map(code),
        Verb::BuildAudit(arguments) => audit::run(&paths, arguments)?,
        Verb::AuditSuite => return audit_suite::run(&paths).map(code),
        Verb::Graft(arguments) => kernels::graft(&paths, &arguments)?,
        Verb::Stock(arguments) => kernels::stock(&paths, &arguments)?,
        Verb::Fits(arguments) => return kernels::fits(&paths, &arguments).map(code),
        Verb::FitsCheck => return fits_check::run(&paths).map(code),
        Verb::Arm64 => return arm64::run(&paths).map(code),
        Verb::Load { words } => Modules::find(&paths).load(&Load::words(words))?,
        Verb::Unload { names } => {
            let modules = Modules::find(&paths);
            match names.as_slice() {
                [] => modules.unload_all()?,
                names => modules.unload(&names.iter().map(String::as_str).collect::<Vec<_>>())?,
            }
        }
        Verb::Guest {
            device,
            actions,
            timeout,
            iommufd,
        } => {
            let mut guest = Guest::resume(&paths, Duration::from_secs(timeout))?;
            let backend = if iommufd {
                Backend::Iommufd
            } else {
                Backend::Container
            };
            println!("guest: {}", guest.plug(device, backend)?);
            for action in actions {
                println!("guest: {}", guest.ask(&action)?);
            }
            guest.end()?;
        }
        Verb::Demo => demo::run(&paths)?,
        Verb::DemoObserve => demo_observe::run(&paths)?,
        Verb::Welcome => show::welcome(&paths)?,
        Verb::GuestImage { kernel } => {
            guest::image::build(&paths, &kernel)?;
        }
        Verb::Inside { .. } => {}
    }
    Ok(0)
}
