// SPDX-License-Identifier: GPL-2.0

//! Does what `last-boot` and `blame` are asked for.

use std::fs;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};

use super::accesses::{join, of_events, of_logs, Access, Names};
use super::blame::{self, Question};
use super::blame_text::BlameReport;
use super::ended::Ended;
use super::instance::Instance;
use super::last_boot::LastBoot;
use super::moment::Boot;
use super::saved::{self, Ring};
use super::sources::Found;
use super::topology::Topology;
use crate::cli::{Exit, TextOrJson};
use crate::cli_crash::{BlameArgs, CommonArgs, LastBootArgs};
use crate::input::{self, Source};
use crate::run::{json, machine};
use crate::scan::{Logs, Options, Scan};
use crate::terminal;
use crate::time::Zone;

fn warn(complaints: impl IntoIterator<Item = String>) {
    for complaint in complaints {
        anstream::eprintln!("warning: {complaint}");
    }
}

/// The kernel's name for this boot.
fn this_boot(root: &Path) -> String {
    let id = fs::read_to_string(root.join("proc/sys/kernel/random/boot_id"));
    id.unwrap_or_default().trim().to_owned()
}

/// When this boot began, in microseconds since 1970.
fn booted(root: &Path) -> Option<u64> {
    let uptime = fs::read_to_string(root.join("proc/uptime")).ok()?;
    let (seconds, fraction) = uptime.split(' ').next()?.split_once('.')?;
    let hundredths: u64 = fraction.get(..2)?.parse().ok()?;
    let up = seconds.parse::<u64>().ok()? * 1_000_000 + hundredths * 10_000;
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()?;
    u64::try_from(now.as_micros()).ok()?.checked_sub(up)
}

/// The audit logs, as far as there are any.
fn logs(common: &CommonArgs) -> Result<Option<(Logs, Options)>> {
    let sources = match input::sources(&common.audit_log, &common.root) {
        Ok(sources) => sources,
        // Without a log there are no names, and accesses all the same.
        Err(error) if common.audit_log.is_empty() => {
            anstream::eprintln!(
                "note: no audit log, so that no virtual machine has a name: {error:#}"
            );
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    // The journal is that of the machine on which this runs.
    if sources == [Source::Journal] && common.root != Path::new("/") {
        return Ok(None);
    }
    let options = Options {
        zone: Zone::new(false).zone(),
        ..Options::default()
    };
    Ok(Some((Logs::keep(&sources)?, options)))
}

fn names(logs: Option<&(Logs, Options)>) -> (Names, Exit) {
    let Some((logs, options)) = logs else {
        return (Names::none(), Exit::Done);
    };
    let scan = logs.scan_all(options);
    let exit = judge(&scan);
    (Names::new(scan), exit)
}

fn judge(scan: &Scan) -> Exit {
    warn(scan.complaints());
    match scan.failures.is_empty() {
        true => Exit::Done,
        false => Exit::Failed,
    }
}

fn read_ring(file: &Path) -> Result<Ring> {
    let name = file.display().to_string();
    let source = match file.to_str() {
        Some("-") => Source::Standard,
        _ => Source::File(file.to_owned()),
    };
    let stream = source.open(|raw| raw).with_context(|| name.clone())?;
    Ring::read(name, BufReader::new(stream))
}

/// The ring of the last boot: the one that is there, or what was saved of it.
fn last_ring(root: &Path, name: Option<&str>, folder: &Path) -> Result<Ring> {
    let live = Instance::find(root, name).and_then(|instance| {
        if !instance.is_of_last_boot()? {
            return Ok(None);
        }
        let mut ring = instance.read()?;
        ring.booted = saved::noted(folder, &this_boot(root));
        Ok(Some(ring).filter(|ring| !ring.is_empty()))
    });
    match (live, Ring::last_saved(folder)?) {
        (Ok(Some(ring)), _) => Ok(ring),
        (Ok(None), Some(saved)) => Ok(saved),
        (Err(error), Some(saved)) => {
            anstream::eprintln!("note: {error:#}; told is what was saved in {}", saved.from);
            Ok(saved)
        }
        (Ok(None), None) => Ok(Ring {
            from: "the ring".to_owned(),
            ..Ring::default()
        }),
        (Err(error), None) => Err(error),
    }
}

fn rearm(args: &LastBootArgs, out: &mut impl Write) -> Result<Exit> {
    let root = &args.common.root;
    let instance = Instance::find(root, args.instance.as_deref())?;
    if !instance.is_of_last_boot()? && !instance.read()?.is_empty() {
        writeln!(out, "{} traces this boot already", instance.name())?;
        return Ok(Exit::Done);
    }
    let ring = instance.take()?;
    warn(ring.complaints());
    if ring.is_empty() {
        writeln!(out, "nothing is left of the last boot")?;
    } else {
        let path = ring.save(&args.folder)?;
        writeln!(
            out,
            "saved {} in {}",
            crate::words::plural_es(ring.events.len() as u64, "access"),
            path.display()
        )?;
    }
    instance.arm()?;
    if let Some(booted) = booted(root) {
        saved::note_boot(&args.folder, &this_boot(root), booted)?;
    }
    writeln!(out, "{} traces accesses", instance.name())?;
    Ok(Exit::Done)
}

/// Do what `last-boot` is asked for.
pub fn last_boot(args: &LastBootArgs, out: &mut impl Write) -> Result<Exit> {
    if args.rearm {
        return rearm(args, out);
    }
    let common = &args.common;
    let ring = match &args.file {
        Some(file) => read_ring(file)?,
        None => last_ring(&common.root, args.instance.as_deref(), &args.folder)?,
    };
    warn(ring.complaints());
    let zone = Zone::new(false).zone();
    let mut found = Found::default();
    for file in &args.kernel_log {
        found
            .read(file, Some(Boot::Last), &zone)
            .with_context(|| file.display().to_string())?;
    }
    let given = !args.kernel_log.is_empty();
    if !given {
        found = Found::system(&common.root, &zone);
    }
    warn(found.complaints.iter().cloned());
    let logs = logs(common)?;
    let (names, exit) = names(logs.as_ref());
    let accesses = of_events(&ring.events, Some(Boot::Last), ring.booted, &names);
    let machine = machine(&common.dump, &common.root)?;
    let report = LastBoot::new(
        &ring,
        &accesses,
        Ended::new(&found.logs, given),
        &machine,
        args.last,
    );
    match common.format {
        TextOrJson::Text => {
            let text = report.text(&Zone::new(common.utc));
            out.write_all(terminal::fold(&text).as_bytes())?;
        }
        TextOrJson::Json => json(&report, out)?,
    }
    Ok(match (exit, accesses.is_empty()) {
        (Exit::Failed, _) => Exit::Failed,
        (_, true) => Exit::Nothing,
        (exit, false) => exit,
    })
}

/// The accesses of rings: those that are named, or what there is of the last boot, and what this
/// one traces.
fn traced(args: &BlameArgs, names: &Names) -> Result<Vec<Access>> {
    let mut all = Vec::new();
    let mut add = |ring: Ring, boot| {
        warn(ring.complaints());
        all.extend(of_events(&ring.events, boot, ring.booted, names));
    };
    if !args.trace.is_empty() {
        for file in &args.trace {
            add(read_ring(file)?, None);
        }
        return Ok(all);
    }
    let root = &args.common.root;
    let last = last_ring(root, None, &args.folder);
    let this = Instance::find(root, None).and_then(|instance| {
        let current = !instance.is_of_last_boot()?;
        current.then(|| instance.read()).transpose()
    });
    match (last, this) {
        (Err(error), Err(_)) => {
            anstream::eprintln!("note: accesses are those of the audit log only: {error:#}");
        }
        (last, this) => {
            if let Ok(ring) = last {
                add(ring, Some(Boot::Last));
            }
            if let Ok(Some(mut ring)) = this {
                ring.booted = booted(root);
                add(ring, Some(Boot::This));
            }
        }
    }
    Ok(all)
}

fn errors(files: &[PathBuf], root: &Path) -> Result<Found> {
    let zone = Zone::new(false).zone();
    if files.is_empty() {
        return Ok(Found::system(root, &zone));
    }
    let mut found = Found::default();
    for file in files {
        found
            .read(file, None, &zone)
            .with_context(|| file.display().to_string())?;
    }
    Ok(found)
}

/// Do what `blame` is asked for.
pub fn blame(args: &BlameArgs, out: &mut impl Write) -> Result<Exit> {
    let common = &args.common;
    let found = errors(&args.files, &common.root)?;
    warn(found.complaints.iter().cloned());
    let logs = logs(common)?;
    let (names, mut exit) = names(logs.as_ref());
    let ring = traced(args, &names)?;
    let recorded = logs.map_or_else(Vec::new, |(logs, options)| of_logs(&logs, &options).0);
    let accesses = join(ring, recorded);
    let machine = machine(&common.dump, &common.root)?;
    let mut topology = Topology::of_machine(&common.root.join("sys"));
    topology.add_spaces(&machine.maps.spaces);
    let question = Question {
        window: u64::from(args.window) * 1_000_000,
        devices: args.device.clone(),
        corrected: args.corrected,
    };
    let charges = blame::blame(&found.errors, &accesses, &topology, &question);
    let report = BlameReport::new(&charges, &machine, found.names, accesses.len(), args.window);
    match common.format {
        TextOrJson::Text => {
            let text = report.text(&Zone::new(common.utc));
            out.write_all(terminal::fold(&text).as_bytes())?;
        }
        TextOrJson::Json => json(&report, out)?,
    }
    if charges.is_empty() && exit == Exit::Done {
        exit = Exit::Nothing;
    }
    Ok(exit)
}
