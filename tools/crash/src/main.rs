// SPDX-License-Identifier: GPL-2.0

//! Has a machine die after a guest's write, boots it again with its memory kept, and looks whether
//! the operator's tool names the guest.
//!
//! The same program runs in two places. On the host it starts QEMU, injects errors into devices and
//! judges (`machine`, `monitor`, `judge`). In the machine it is the first process, since a shell
//! and its tools are not needed there (`inside`): it starts a guest (`guest`), waits for what the
//! host does, and asks the tool. `case` has what is tried.

mod case;
mod guest;
mod inside;
mod judge;
mod machine;
mod monitor;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use lab::ktap::{Ktap, Outcome};

use crate::case::Case;

#[derive(Parser)]
#[command(about)]
struct Arguments {
    /// Only cases whose names contain this.
    #[arg(long, default_value = "")]
    only: String,
    /// The kernel to boot.
    #[arg(long)]
    kernel: PathBuf,
    /// A rasdaemon to run beside it where the machine lives on, with packaging/rasdaemon-blame as
    /// its AER_UE_TRIGGER, which takes 0.8.5 or later.
    #[arg(long)]
    rasdaemon: Option<PathBuf>,
    /// The repository.
    #[arg(long, default_value = ".")]
    top: PathBuf,
    /// Where everything is built; what the machine says comes to its folder crash.
    #[arg(long)]
    build: PathBuf,
}

fn run(arguments: &Arguments) -> Result<bool> {
    let cases: Vec<Case> = Case::ALL
        .into_iter()
        .filter(|case| case.name().contains(&arguments.only))
        .collect();
    let mut ktap = Ktap::new(io::stdout(), cases.len())?;
    for case in cases {
        let result = machine::run(case, arguments).and_then(|folder| judge::judge(case, &folder));
        let outcome = match result {
            Ok(notes) => {
                for note in notes {
                    ktap.diagnose(&note)?;
                }
                Outcome::Passed
            }
            Err(error) => {
                ktap.diagnose(&format!("{error:#}"))?;
                Outcome::Failed
            }
        };
        ktap.result(&format!("crash/{}", case.name()), &outcome)?;
    }
    Ok(ktap.failed() == 0)
}

fn main() -> ExitCode {
    // The first process of the machine is this one.
    if std::process::id() == 1 {
        inside::main();
    }
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
