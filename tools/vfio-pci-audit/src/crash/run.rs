// SPDX-License-Identifier: GPL-2.0

//! Does what `last-boot` and `blame` are asked for.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use jiff::tz::TimeZone;

use super::accesses::{join, of_logs, of_ring, Access, Names};
use super::blame::{self, Question};
use super::blame_text::BlameReport;
use super::ended::Ended;
use super::keeper;
use super::last_boot::LastBoot;
use super::moment::Boot;
use super::saved::Ring;
use super::sources::Found;
use super::topology::Topology;
use super::whose::{is_own, Named};
use crate::cli::{Exit, TextOrJson};
use crate::cli_crash::{BlameArgs, CommonArgs, LastBootArgs};
use crate::input::{self, Source};
use crate::known::machine::Machine;
use crate::origin::Origin;
use crate::run::{hostname, json, machine};
use crate::scan::{Logs, Options, Scan};
use crate::terminal;
use crate::time::Zone;
use crate::when::Now;

fn warn(complaints: impl IntoIterator<Item = String>) {
    for complaint in complaints {
        anstream::eprintln!("warning: {complaint}");
    }
}

/// Audit logs, and what they say.
struct Audit {
    sources: Vec<Source>,
    logs: Logs,
    options: Options,
    scan: Scan,
}

impl Audit {
    fn read(sources: Vec<Source>) -> Result<Self> {
        let options = Options {
            zone: Zone::new(false).zone(),
            ..Options::default()
        };
        let logs = Logs::keep(&sources)?;
        let scan = logs.scan_all(&options);
        warn(scan.complaints());
        Ok(Self {
            sources,
            logs,
            options,
            scan,
        })
    }

    /// Those that are named.
    fn named(common: &CommonArgs) -> Result<Option<Self>> {
        if common.audit_log.is_empty() {
            return Ok(None);
        }
        Self::read(input::sources(&common.audit_log, &common.root)?).map(Some)
    }

    /// Those of this machine, as far as there are any.
    fn here(root: &Path) -> Result<Option<Self>> {
        let read = || match input::sources(&[], root)? {
            // The journal is that of the machine on which this runs.
            sources if sources == [Source::Journal] && root != Path::new("/") => Ok(None),
            sources => Self::read(sources).map(Some),
        };
        // Without a log there are no names, and accesses all the same.
        read().or_else(|error: anyhow::Error| {
            anstream::eprintln!(
                "note: virtual machines are not named without an audit log: {error:#}"
            );
            Ok(None)
        })
    }

    fn origin(&self, root: &Path) -> Origin {
        let this = hostname(root);
        Origin::of(&self.scan, &self.sources, this.as_deref(), root)
    }

    fn names(audit: Option<&Self>) -> Names<'_> {
        audit.map_or_else(Names::default, |audit| Names::new(&audit.scan))
    }

    fn accesses(&self) -> Vec<Access> {
        of_logs(&self.logs, &self.options, &self.scan)
    }

    fn exit(audit: Option<&Self>) -> Exit {
        match audit.is_some_and(|audit| !audit.scan.failures.is_empty()) {
            true => Exit::Failed,
            false => Exit::Done,
        }
    }
}

/// Whether what is named is of this machine; if not, that is said.
fn is_here(named: &Named<'_>, root: &Path) -> bool {
    let why = named.elsewhere(root);
    if let Some(why) = &why {
        anstream::eprintln!(
            "note: this is taken to be of another machine, because {why}: the devices and logs of \
             this one are not looked at"
        );
    }
    why.is_none()
}

/// The devices of dumps, and those of this machine if it is the one.
fn devices(common: &CommonArgs, here: bool) -> Result<Machine> {
    let mut machine = machine(&common.dump, &common.root)?;
    machine.maps.sysfs = machine.maps.sysfs.filter(|_| here);
    Ok(machine)
}

fn read_ring(file: &Path) -> Result<Ring> {
    let name = file.display().to_string();
    let source = match file.to_str() {
        Some("-") => Source::Standard,
        _ => Source::File(file.to_owned()),
    };
    let stream = source.open(|raw| raw).with_context(|| name.clone())?;
    let mut stream = BufReader::new(stream);
    // A copy of the file that the module shows is as good as what was saved of it.
    let start = stream.fill_buf().with_context(|| name.clone())?;
    if !keeper::is_kept(start) {
        return Ring::read(name, stream);
    }
    let mut bytes = Vec::new();
    stream
        .read_to_end(&mut bytes)
        .with_context(|| name.clone())?;
    keeper::ring(name, &bytes)
}

/// The accesses of the last boot, and whether they are of the one before this: those that the
/// module shows, or what was saved.
fn last_ring(root: &Path, folder: &Path) -> Result<(Ring, Option<Boot>)> {
    let live = keeper::last_boot(root);
    if let Ok(Some(ring)) = live {
        return Ok((ring, Some(Boot::Last)));
    }
    match (live, Ring::last_saved(folder)?) {
        (Err(error), Some(saved)) => {
            anstream::eprintln!("note: {error:#}; showing {}", saved.from);
            Ok((saved, None))
        }
        (_, Some(saved)) => {
            anstream::eprintln!(
                "note: the kernel kept no access of the last boot; showing {}, of an earlier boot",
                saved.from
            );
            Ok((saved, None))
        }
        (Err(error), None) => Err(error),
        (Ok(_), None) => Ok((
            Ring {
                from: "what is kept".to_owned(),
                ..Ring::default()
            },
            Some(Boot::Last),
        )),
    }
}

fn save(args: &LastBootArgs, out: &mut impl Write) -> Result<Exit> {
    let Some(ring) = keeper::last_boot(&args.common.root)? else {
        writeln!(out, "the kernel kept no access of the last boot")?;
        return Ok(Exit::Done);
    };
    warn(ring.complaints());
    let path = ring.save(&args.folder)?;
    writeln!(
        out,
        "saved {} in {}",
        crate::words::plural_es(ring.events.len() as u64, "access"),
        path.display()
    )?;
    Ok(Exit::Done)
}

/// Do what `last-boot` is asked for.
pub fn last_boot(args: &LastBootArgs, out: &mut impl Write) -> Result<Exit> {
    if args.save {
        return save(args, out);
    }
    let common = &args.common;
    let (ring, boot) = match &args.file {
        Some(file) => (read_ring(file)?, None),
        None => last_ring(&common.root, &args.folder)?,
    };
    warn(ring.complaints());
    let named = Audit::named(common)?;
    let origin = named.as_ref().map(|audit| audit.origin(&common.root));
    let is_of = Named {
        traces: args.file.as_slice(),
        folder: &args.folder,
        logs: origin.as_ref().filter(|_| args.file.is_some()),
    };
    let here = is_here(&is_of, &common.root);
    let zone = Zone::new(false).zone();
    let given = !args.kernel_log.is_empty();
    let found = match given || !here {
        true => read(&args.kernel_log, Some(Boot::Last), &zone)?,
        false => Found::system(&common.root, &zone),
    };
    warn(found.complaints.iter().cloned());
    let audit = match named {
        None if here => Audit::here(&common.root)?,
        named => named,
    };
    let accesses = of_ring(&ring, boot, &Audit::names(audit.as_ref()));
    let machine = devices(common, here)?;
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
    Ok(match (Audit::exit(audit.as_ref()), accesses.is_empty()) {
        (Exit::Done, true) => Exit::Nothing,
        (exit, _) => exit,
    })
}

/// The accesses of rings: those that are named, or what there is of this machine's last boot, and
/// what this one traces.
fn traced(args: &BlameArgs, here: bool, names: &Names<'_>) -> Result<Vec<Access>> {
    let mut all = Vec::new();
    let mut add = |ring: Ring, boot| {
        warn(ring.complaints());
        all.extend(of_ring(&ring, boot, names));
    };
    if !args.trace.is_empty() {
        for file in &args.trace {
            add(read_ring(file)?, None);
        }
        return Ok(all);
    }
    let root = &args.common.root;
    if !here {
        if !is_own(&args.folder, root) {
            for ring in Ring::default().other_saved(&args.folder)? {
                add(ring, Some(Boot::Earlier));
            }
        }
        return Ok(all);
    }
    match last_ring(root, &args.folder) {
        Ok((ring, boot)) => {
            // Errors of earlier boots are told, too.
            for ring in ring.other_saved(&args.folder)? {
                add(ring, Some(Boot::Earlier));
            }
            add(ring, boot);
        }
        Err(error) => {
            anstream::eprintln!("note: accesses are taken from the audit log only: {error:#}");
        }
    }
    if let Ok(ring) = keeper::this_boot(root) {
        add(ring, Some(Boot::This));
    }
    Ok(all)
}

fn read(files: &[PathBuf], boot: Option<Boot>, zone: &TimeZone) -> Result<Found> {
    let mut found = Found::default();
    for file in files {
        found
            .read(file, boot, zone)
            .with_context(|| file.display().to_string())?;
    }
    Ok(found)
}

/// Do what `blame` is asked for.
pub fn blame(args: &BlameArgs, out: &mut impl Write) -> Result<Exit> {
    let common = &args.common;
    let since = args.since.as_deref();
    let now = Now::here(Zone::new(common.utc).zone());
    let since = since.map(|since| now.read(since)).transpose()?;
    let named = Audit::named(common)?;
    let origin = named.as_ref().map(|audit| audit.origin(&common.root));
    let is_of = Named {
        traces: &args.trace,
        folder: &args.folder,
        logs: origin.as_ref(),
    };
    let here = is_here(&is_of, &common.root);
    let zone = Zone::new(false).zone();
    let found = match !args.files.is_empty() || !here {
        true => read(&args.files, None, &zone)?,
        false => Found::system(&common.root, &zone),
    };
    warn(found.complaints.iter().cloned());
    let audit = match named {
        None if here => Audit::here(&common.root)?,
        named => named,
    };
    let mut exit = Audit::exit(audit.as_ref());
    let ring = traced(args, here, &Audit::names(audit.as_ref()))?;
    let recorded = audit.as_ref().map_or_else(Vec::new, Audit::accesses);
    let accesses = join(ring, recorded);
    let machine = devices(common, here)?;
    let sysfs = machine.maps.sysfs.as_deref();
    let mut topology = sysfs.map_or_else(Topology::default, Topology::of_machine);
    topology.add_spaces(&machine.maps.spaces);
    let question = Question {
        window: u64::from(args.window) * 1_000_000,
        devices: args.device.clone(),
        corrected: args.corrected,
        since: since.map(|ms| ms.saturating_mul(1000)),
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
