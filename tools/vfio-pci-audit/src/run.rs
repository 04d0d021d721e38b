// SPDX-License-Identifier: GPL-2.0

//! Does what the command line asks for.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use anyhow::{Context, Result};
use clap::CommandFactory;
use pci_config::CONVENTIONAL;
use serde::Serialize;

use crate::advise::{Advice, Ids};
use crate::cli::{
    AdviseArgs, Cli, Command, Exit, Format, KnownArgs, MapArgs, ReportArgs, StatusArgs, TextOrJson,
};
use crate::known::device::Class;
use crate::known::machine::Machine;
use crate::known::modprobe::Modprobe;
use crate::known::print;
use crate::report::Report;
use crate::scan::Scan;
use crate::status::Status;
use crate::{input, map, report_text, svg};

/// Do it. What is asked for goes to `out`, complaints to standard error.
pub fn run(command: Command, out: &mut impl Write) -> Result<Exit> {
    match command {
        Command::Status(args) => status(&args, out),
        Command::Map(args) => draw(&args, out),
        Command::Report(args) => tell(&args, out),
        Command::Advise(args) => advise(&args, out),
        Command::Known(args) => known(&args, out),
        Command::Completions { shell } => {
            let mut command = Cli::command();
            let name = command.get_name().to_owned();
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command, name, &mut script);
            out.write_all(&script)?;
            Ok(Exit::Done)
        }
        Command::Man { folder } => {
            match folder {
                Some(folder) => {
                    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
                    clap_mangen::generate_to(Cli::command(), &folder)
                        .with_context(|| folder.display().to_string())?;
                }
                None => clap_mangen::Man::new(Cli::command()).render(out)?,
            }
            Ok(Exit::Done)
        }
    }
}

fn json(value: &impl Serialize, out: &mut impl Write) -> Result<()> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

fn save(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| file.display().to_string())
}

fn status(args: &StatusArgs, out: &mut impl Write) -> Result<Exit> {
    let status = Status::look(&args.root);
    match args.format {
        TextOrJson::Text => out.write_all(status.text().as_bytes())?,
        TextOrJson::Json => json(&status, out)?,
    }
    Ok(match status.is_there() {
        true => Exit::Done,
        false => Exit::Nothing,
    })
}

fn draw(args: &MapArgs, out: &mut impl Write) -> Result<Exit> {
    let map = match (&args.dump, args.bdf) {
        (Some(file), bdf) => {
            let dump: Box<dyn Read> = match file.to_str() {
                Some("-") => Box::new(io::stdin()),
                _ => Box::new(File::open(file).with_context(|| file.display().to_string())?),
            };
            map::from_dump(dump, bdf).with_context(|| file.display().to_string())?
        }
        (None, Some(bdf)) => map::from_sysfs(&args.root.join("sys"), bdf)?,
        (None, None) => anyhow::bail!("neither a device nor a dump"),
    };
    if let Some(complaint) = map.complaint() {
        anstream::eprintln!("warning: {complaint}");
    }
    let width = match args.row.as_deref() {
        Some("16") => 16,
        Some(_) => 64,
        None if map.size() == CONVENTIONAL => 16,
        None => 64,
    };
    if let Some(file) = &args.svg {
        save(file, &svg::map(&map, width))?;
    }
    match args.format {
        TextOrJson::Text => out.write_all(map.text(width).as_bytes())?,
        TextOrJson::Json => json(&map.json(), out)?,
    }
    Ok(Exit::Done)
}

/// Read logs and complain of what cannot be read.
fn scan(files: &[std::path::PathBuf], recent: usize) -> Result<(Scan, Exit)> {
    let scan = Scan::read(&input::sources(files)?, recent);
    for complaint in scan.complaints() {
        anstream::eprintln!("warning: {complaint}");
    }
    let exit = if !scan.failures.is_empty() {
        Exit::Failed
    } else if scan.tally.records() == 0 {
        Exit::Nothing
    } else {
        Exit::Done
    };
    Ok((scan, exit))
}

fn tell(args: &ReportArgs, out: &mut impl Write) -> Result<Exit> {
    let (scan, exit) = scan(&args.files, args.sessions.into())?;
    let machine = Machine::new(&args.root, args.dump.as_deref())?;
    if let Some(file) = &args.svg {
        save(file, &svg::heat(&scan.tally))?;
    }
    match args.format {
        Format::Text => out.write_all(report_text::text(&scan, &machine, args.heat).as_bytes())?,
        Format::Json => json(&Report::new(&scan, &machine), out)?,
        Format::Csv => Report::new(&scan, &machine)
            .csv(&mut *out)
            .map_err(io::Error::from)?,
    }
    Ok(exit)
}

fn advise(args: &AdviseArgs, out: &mut impl Write) -> Result<Exit> {
    let (scan, exit) = scan(&args.files, 0)?;
    let machine = Machine::new(&args.root, args.dump.as_deref())?;
    let ids: Ids = args.id.iter().copied().collect();
    let advice = Advice::new(&scan, |node, bdf| match ids.get(&bdf) {
        Some(id) => Some(machine.named(node, bdf, *id)),
        None => machine.subject(node, bdf),
    });
    match args.format {
        TextOrJson::Text => out.write_all(advice.text().as_bytes())?,
        TextOrJson::Json => json(&advice, out)?,
    }
    Ok(exit)
}

fn known(args: &KnownArgs, out: &mut impl Write) -> Result<Exit> {
    let machine = Machine::new(&args.root, None)?;
    if args.modprobe {
        let modprobe = Modprobe::new(&machine);
        match args.format {
            TextOrJson::Text => out.write_all(modprobe.text().as_bytes())?,
            TextOrJson::Json => json(&modprobe, out)?,
        }
        return Ok(match modprobe.uaccess_allow_ids.is_empty() {
            true => Exit::Nothing,
            false => Exit::Done,
        });
    }
    let here = || Class::whole(machine.class_of(args.id?.id()?)?);
    let rows = print::rows(args.id, args.class.or_else(here));
    match args.format {
        TextOrJson::Text => out.write_all(print::text(&rows).as_bytes())?,
        TextOrJson::Json => json(&print::report(&rows), out)?,
    }
    Ok(match rows.is_empty() {
        true => Exit::Nothing,
        false => Exit::Done,
    })
}
