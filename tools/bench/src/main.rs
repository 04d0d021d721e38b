// SPDX-License-Identifier: GPL-2.0

//! Counts the instructions of system calls on configuration space, and checks them against targets.
//!
//! - `counter`: counts one system call; `sample`: summarises many counts.
//! - `cell`: the accesses, columns of the table; `matrix`: its rows; `growth`: the charts.
//! - `crowd`: one more session when there are a thousand.
//! - `lab`: the machine that is measured on.
//! - `observe`: the cost of `vfio-pci-audit observe`.
//! - `memory`: the memory that a session takes.
//! - `result`: the measured figures; `checks` compares them with targets, `table` and `chart` print
//!   them.

mod cell;
mod chart;
mod checks;
mod counter;
mod crowd;
mod growth;
mod lab;
mod matrix;
mod memory;
mod observe;
mod result;
mod sample;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use ::lab::paths::Paths;
use ::lab::{kernel, trace};
use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use serde::de::DeserializeOwned;
use serde::Serialize;
use vfio_client::{Bdf, Device};

use crate::lab::Lab;
use crate::observe::Observed;
use crate::result::{Results, Stock};

#[derive(Parser)]
#[command(about)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// In the VM: measure everything; with STOCK= in the environment, what there is to measure on a
    /// stock kernel.
    Measure {
        /// The device to measure on.
        #[arg(long, default_value = "0000:01:00.0")]
        device: Bdf,
        /// How often to measure the table anew.
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// Only the table, not how things grow.
        #[arg(long)]
        quick: bool,
        /// Where to put the results.
        output: PathBuf,
        /// Set by itself, for the process that measures.
        #[arg(long, hide = true)]
        inside: bool,
    },
    /// Count each kind of access with modules and parameters as they are.
    Count {
        /// The device.
        device: Bdf,
    },
    /// In the VM, on a kernel as it is: count accesses with and without `vfio-pci-audit observe`.
    Observe {
        /// The device.
        #[arg(long, default_value = "0000:01:00.0")]
        device: Bdf,
        /// Where to put the results.
        output: PathBuf,
    },
    /// Make each kind of access once between two marks, for a plugin of QEMU's.
    Mark {
        /// The device.
        device: Bdf,
    },
    /// Judge and show results. Fails if a target is missed.
    Report {
        /// What `measure` wrote.
        results: PathBuf,
        /// What `measure` wrote on a stock kernel.
        #[arg(long)]
        stock: Option<PathBuf>,
        /// What `observe` wrote.
        #[arg(long)]
        observed: Option<PathBuf>,
        /// Where to put tables and charts.
        folder: PathBuf,
    },
}

/// Measures in a process that audit does not trace and that has priority: processes that it wakes,
/// such as the daemon, run when it sleeps.
fn measure_in_child(lab: &Lab) -> Result<ExitCode> {
    lab.enable_audit(false)?;
    lab.spare_tasks()?;
    let status = Command::new("chrt")
        .args(["--reset-on-fork", "--fifo", "50"])
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .arg("--inside")
        .status()
        .context("chrt")?;
    Ok(ExitCode::from(u8::from(!status.success())))
}

fn release() -> Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/osrelease")?
        .trim()
        .to_owned())
}

fn measure(lab: &Lab, rounds: usize, quick: bool) -> Result<Results> {
    let session_bytes = memory::session_bytes(lab)?;
    let (rows, yardstick) = matrix::measure(lab, rounds)?;

    Ok(Results {
        kernel: release()?,
        rounds,
        rows,
        yardstick,
        growth: if quick {
            Vec::new()
        } else {
            growth::measure(lab)?
        },
        session_bytes,
    })
}

fn read<T: DeserializeOwned>(file: &Path) -> Result<T> {
    let name = || file.display().to_string();
    let text = fs::read_to_string(file).with_context(name)?;
    serde_json::from_str(&text).with_context(name)
}

fn write_json(file: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    fs::write(file, text).with_context(|| file.display().to_string())
}

fn report(
    results: &Path,
    stock: Option<&Path>,
    observed: Option<&Path>,
    folder: &Path,
) -> Result<ExitCode> {
    let mut results: Results = read(results)?;
    let observed: Observed = match observed {
        Some(observed) => read(observed)?,
        None => Observed::Not("there was no kernel of Debian's to measure it on".into()),
    };
    if let Some(stock) = stock {
        let stock: Stock = read(stock)?;
        results.kernel += &format!(" (livepatch: {})", stock.kernel);
        results.rows.extend(stock.rows);
    }
    let mut checks = checks::all(&results)?;
    if !results.growth.is_empty() {
        checks.extend(crowd::checks(&results.growth)?);
    }
    checks.extend(observed.checks());
    let write = |name: &str, text: String| {
        let file = folder.join(name);
        fs::write(&file, text).with_context(|| file.display().to_string())
    };
    let missed: Vec<_> = checks.iter().filter(|check| !check.met()).collect();

    let text = table::markdown(&results, &checks) + "\n" + &observed.markdown();
    write("table.md", text.clone())?;
    write("table.rst", table::rst(&results))?;
    if let Some(table) = observed.rst() {
        write("observe.rst", table)?;
    }
    write("checks.json", serde_json::to_string_pretty(&checks)?)?;
    chart::bars(&results, &folder.join("table.svg"))?;
    if !results.growth.is_empty() {
        chart::growth(&results.growth, &folder.join("growth.svg"))?;
    }
    print!("{text}");
    for check in &missed {
        eprintln!(
            "over its target: {}: {}, at most {}",
            check.what, check.is, check.at_most
        );
    }
    Ok(ExitCode::from(u8::from(!missed.is_empty())))
}

fn main() -> Result<ExitCode> {
    match Arguments::parse().verb {
        Verb::Measure {
            device,
            rounds,
            quick,
            output,
            inside,
        } => {
            let lab = Lab::new(&Paths::find()?, device)?;
            if !inside {
                return measure_in_child(&lab);
            }
            if lab.stock() {
                let rows = matrix::measure_stock(&lab, rounds.max(1))?;
                let kernel = release()?;
                write_json(&output, &Stock { kernel, rows })?;
            } else {
                write_json(&output, &measure(&lab, rounds.max(1), quick)?)?;
            }
        }
        Verb::Count { device } => {
            kernel::bind(device)?;
            let device = Device::open(device)?;
            for cell in cell::ALL {
                println!("{:24} {:7}", cell.name, cell.measure(&device)?.median);
            }
        }
        Verb::Observe { device, output } => {
            let observed = observe::measure(&Paths::find()?, device)?;
            print!("{}", observed.markdown());
            write_json(&output, &observed)?;
        }
        Verb::Mark { device } => {
            kernel::bind(device)?;
            let device = Device::open(device)?;
            cell::ALL.iter().try_for_each(|cell| cell.mark(&device))?;
        }
        Verb::Report {
            results,
            stock,
            observed,
            folder,
        } => return report(&results, stock.as_deref(), observed.as_deref(), &folder),
    }
    Ok(ExitCode::SUCCESS)
}
