// SPDX-License-Identifier: GPL-2.0

//! Shows who accesses unassigned PCI configuration space through VFIO, and what blocking would
//! stop.

use std::io::{self, Write};
use std::process::ExitCode;

use anstream::ColorChoice;
use clap::Parser;
use vfio_pci_audit::cli::{Cli, Color, Exit, Usage};
use vfio_pci_audit::run::run;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.color {
        Color::Auto => {}
        Color::Always => ColorChoice::Always.write_global(),
        Color::Never => ColorChoice::Never.write_global(),
    }
    let mut out = io::BufWriter::new(anstream::stdout().lock());
    let result = run(cli.command, &mut out).and_then(|exit| {
        out.flush()?;
        Ok(exit)
    });
    let exit = match result {
        Ok(exit) => exit,
        // The reader has seen enough.
        Err(error) if is_broken_pipe(&error) => Exit::Done,
        Err(error) => {
            anstream::eprintln!("error: {error:#}");
            match error.downcast_ref::<Usage>() {
                Some(_) => Exit::Usage,
                None => Exit::Failed,
            }
        }
    };
    // What is still in the buffer cannot be written either.
    std::mem::forget(out);
    ExitCode::from(exit as u8)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
