// SPDX-License-Identifier: GPL-2.0

//! Runs the end-to-end scenarios against the running kernel and prints KTAP.
//!
//! Needs root. Unloads modules, rebinds devices and stops audit daemons: run it only inside the
//! virtual machine that scripts/vm.sh boots.

mod account;
mod budget;
mod collector;
mod holder;
mod insmod;
mod journald;
mod lab;
mod modules;
mod observing;
mod programs;
mod record;
mod rules;
mod scenarios;
mod seen;
mod slab;
mod virt;

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{ensure, Context, Result};
use clap::Parser;

use ::lab::paths::Paths;
use ::lab::share::Share;
use ::lab::{command, kernel, ktap, livepatch, trace};

use crate::ktap::{Ktap, Outcome};
use crate::lab::{Lab, Skip};
use crate::scenarios::Scenario;

/// The audit system.
mod audit {
    pub(crate) use ::lab::auditd::{configuration, search_in, spawn, Audit};
    pub(crate) use ::lab::wait_until;
}

#[derive(Parser)]
#[command(version, about)]
struct Cli {
    /// Print the names of the scenarios and what they show
    #[arg(long)]
    list: bool,
    /// Run only scenarios whose name contains this; may be given several times
    #[arg(long, value_name = "PATTERN")]
    only: Vec<String>,
    /// Run only a share of them, such as 1/2
    #[arg(long, value_name = "NUMBER/SHARES")]
    share: Option<Share>,
    /// Run the long scenarios as well
    #[arg(long)]
    long: bool,
    /// Where the patched audit userspace is (default: audit in the build folder)
    #[arg(long, value_name = "DIR")]
    audit: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<usize> {
    let wanted: Vec<(usize, &Scenario)> = scenarios::all()
        .enumerate()
        .filter(|(_, scenario)| cli.list || cli.long || !scenario.long)
        .filter(|(_, scenario)| {
            cli.only.is_empty() || cli.only.iter().any(|part| scenario.name.contains(part))
        })
        .collect();
    ensure!(!wanted.is_empty(), "no scenario has such a name");
    let wanted: Vec<_> = wanted
        .into_iter()
        .enumerate()
        .filter(|&(position, _)| cli.share.is_none_or(|share| share.has(position)))
        .map(|(_, scenario)| scenario)
        .collect();
    ensure!(
        !wanted.is_empty(),
        "there are fewer scenarios than shares: none is left for this one"
    );
    if cli.list {
        for (_, scenario) in wanted {
            let long = if scenario.long { " (long)" } else { "" };
            println!("{:32} {}{long}", scenario.name, scenario.shows);
        }
        return Ok(0);
    }

    ensure!(
        in_the_vm() || std::env::var_os("E2E_HERE").is_some(),
        "this takes a machine apart: run it in the VM (scripts/lab.sh e2e), or with E2E_HERE=1 if \
         you mean it"
    );
    let paths = Paths::find()?;
    let prefix = cli.audit.clone().unwrap_or_else(|| paths.audit());
    ensure!(
        prefix.join("sbin/ausearch").exists(),
        "no audit userspace in {}",
        prefix.display()
    );
    if in_the_vm() {
        programs::into_memory(&paths, &prefix)?;
    }
    let mut lab = Lab::new(&paths, &prefix)?;
    let mut ktap = Ktap::new(io::stdout(), wanted.len())?;
    for (number, scenario) in wanted {
        // Some real hosts have audit rules and some have none: every second scenario of the full
        // list runs with rules.
        let rules = scenario.rules.unwrap_or(number % 2 == 0);
        one(scenario, rules, &mut lab, &mut ktap)?;
    }
    Ok(ktap.failed())
}

/// virtme-ng, which scripts/vm.sh uses, adds its options to the kernel's command line.
fn in_the_vm() -> bool {
    std::fs::read_to_string("/proc/cmdline").is_ok_and(|line| line.contains("virtme"))
}

fn one(scenario: &Scenario, rules: bool, lab: &mut Lab, ktap: &mut Ktap<io::Stdout>) -> Result<()> {
    let started = Instant::now();
    let result = panic::catch_unwind(AssertUnwindSafe(|| {
        lab.reset(scenario.name, rules)
            .context("bringing the machine to its first state")?;
        (scenario.run)(lab)
    }));
    for note in lab.notes() {
        ktap.diagnose(&note)?;
    }
    let outcome = match result {
        Ok(Ok(())) => Outcome::Passed,
        Ok(Err(error)) => match error.downcast_ref::<Skip>() {
            Some(Skip(why)) => Outcome::Skipped(why.clone()),
            None => {
                ktap.diagnose(&format!("{error:#}"))?;
                Outcome::Failed
            }
        },
        // The panic message is on standard error already.
        Err(_) => Outcome::Failed,
    };
    if outcome == Outcome::Failed {
        match lab.keep_log(scenario.name) {
            Ok(file) => ktap.diagnose(&format!("its audit log: {}", file.display()))?,
            Err(error) => ktap.diagnose(&format!("its audit log is gone: {error:#}"))?,
        }
    }
    ktap.diagnose(&format!("{:.1} s", started.elapsed().as_secs_f64()))?;
    ktap.result(scenario.name, &outcome)?;
    Ok(())
}
