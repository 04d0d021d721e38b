// SPDX-License-Identifier: GPL-2.0

//! Reads logs, and counts what is in them.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::tz::TimeZone;
use tempfile::NamedTempFile;

use crate::by_session::BySession;
use crate::copies::{Past, Shadows, Spans};
use crate::filter::Filter;
use crate::guess;
use crate::input::Source;
use crate::log::{Item, LogReader};
use crate::order::order;
use crate::record::{Event, Record};
use crate::tally::{Tally, MAX_DEVICES};
use crate::time;
use crate::words::plural;

/// Broken lines that are named; more are only counted.
pub const MAX_NAMED: usize = 10;

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
pub struct BrokenLine {
    /// The log.
    pub file: String,
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub why: String,
}

/// A log that cannot be read to its end.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
pub struct Failure {
    /// The log.
    pub file: String,
    /// How many of its lines were read, and count.
    pub lines: u64,
    /// What went wrong.
    pub why: String,
}

/// How to read.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many of the last sessions of each device are remembered one by one.
    pub recent: usize,
    /// Whether it is remembered where their accesses went.
    pub places: bool,
    /// What is asked for.
    pub filter: Filter,
    /// Where `ausearch -i` was run.
    pub zone: TimeZone,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            recent: 3,
            places: false,
            filter: Filter::default(),
            zone: TimeZone::UTC,
        }
    }
}

/// What was read.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// What is known of every device.
    pub tally: Tally,
    /// How many logs.
    pub files: usize,
    /// How many lines, of any type.
    pub lines: u64,
    /// How many bytes they have, unpacked.
    pub bytes: u64,
    /// How many of the lines cannot be read.
    pub broken: u64,
    /// The first of them.
    pub named: Vec<BrokenLine>,
    /// The logs that cannot be read to their end.
    pub failures: Vec<Failure>,
    /// How many records two logs have, or one has twice; they count once.
    pub twice: u64,
    /// How many records the kernel did not print, where no daemon took them.
    pub unprinted: u64,
    warnings: Vec<String>,
}

/// The most sessions of one device that are remembered where logs are read twice.
pub const MANY: usize = 1 << 16;

/// Is called with each matching record and the boot of its machine.
pub type Visit<'a> = &'a mut dyn FnMut(&Record<'_>, u64);

/// Logs that are read more than once: who held a device is known when all is read.
pub struct Logs {
    sources: Vec<Source>,
    /// Copies of what can be read only once; they are deleted when this is dropped.
    _kept: Vec<NamedTempFile>,
}

impl Logs {
    /// Those of sources, of which some may be pipes.
    pub fn keep(sources: &[Source]) -> Result<Self> {
        let mut kept = Vec::new();
        let mut again = Vec::new();
        for source in sources {
            if source.is_file() {
                again.push(source.clone());
                continue;
            }
            let (copy, file) = source.keep().with_context(|| source.name())?;
            kept.push(file);
            again.push(copy);
        }
        Ok(Self {
            sources: again,
            _kept: kept,
        })
    }

    /// Read them for all sessions of the machines and devices that are asked for.
    pub fn scan_all(&self, options: &Options) -> Scan {
        let all = Options {
            recent: MANY,
            places: false,
            filter: Filter {
                devices: options.filter.devices.clone(),
                nodes: options.filter.nodes.clone(),
                ..Filter::default()
            },
            ..options.clone()
        };
        Scan::once(&self.sources, &all)
    }

    /// The same options, with the sessions of the virtual machines that are asked for.
    pub fn chosen(&self, options: &Options) -> Options {
        let mut options = options.clone();
        if !options.filter.vms.is_empty() {
            let chosen = self.scan_all(&options).choose(&options.filter.vms);
            options.filter.chosen = Some(chosen);
        }
        options
    }

    /// Read them, and show each record that is asked for.
    pub fn scan(&self, options: &Options, visit: Visit<'_>) -> Scan {
        Scan::visit(&self.sources, options, visit)
    }
}

/// What is found out of one log while it is read.
#[derive(Default)]
struct Progress {
    /// Records that cannot be read, as far as they are named.
    bad_lines: Vec<(u64, String)>,
    bad: u64,
    /// Lines that are no record, as far as they may have to be named.
    foreign_lines: Vec<u64>,
    foreign: u64,
    records: u64,
    /// The first lines that are no record.
    sample: Vec<Vec<u8>>,
    spans: Spans,
    /// The machines that were booted since their last event.
    booted: BTreeSet<Option<String>>,
    /// Where time ran backwards first, by how much, and how often.
    back: Option<(u64, u64)>,
    backs: u64,
}

impl Scan {
    /// Read logs, and remember the last `recent` sessions of each device one by one.
    pub fn read(sources: &[Source], recent: usize) -> Self {
        let options = Options {
            recent,
            ..Options::default()
        };
        Self::once(sources, &options)
    }

    /// Read logs as they are asked for.
    pub fn with(sources: &[Source], options: &Options) -> Result<Self> {
        if options.filter.vms.is_empty() {
            return Ok(Self::once(sources, options));
        }
        let logs = Logs::keep(sources)?;
        Ok(logs.scan(&logs.chosen(options), &mut |_, _| ()))
    }

    /// The sessions of virtual machines.
    fn choose(&self, names: &[String]) -> BySession<()> {
        let mut chosen = BySession::default();
        for (node, bdf, device) in self.tally.devices() {
            let vms = self.tally.vms(node);
            for session in device.sessions.recent() {
                let vm = session.vm(vms, bdf);
                if vm.is_some_and(|vm| names.iter().any(|name| vm.is_called(name))) {
                    chosen.add(node, bdf, session, ());
                }
            }
        }
        chosen
    }

    fn once(sources: &[Source], options: &Options) -> Self {
        Self::visit(sources, options, &mut |_, _| ())
    }

    fn visit(sources: &[Source], options: &Options, visit: Visit<'_>) -> Self {
        let (logs, again) = order(sources, &options.zone);
        let mut scan = Self {
            tally: Tally::filtered(options.recent, options.filter.clone(), options.places),
            files: logs.len(),
            ..Self::default()
        };
        for name in again {
            scan.warnings
                .push(format!("{name} is named twice: it is read once"));
        }
        let progress = progress(sources);
        let mut past = Past::default();
        for log in &logs {
            progress.set_message(log.name());
            if let Some(spans) = scan.log(log, &past, (options, &progress), visit) {
                past.add(log, spans);
            }
        }
        progress.finish_and_clear();
        scan
    }

    /// Read one log; the times of its events.
    fn log(
        &mut self,
        source: &Source,
        past: &Past,
        (options, bar): (&Options, &ProgressBar),
        visit: Visit<'_>,
    ) -> Option<Spans> {
        let zone = &options.zone;
        let stream = match source.open(|raw| bar.wrap_read(raw)) {
            Ok(stream) => stream,
            Err(error) => {
                self.fail(source, 0, format!("{error:#}"));
                return None;
            }
        };
        let mut shadows = Shadows::new(past, zone.clone());
        let mut reader = LogReader::new(stream, zone.clone());
        let mut state = Progress::default();
        let broken = loop {
            let more = reader.step(|number, item| {
                self.item(number, item, &mut state, &mut shadows, visit);
            });
            match more {
                Ok(true) => {}
                Ok(false) => break None,
                Err(broken) => break Some(broken),
            }
        };
        self.lines += reader.number;
        self.bytes += reader.bytes;
        let how = (reader.plain, broken.is_none());
        let spans = self.finish(source, state, shadows, how);
        if let Some(broken) = broken {
            self.fail(source, broken.after, broken.cause.to_string());
        }
        Some(spans)
    }

    fn item(
        &mut self,
        number: u64,
        item: Item<'_>,
        state: &mut Progress,
        shadows: &mut Shadows<'_>,
        visit: Visit<'_>,
    ) {
        match item {
            Item::Event(event) => {
                state.records += 1;
                self.event(number, &event, state, shadows, visit);
            }
            Item::Again => {
                state.records += 1;
                self.twice += 1;
            }
            Item::Other => state.records += 1,
            Item::Between => {}
            Item::Unprinted(count) => self.unprinted = self.unprinted.saturating_add(count),
            // No more machines than are told of.
            Item::Boot(node) if state.booted.len() < MAX_DEVICES => {
                state.booted.insert(node.map(str::to_owned));
            }
            Item::Boot(_) => {}
            Item::Bad(why) => {
                state.bad += 1;
                if state.bad_lines.len() < MAX_NAMED {
                    state.bad_lines.push((number, why));
                }
            }
            Item::Foreign(line) => {
                state.foreign += 1;
                if state.foreign_lines.len() < MAX_NAMED {
                    state.foreign_lines.push(number);
                    state.sample.push(line[..line.len().min(200)].to_vec());
                }
            }
        }
    }

    fn event(
        &mut self,
        number: u64,
        event: &Event<'_>,
        state: &mut Progress,
        shadows: &mut Shadows<'_>,
        visit: Visit<'_>,
    ) {
        let booted =
            !state.booted.is_empty() && state.booted.remove(&event.node().map(str::to_owned));
        if shadows.have(event) {
            // A copy of a log that was read has no boots of its own.
            self.twice += u64::from(matches!(event, Event::Pci(_)));
            return;
        }
        if booted {
            self.tally.boot(event.node(), None);
        }
        state.spans.add(event);
        match event {
            Event::Pci(record) => {
                let Some(added) = self.tally.add(record) else {
                    return;
                };
                if let Some(back) = added.back {
                    state.back.get_or_insert((number, back));
                    state.backs += 1;
                }
                if added.taken {
                    visit(record, added.boot);
                }
            }
            Event::Virt(virt) => self.tally.add_vm(virt),
            Event::Boot { node, boot, .. } => self.tally.boot(*node, *boot),
        }
    }

    /// Note the errors and warnings of a log that was read; the times of its events.
    fn finish(
        &mut self,
        source: &Source,
        state: Progress,
        shadows: Shadows<'_>,
        (plain, whole): (bool, bool),
    ) -> Spans {
        let name = source.name();
        // The next log may have what came after.
        for node in &state.booted {
            self.tally.boot(node.as_deref(), None);
        }
        let mut lines = state.bad_lines;
        self.broken += state.bad;
        // Other lines are as they should be in the log of a system, and damage in one of auditd's.
        if plain {
            self.broken += state.foreign;
            let foreign = state.foreign_lines.iter();
            lines.extend(foreign.map(|line| (*line, "not an audit record".to_owned())));
            lines.sort();
        }
        for (line, why) in lines {
            if self.named.len() < MAX_NAMED {
                self.named.push(BrokenLine {
                    file: name.clone(),
                    line,
                    why,
                });
            }
        }
        let nothing = state.records == 0 && state.bad == 0 && state.foreign > 0;
        if whole && nothing && !source.is_journal() {
            let guess = guess::looks_like(&state.sample);
            self.fail(
                source,
                0,
                format!("no line is an audit record: it looks like {guess}"),
            );
        }
        if let Some((line, back)) = state.back {
            self.warnings.push(format!(
                "{name}:{line}: time goes backwards by {} ({} in all): the logs may be in the \
                 wrong order or of two machines; sessions may be wrong",
                time::span(back),
                plural(state.backs, "record")
            ));
        }
        for complaint in shadows.complaints(&name) {
            if !self.warnings.contains(&complaint) {
                self.warnings.push(complaint);
            }
        }
        state.spans
    }

    fn fail(&mut self, source: &Source, lines: u64, why: String) {
        self.failures.push(Failure {
            file: source.name(),
            lines,
            why,
        });
    }

    /// The warnings about the logs, for standard error.
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints: Vec<String> = self
            .named
            .iter()
            .map(|broken| format!("{}:{}: {}", broken.file, broken.line, broken.why))
            .collect();
        let rest = self.broken - self.named.len() as u64;
        if rest > 0 {
            complaints.push(format!("{} cannot be read", plural(rest, "more line")));
        }
        for Failure { file, lines, why } in &self.failures {
            complaints.push(match lines {
                0 => format!("{file}: {why}"),
                _ => format!("{file}: {why}, after {}", plural(*lines, "line")),
            });
        }
        complaints.extend(self.warnings.iter().cloned());
        if self.unprinted > 0 {
            complaints.push(format!(
                "the kernel did not print {}: without an audit daemon, printing is rate-limited",
                plural(self.unprinted, "record")
            ));
        }
        let passed_over = self.tally.passed_over();
        if passed_over > 0 {
            complaints.push(format!(
                "{} of devices after the first {} left out",
                plural(passed_over, "record"),
                crate::tally::MAX_DEVICES
            ));
        }
        let forgotten = self.tally.forgotten_vms();
        if forgotten > 0 {
            complaints.push(format!(
                "{} before the last {} of a host may be left unnamed",
                plural(forgotten, "virtual machine"),
                crate::vms::MAX_VMS
            ));
        }
        complaints
    }
}

/// Shown on a terminal only, and only if there is enough to read for it to matter.
fn progress(sources: &[Source]) -> ProgressBar {
    const WORTH_IT: u64 = 64 << 20;

    let sizes: Option<Vec<u64>> = sources.iter().map(Source::size).collect();
    let total: Option<u64> = sizes.map(|sizes| sizes.iter().sum());
    if !io::stderr().is_terminal() || total.is_some_and(|total| total < WORTH_IT) {
        return ProgressBar::hidden();
    }
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{percent:>3}% {bytes}/{total_bytes} {bytes_per_sec} {eta} left  {msg}",
        ),
        None => (ProgressBar::no_length(), "{bytes} {bytes_per_sec}  {msg}"),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(4));
    bar.with_style(
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
    )
}
