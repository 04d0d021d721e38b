// SPDX-License-Identifier: GPL-2.0

//! Reads logs, and counts what is in them.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::input::Source;
use crate::lines::{self, Line};
use crate::record;
use crate::tally::Tally;

/// Broken lines that are named; more are only counted.
pub const MAX_NAMED: usize = 10;

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct BrokenLine {
    /// The log.
    pub file: String,
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub why: String,
}

/// A log that cannot be read to its end.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Failure {
    /// The log.
    pub file: String,
    /// How many of its lines were read, and count.
    pub lines: u64,
    /// What went wrong.
    pub why: String,
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
}

impl Scan {
    /// Read logs in their order, and remember the last `recent` sessions of each device one by one.
    pub fn read(sources: &[Source], recent: usize) -> Self {
        let mut scan = Self {
            tally: Tally::new(recent),
            files: sources.len(),
            ..Self::default()
        };
        let progress = progress(sources);
        for source in sources {
            progress.set_message(source.name());
            scan.source(source, &progress);
        }
        progress.finish_and_clear();
        scan
    }

    fn source(&mut self, source: &Source, progress: &ProgressBar) {
        let bar = progress.clone();
        let read = match source.open(|raw| bar.wrap_read(raw)) {
            Ok(stream) => lines::for_each(stream, |number, line| self.line(source, number, line))
                .map_err(|broken| (broken.after, broken.cause.to_string())),
            Err(error) => Err((0, format!("{error:#}"))),
        };
        match read {
            Ok(lines) => self.lines += lines,
            Err((lines, why)) => {
                self.lines += lines;
                self.failures.push(Failure {
                    file: source.name(),
                    lines,
                    why,
                });
            }
        }
    }

    fn line(&mut self, source: &Source, number: u64, line: Line<'_>) {
        let why = match line {
            Line::Whole(line) => {
                self.bytes += line.len() as u64 + 1;
                match record::parse(line) {
                    Ok(Some(record)) => return self.tally.add(&record),
                    Ok(None) => return,
                    Err(error) => error.to_string(),
                }
            }
            Line::TooLong => format!("longer than {} bytes", lines::LONGEST),
        };
        self.broken += 1;
        if self.named.len() < MAX_NAMED {
            self.named.push(BrokenLine {
                file: source.name(),
                line: number,
                why,
            });
        }
    }

    /// What has to be said of the logs themselves, for standard error.
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints: Vec<String> = self
            .named
            .iter()
            .map(|broken| format!("{}:{}: {}", broken.file, broken.line, broken.why))
            .collect();
        let rest = self.broken - self.named.len() as u64;
        if rest > 0 {
            complaints.push(format!("{rest} more lines cannot be read"));
        }
        for Failure { file, lines, why } in &self.failures {
            complaints.push(match lines {
                0 => format!("{file}: {why}"),
                _ => format!("{file}: {why}, after {lines} lines"),
            });
        }
        let passed_over = self.tally.passed_over();
        if passed_over > 0 {
            complaints.push(format!(
                "{passed_over} records are of devices beyond the first {}; they are left out",
                crate::tally::MAX_DEVICES
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
