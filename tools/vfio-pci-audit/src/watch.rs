// SPDX-License-Identifier: GPL-2.0

//! Tells of accesses as they happen.
//!
//! - `kernel`: records as the kernel hands them to all who listen; `tail`: a log that grows.
//! - `who`: who holds a device meanwhile.
//! - `hook`: the command that is run.

mod hook;
mod kernel;
mod tail;
mod who;

use std::cell::Cell;
use std::io::{Read, Write};
use std::path::Path;
use std::rc::Rc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{ensure, Context, Result};
use serde::Serialize;

use self::hook::Hook;
use self::kernel::Message;
use self::tail::Tail;
use self::who::Holders;
use crate::cli::{Exit, Usage};
use crate::cli_watch::{Alarm, WatchArgs, WatchFormat};
use crate::export;
use crate::filter::Filter;
use crate::guess;
use crate::input::Source;
use crate::known::machine::Machine;
use crate::log::{Item, LogReader};
use crate::record::{self, Event, Kind, Record};
use crate::registers::Registers;
use crate::rows::AccessRow;
use crate::scan::MAX_NAMED;
use crate::tally::Tally;
use crate::time::{Stamp, Zone};
use crate::words::{plural, range_text};

/// Messages that were lost, as a row.
#[derive(Serialize)]
struct LostRow {
    kind: &'static str,
    time: Stamp,
    /// How many, of any type; nothing if that is not known.
    messages: Option<u64>,
}

/// Watch until the log ends, the time is over, or there is an alarm.
pub fn run(args: &WatchArgs, machine: &Machine, out: &mut impl Write) -> Result<Exit> {
    let deadline = match args.span {
        Some(span) => Some(
            Instant::now()
                .checked_add(span)
                .ok_or_else(|| Usage("too long a time".to_owned()))?,
        ),
        None => None,
    };
    let mut watcher = Watcher::new(args, machine, out)?;
    let result = match &args.file {
        None => watcher.kernel(deadline),
        Some(file) => watcher.log(file, deadline, args.since.is_some()),
    };
    if let Some(hook) = &mut watcher.hook {
        hook.end();
    }
    result?;
    if watcher.more_bad > 0 {
        warn(&format!(
            "{} cannot be read",
            plural(watcher.more_bad, "more line")
        ));
    }
    Ok(match (watcher.alarm, watcher.told) {
        (true, _) => Exit::Alarm,
        (false, 0) => Exit::Nothing,
        (false, _) => Exit::Done,
    })
}

fn warn(text: &str) {
    anstream::eprintln!("warning: {text}");
}

struct Watcher<'a, W> {
    out: &'a mut W,
    format: WatchFormat,
    zone: Zone,
    vms: Vec<String>,
    fail_on: &'a [Alarm],
    tally: Tally,
    registers: Registers<'a>,
    holders: Holders,
    hook: Option<Hook>,
    /// Whether records are printed, and not only read for the holders of devices.
    telling: bool,
    told: u64,
    alarm: bool,
    bad: usize,
    more_bad: u64,
}

impl<'a, W: Write> Watcher<'a, W> {
    fn new(args: &'a WatchArgs, machine: &'a Machine, out: &'a mut W) -> Result<Self> {
        let zone = args.what.zone();
        // Which sessions are those of a virtual machine is known as they come.
        let filter = Filter {
            vms: Vec::new(),
            since: args.what.time(args.since.as_deref())?,
            ..args.what.filter()
        };
        let here = args.file.is_none().then(|| args.root.clone());
        Ok(Self {
            out,
            format: args.format,
            zone,
            vms: args.what.vm.clone(),
            fail_on: &args.fail_on,
            tally: Tally::filtered(0, filter, false),
            registers: Registers::new(machine),
            holders: Holders::new(here),
            hook: match &args.exec {
                Some(command) => Some(Hook::new(command, warn)?),
                None => None,
            },
            telling: true,
            told: 0,
            alarm: false,
            bad: 0,
            more_bad: 0,
        })
    }

    /// Listen to the kernel.
    fn kernel(&mut self, deadline: Option<Instant>) -> Result<()> {
        /// Longer than any machine runs, and short enough to be added to a time.
        const FOR_EVER: Duration = Duration::from_secs(1 << 32);

        let messages = kernel::listen()?;
        while !self.alarm {
            let left = deadline.map_or(FOR_EVER, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            match messages.recv_timeout(left) {
                Ok(Message::Record(line)) => match record::event(line.as_bytes()) {
                    Ok(Some(event)) => self.event(&event)?,
                    Ok(None) => {}
                    Err(error) => self.bad(&format!("a record of the kernel: {error}")),
                },
                Ok(Message::Lost(count)) => self.lost(count)?,
                Ok(Message::Off) => {
                    warn("auditing is off, and nothing is recorded: auditctl -e 1 turns it on")
                }
                Ok(Message::Broken(error)) => return Err(error).context("listening to the kernel"),
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => anyhow::bail!("the listener has ended"),
            }
        }
        Ok(())
    }

    /// Follow a log, or read a pipe to its end.
    fn log(&mut self, file: &Path, deadline: Option<Instant>, from_start: bool) -> Result<()> {
        let name = file.display().to_string();
        let source = match file.to_str() {
            Some("-") => Source::Standard,
            _ => Source::File(file.to_owned()),
        };
        let caught_up = Rc::new(Cell::new(true));
        let stream: Box<dyn Read> = if source.is_file() {
            caught_up.set(false);
            let tail = Tail::new(file, caught_up.clone(), deadline, warn);
            Box::new(tail.with_context(|| name.clone())?)
        } else {
            ensure!(
                deadline.is_none(),
                Usage(format!(
                    "{name} is not a file: --for takes a file, or the kernel's records"
                ))
            );
            source.open(|raw| raw).with_context(|| name.clone())?
        };
        // ausearch -i prints local time, however times are told here.
        let mut reader = LogReader::new(stream, Zone::new(false).zone());
        let mut foreign = Some((0u64, Vec::new()));
        loop {
            let mut failure = None;
            let more = reader.step(|number, item| {
                self.telling = from_start || caught_up.get();
                foreign = match (foreign.take(), &item) {
                    (Some((count, mut sample)), Item::Foreign(line)) => {
                        if sample.len() < MAX_NAMED {
                            sample.push(line[..line.len().min(200)].to_vec());
                        }
                        Some((count + 1, sample))
                    }
                    (foreign, Item::Between) => foreign,
                    _ => None,
                };
                failure = self.item(&name, number, item).err();
            });
            if let Some(error) = failure {
                return Err(error);
            }
            let more = more.map_err(|broken| broken.cause).context(name.clone())?;
            // Ten lines without one record are enough to judge by.
            if let Some((_, sample)) = foreign.take_if(|(count, _)| *count >= MAX_NAMED as u64) {
                let guess = guess::looks_like(&sample);
                warn(&format!(
                    "{name}: no line is an audit record so far: it looks like {guess}"
                ));
            }
            if !more || self.alarm {
                return Ok(());
            }
        }
    }

    fn item(&mut self, name: &str, number: u64, item: Item<'_>) -> Result<()> {
        match item {
            Item::Event(event) => self.event(&event)?,
            Item::Boot(node) => self.tally.boot(node, None),
            Item::Unprinted(count) if self.telling => self.lost(Some(count))?,
            Item::Bad(why) => self.bad(&format!("{name}:{number}: {why}")),
            Item::Unprinted(_) | Item::Again | Item::Other | Item::Between | Item::Foreign(_) => {}
        }
        Ok(())
    }

    fn bad(&mut self, why: &str) {
        match self.bad < MAX_NAMED {
            true => warn(why),
            false => self.more_bad += 1,
        }
        self.bad += 1;
    }

    fn event(&mut self, event: &Event<'_>) -> Result<()> {
        match event {
            Event::Pci(record) => self.record(record)?,
            Event::Virt(virt) => self.tally.add_vm(virt),
            Event::Boot { node, boot, .. } => self.tally.boot(*node, *boot),
        }
        Ok(())
    }

    fn record(&mut self, record: &Record<'_>) -> Result<()> {
        // Nothing is printed after the record that raised the alarm.
        if self.alarm {
            return Ok(());
        }
        if record.kind == Kind::Open {
            // It may be another device, with another holder.
            self.registers.forget(record.node, record.device);
            self.holders.forget(record.device);
        }
        let Some(added) = self.tally.add(record).filter(|added| added.taken) else {
            return Ok(());
        };
        if !self.telling {
            return Ok(());
        }
        let who = self.holders.of(&self.tally, record, added.boot);
        let called =
            |name: &String| Some(name) == who.vm.as_ref() || Some(name) == who.uuid.as_ref();
        if !self.vms.is_empty() && !self.vms.iter().any(called) {
            return Ok(());
        }
        let register = self.registers.of(record);
        let Some(row) = AccessRow::new(record, record.node, &who, register.as_deref()) else {
            return Ok(());
        };
        self.told += 1;
        self.show(&row, Some(&text(&row, &self.zone)))?;
        let of = match (row.op, row.result) {
            ("write", "blocked") => Alarm::BlockedWrite,
            ("read", "blocked") => Alarm::BlockedRead,
            ("write", _) => Alarm::AllowedWrite,
            _ => Alarm::AllowedRead,
        };
        self.alarm |= self.fail_on.contains(&of);
        Ok(())
    }

    /// Messages were lost before they came here.
    fn lost(&mut self, messages: Option<u64>) -> Result<()> {
        let what = match messages {
            Some(count) => format!("{} of audit", plural(count, "message")),
            None => "messages of audit".to_owned(),
        };
        warn(&format!(
            "{what} were lost, which may have included accesses"
        ));
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_millis();
        let row = LostRow {
            kind: "lost",
            time: Stamp(now.try_into().unwrap_or(u64::MAX)),
            messages,
        };
        self.show(&row, None)?;
        self.alarm |= self.fail_on.contains(&Alarm::Lost);
        Ok(())
    }

    /// Show a row at once, as JSON or as the text that it has for people, and have the command run
    /// for it.
    fn show(&mut self, row: &impl Serialize, text: Option<&str>) -> Result<()> {
        let mut json = Vec::new();
        if self.format == WatchFormat::Json || self.hook.is_some() {
            export::line(row, &mut json)?;
        }
        match (self.format, text) {
            (WatchFormat::Json, _) => self.out.write_all(&json)?,
            (WatchFormat::Text, Some(text)) => writeln!(self.out, "{text}")?,
            (WatchFormat::Text, None) => {}
        }
        self.out.flush()?;
        if let Some(hook) = &self.hook {
            hook.push(String::from_utf8(json)?);
        }
        Ok(())
    }
}

/// A row as people read it.
fn text(row: &AccessRow<'_>, zone: &Zone) -> String {
    let mut text = zone.text(row.time);
    for part in [row.host, Some(&*row.device)].into_iter().flatten() {
        text = text + " " + part;
    }
    let range = match (row.offset, row.size) {
        (Some(offset), Some(size)) => range_text(&(offset..offset + size)),
        _ => String::new(),
    };
    text += &match row.kind {
        "suppressed" => format!(
            " {} {} without a record of their own",
            plural(row.count, row.op),
            row.result
        ),
        "touched" => format!(
            " {range} touched by {}s {} without a record",
            row.op, row.result
        ),
        _ => format!(" {} {range} {}", row.op, row.result),
    };
    if row.lost > 0 {
        text += &format!(", and {} more that audit refused", row.lost);
    }
    let who = row.who;
    if let Some(vm) = who.vm.as_ref().or(who.uuid.as_ref()) {
        text += &format!(", VM {vm}");
    }
    if let Some(program) = &who.program {
        text += &format!(", {program}");
    }
    if let Some(pid) = who.pid {
        text += &format!(" (pid {pid})");
    }
    if let Some(session) = row.session {
        text += &format!(", session {session}");
    }
    if let Some(register) = row.register {
        text += &format!(": {register}");
    }
    text
}
