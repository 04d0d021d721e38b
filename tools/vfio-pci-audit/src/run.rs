// SPDX-License-Identifier: GPL-2.0

//! Does what the command line asks for.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::CommandFactory;
use pci_config::CONVENTIONAL;
use serde::Serialize;

use crate::advise::{said, Advice, Ids};
use crate::cli::{
    AdviseArgs, Cli, Command, DiffArgs, Exit, ExportArgs, Format, KnownArgs, MapArgs, ReportArgs,
    StatusArgs, StatusFormat, TextOrJson, Usage,
};
use crate::cli_logs::LogArgs;
#[cfg(feature = "observe")]
use crate::cli_observe;
use crate::compare::Comparison;
use crate::input::Source;
use crate::known::device::{Class, Pattern};
use crate::known::machine::Machine;
use crate::known::modprobe::Modprobe;
use crate::known::print as registers;
use crate::map::{Map, Maps};
use crate::origin::Origin;
use crate::printable::all_printable;
use crate::report::Report;
use crate::scan::{Logs, Options, Scan, MANY};
use crate::space::{Space, Spaces};
use crate::status::{dangerous_toggles, Status};
use crate::time::Zone;
use crate::ways::{self, Blocking, WithBlocking};
use crate::{
    crash, export, html, input, inventory, manual, merge, metrics, picture, report_text, svg,
    terminal, watch,
};

/// Run a command. Results go to `out`, warnings to standard error.
pub fn run(command: Command, out: &mut impl Write) -> Result<Exit> {
    match command {
        Command::Status(args) => status(&args, out),
        Command::Map(args) => draw(&args, out),
        Command::Report(args) => tell(&args, out),
        Command::Advise(args) => advise(&args, out),
        Command::Diff(args) => compare(args, out),
        Command::Export(args) => rows(&args, out),
        Command::Watch(args) => {
            let machine = machine(&args.dump, &args.root)?;
            watch::run(&args, &machine, out)
        }
        #[cfg(feature = "observe")]
        Command::Observe(args) => cli_observe::observe(&args),
        Command::Known(args) => known(&args, out),
        Command::LastBoot(args) => crash::run::last_boot(&args, out),
        Command::Blame(args) => crash::run::blame(&args, out),
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
                    manual::pages(&folder).with_context(|| folder.display().to_string())?;
                }
                None => manual::page(&manual::command(), out)?,
            }
            Ok(Exit::Done)
        }
    }
}

pub(crate) fn json(value: &impl Serialize, out: &mut impl Write) -> Result<()> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

/// Write a drawing to a file. `-` is `out`, and nothing else goes there then: false.
fn save(file: &Path, text: &str, out: &mut impl Write) -> Result<bool> {
    if file == Path::new("-") {
        out.write_all(text.as_bytes())?;
        return Ok(false);
    }
    fs::write(file, text).with_context(|| file.display().to_string())?;
    Ok(true)
}

fn status(args: &StatusArgs, out: &mut impl Write) -> Result<Exit> {
    let status = Status::look(&args.root);
    match args.format {
        StatusFormat::Text => out.write_all(terminal::fold(&status.text()).as_bytes())?,
        StatusFormat::Json => json(&status, out)?,
        StatusFormat::Openmetrics => out.write_all(metrics::text(&status)?.as_bytes())?,
    }
    Ok(match status.is_there() {
        true => Exit::Done,
        false => Exit::Nothing,
    })
}

fn list(args: &MapArgs, out: &mut impl Write) -> Result<Exit> {
    let devices = match &args.dump {
        Some(file) => inventory::of_spaces(&read_spaces(file)?.spaces, &args.root),
        None => inventory::of_machine(&args.root)?,
    };
    match args.format {
        TextOrJson::Text => out.write_all(terminal::fold(&inventory::text(&devices)).as_bytes())?,
        TextOrJson::Json => json(&devices, out)?,
    }
    Ok(match devices.is_empty() {
        true => Exit::Nothing,
        false => Exit::Done,
    })
}

/// Read a dump, and say what of it cannot be read.
fn read_spaces(file: &Path) -> Result<Spaces> {
    let name = || file.display().to_string();
    let spaces = Spaces::read(file).with_context(name)?;
    for complaint in &spaces.complaints {
        anstream::eprintln!("warning: {}: {complaint}", name());
    }
    Ok(spaces)
}

fn draw(args: &MapArgs, out: &mut impl Write) -> Result<Exit> {
    if args.all {
        return list(args, out);
    }
    let space = match (&args.dump, args.bdf) {
        (Some(file), bdf) => {
            let name = || file.display().to_string();
            read_spaces(file)?.pick(bdf).with_context(name)?
        }
        (None, Some(bdf)) => Space::from_sysfs(&args.root.join("sys"), bdf)?,
        (None, None) => anyhow::bail!("neither a device nor a dump was named"),
    };
    let map = Map::new(&space)?;
    for complaint in map.complaints() {
        anstream::eprintln!("warning: {complaint}");
    }
    let width = match &args.row {
        Some(row) => row.parse()?,
        None if map.size() == CONVENTIONAL => 16,
        None => picture::bytes_a_row(terminal::width()),
    };
    if let Some(file) = &args.svg {
        if !save(file, &svg::map(&map, width), out)? {
            return Ok(Exit::Done);
        }
    }
    match args.format {
        TextOrJson::Text => out.write_all(map.text(width).as_bytes())?,
        TextOrJson::Json => json(&map.json(), out)?,
    }
    Ok(Exit::Done)
}

/// Which logs to read, and what of them.
fn sources(logs: &LogArgs) -> Result<(Vec<Source>, Options)> {
    // What is asked for comes first: it may make no sense.
    let filter = logs.which.filter()?;
    let sources = input::sources(&logs.files, &logs.root)?;
    if sources == [Source::Journal] {
        anstream::eprintln!("note: there is no log of auditd's; reading the journal");
    }
    let options = Options {
        filter,
        // ausearch -i prints local time, however times are told here.
        zone: Zone::new(false).zone(),
        ..Options::default()
    };
    Ok((sources, options))
}

/// Complain of what cannot be read.
fn judge(scan: &Scan) -> Exit {
    for complaint in scan.complaints() {
        anstream::eprintln!("warning: {complaint}");
    }
    if !scan.failures.is_empty() {
        Exit::Failed
    } else if scan.tally.records() == 0 {
        Exit::Nothing
    } else {
        Exit::Done
    }
}

/// Read logs and complain of what cannot be read.
fn scan(logs: &LogArgs, recent: usize, places: bool) -> Result<(Scan, Exit)> {
    let (sources, options) = sources(logs)?;
    let options = Options {
        recent,
        places,
        ..options
    };
    let scan = Scan::with(&sources, &options)?;
    let exit = judge(&scan);
    Ok((scan, exit))
}

fn rows(args: &ExportArgs, out: &mut impl Write) -> Result<Exit> {
    let (sources, options) = sources(&args.logs)?;
    let options = Options {
        recent: MANY,
        ..options
    };
    let host = hostname(&args.logs.root);
    let machine = machine(&args.dump, &args.logs.root)?;
    let logs = Logs::keep(&sources)?;
    let mut sinks = export::sinks(args, out)?;
    let scan = export::rows(&logs, &options, &machine, host.as_deref(), &mut sinks)?;
    Ok(judge(&scan))
}

/// Put reports together.
fn merge(args: &ReportArgs, out: &mut impl Write) -> Result<Exit> {
    if !args.logs.which.filter()?.is_all() {
        anyhow::bail!(Usage(
            "filters cannot be applied to reports: use them when the reports are made".to_owned()
        ));
    }
    let read = |file: &PathBuf| {
        let name = file.display().to_string();
        let bytes = input::read_all(file).with_context(|| name.clone())?;
        let report = || {
            let mut report = serde_json::from_slice(&bytes)?;
            // It may be of another version, or host.
            all_printable(&mut report);
            serde_json::from_value(report)
        };
        let report =
            report().with_context(|| format!("{name} is not a report of --format json"))?;
        Ok((name, report))
    };
    let reports = args.logs.files.iter().map(read).collect::<Result<_>>()?;
    let (merged, warnings) = merge::merge(reports)?;
    for warning in warnings {
        anstream::eprintln!("warning: {warning}");
    }
    let (records, failed) = (merged.records, !merged.failures.is_empty());
    print(&merged, args, out)?;
    Ok(match records {
        _ if failed => Exit::Failed,
        0 => Exit::Nothing,
        _ => Exit::Done,
    })
}

/// Print a report without pictures.
fn print(report: &Report, args: &ReportArgs, out: &mut impl Write) -> Result<()> {
    match args.format {
        Format::Text => {
            let text = report.text(&args.logs.which.zone());
            out.write_all(terminal::fold(&text).as_bytes())?;
        }
        Format::Json => json(report, out)?,
        Format::Csv => report.csv(&mut *out).map_err(io::Error::from)?,
    }
    Ok(())
}

fn tell(args: &ReportArgs, out: &mut impl Write) -> Result<Exit> {
    if args.merge {
        return merge(args, out);
    }
    let machine = machine(&args.dump, &args.logs.root)?;
    if let Some(file) = &args.html {
        let (scan, exit) = scan(&args.logs, html::SESSIONS, true)?;
        save(
            file,
            &html::page(&scan, &machine, &args.logs.which.zone()),
            out,
        )?;
        return Ok(exit);
    }
    let (scan, exit) = scan(&args.logs, args.sessions.into(), false)?;
    if let Some(file) = &args.svg {
        if !save(file, &svg::heat(&scan.tally, &machine.maps), out)? {
            return Ok(exit);
        }
    }
    if args.format == Format::Text {
        let width = picture::bytes_a_row(terminal::width());
        let heat = args.heat.then_some(width);
        let text = report_text::text(&scan, &machine, &args.logs.which.zone(), heat);
        out.write_all(terminal::fold(&text).as_bytes())?;
        return Ok(exit);
    }
    let report = Report {
        host: hostname(&args.logs.root),
        ..Report::new(&scan, &machine)
    };
    print(&report, args, out)?;
    Ok(exit)
}

fn compare(args: DiffArgs, out: &mut impl Write) -> Result<Exit> {
    let side = |side: &str| {
        let mut which = args.which.clone();
        let mut files = vec![PathBuf::from(side)];
        // A path may have dots, too.
        if let Some((from, to)) = side.split_once("..").filter(|_| !files[0].exists()) {
            let time = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            which.since = time(from);
            which.until = time(to);
            files.clone_from(&args.log);
        }
        let root = args.root.clone();
        scan(&LogArgs { files, which, root }, 0, false)
    };
    let ((old, old_exit), (new, new_exit)) = (side(&args.old)?, side(&args.new)?);
    let comparison = Comparison::new(&old, &new);
    match args.format {
        TextOrJson::Text => out.write_all(terminal::fold(&comparison.text()).as_bytes())?,
        TextOrJson::Json => json(&comparison, out)?,
    }
    Ok(match (old_exit, new_exit) {
        (Exit::Failed, _) | (_, Exit::Failed) => Exit::Failed,
        // A period without records is compared, too, as long as the other one has some.
        (Exit::Nothing, Exit::Nothing) => Exit::Nothing,
        _ => Exit::Done,
    })
}

/// The devices of this machine, and those of dumps.
pub(crate) fn machine(dumps: &[PathBuf], root: &Path) -> Result<Machine> {
    let mut spaces = Vec::new();
    for file in dumps {
        spaces.extend(read_spaces(file)?.spaces);
    }
    Ok(Machine::new(Maps {
        spaces,
        sysfs: Some(root.join("sys")),
        this: hostname(root),
    }))
}

/// The name of this machine.
pub(crate) fn hostname(root: &Path) -> Option<String> {
    let name = fs::read_to_string(root.join("proc/sys/kernel/hostname")).ok()?;
    Some(name.trim().to_owned())
}

fn advise(args: &AdviseArgs, out: &mut impl Write) -> Result<Exit> {
    let root = &args.logs.root;
    let (sources, options) = sources(&args.logs)?;
    let options = Options {
        recent: 0,
        ..options
    };
    let scan = Scan::with(&sources, &options)?;
    let exit = judge(&scan);
    let origin = Origin::of(&scan, &sources, hostname(root).as_deref(), root);
    let machine = machine(&args.dump, root)?;
    let ids: Ids = args.id.iter().cloned().collect();
    let subject = |node: Option<&str>, bdf| {
        let node = node.or(origin.other());
        match said(&ids, node, bdf) {
            Some(id) => Some(machine.named(node, bdf, id)),
            None => machine.subject(node, bdf),
        }
    };
    let dangerous = |node: Option<&str>| {
        let here = machine.maps.is_this(node.or(origin.other()));
        here.then(|| dangerous_toggles(root)).flatten()
    };
    let advice = Advice::new(&scan, subject, dangerous);
    match args.format {
        TextOrJson::Text => {
            let mut text = advice.text(&args.logs.which.zone());
            ways::append(&mut text, root, &origin);
            out.write_all(terminal::fold(&text).as_bytes())?;
        }
        TextOrJson::Json => json(
            &WithBlocking {
                advice: &advice,
                blocking: Some(root)
                    .filter(|_| origin.here)
                    .and_then(|root| Blocking::find(root)),
            },
            out,
        )?,
    }
    Ok(exit)
}

fn known(args: &KnownArgs, out: &mut impl Write) -> Result<Exit> {
    let machine = machine(&[], &args.root)?;
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
    let rows = registers::rows(args.id, args.class.or_else(here));
    match args.format {
        TextOrJson::Text => {
            let mut text = registers::text(&rows);
            if let Some(id) = args.id.and_then(Pattern::id) {
                text += &registers::exceptions(&rows, id);
            }
            out.write_all(terminal::fold(&text).as_bytes())?;
        }
        TextOrJson::Json => json(&registers::report(&rows), out)?,
    }
    Ok(match rows.is_empty() {
        true => Exit::Nothing,
        false => Exit::Done,
    })
}
