// SPDX-License-Identifier: GPL-2.0

//! What is kept of a ring: its events as the kernel prints them, below a few lines that say when
//! the boot began and what could not be read.

use std::fmt::Write;
use std::fs;
use std::io::BufRead;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::event::Event;
use super::text::{self, Line};
use crate::record::number;

/// How many rings are kept.
const KEPT: usize = 10;
/// Which bad lines are named.
const NAMED: usize = 5;
/// What is known of the boot whose events the ring takes.
const STATE: &str = "ring.json";

/// The events of a ring, and what could not be read of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ring {
    /// Where they were read.
    pub from: String,
    /// The accesses, in the order of time.
    pub events: Vec<Event>,
    /// When the boot began, in microseconds since 1970.
    pub booted: Option<u64>,
    /// How many events were overwritten before.
    pub lost: u64,
    /// Events of ours of which the kernel that printed them did not know the format.
    pub unknown: u64,
    /// Events of ours that were decoded as those of another event, and what that is called.
    pub wrong: u64,
    /// The first such name.
    pub wrong_name: Option<String>,
    /// Lines that make no sense.
    pub bad: u64,
    /// The first of them.
    pub named: Vec<String>,
}

/// What is kept on disk of the boot whose events the ring takes.
#[derive(Debug, Deserialize, Serialize)]
struct State {
    /// The kernel's name for the boot.
    boot: String,
    /// When it began, in microseconds since 1970.
    booted: u64,
}

impl Ring {
    /// Read what the kernel prints, or what was saved.
    pub fn read(from: String, lines: impl BufRead) -> Result<Self> {
        let mut ring = Self {
            from,
            ..Self::default()
        };
        for (at, line) in lines.split(b'\n').enumerate() {
            let line = line.with_context(|| ring.from.clone())?;
            let line = String::from_utf8_lossy(&line);
            if let Some(booted) = line.strip_prefix("# booted: ") {
                ring.booted = booted.split(' ').next().and_then(number);
            }
            ring.line(&line, at + 1);
        }
        ring.events.sort_by_key(|event| event.ns);
        Ok(ring)
    }

    fn line(&mut self, line: &str, at: usize) {
        match text::line(line) {
            Line::Event(event) => self.events.push(event),
            Line::Nothing => {}
            Line::Lost(count) => self.lost = self.lost.saturating_add(count),
            Line::Unknown(_) => self.unknown += 1,
            Line::Other(name) => {
                self.wrong += 1;
                self.wrong_name.get_or_insert(name);
            }
            Line::Bad(why) => self.complain(format!("{at}: {why}")),
        }
    }

    /// Note something that makes no sense.
    pub fn complain(&mut self, why: String) {
        self.bad += 1;
        if self.named.len() < NAMED {
            self.named.push(format!("{}:{why}", self.from));
        }
    }

    /// Whether there is nothing at all.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.unknown + self.wrong + self.bad == 0
    }

    /// What has to be said of it, for standard error.
    pub fn complaints(&self) -> Vec<String> {
        let mut all = self.named.clone();
        let more = self.bad - self.named.len() as u64;
        if more > 0 {
            all.push(format!("{more} more lines cannot be read"));
        }
        if self.unknown > 0 {
            all.push(format!(
                "{} of the ring cannot be decoded by this kernel yet: \"modprobe pci_audit\" and \
                 look again, or use --rearm, which needs no module and empties the ring",
                crate::words::plural(self.unknown, "event")
            ));
        }
        if let Some(name) = &self.wrong_name {
            all.push(format!(
                "{} of the ring were decoded WRONGLY, as {name} and the like, since ids of events \
                 differ from boot to boot: nothing is told of them; --rearm decodes them without \
                 ids and empties the ring",
                crate::words::plural(self.wrong, "event")
            ));
        }
        all
    }

    /// What is saved of it.
    fn text(&self, boot: Option<&str>) -> String {
        let mut text = String::from("# vfio-pci-audit: accesses of a boot that ended\n");
        if let Some(boot) = boot {
            let _ = writeln!(text, "# boot: {boot}");
        }
        if let Some(booted) = self.booted {
            let _ = writeln!(text, "# booted: {booted} microseconds since 1970");
        }
        if self.lost > 0 {
            let _ = writeln!(text, "CPU:0 [LOST {} EVENTS]", self.lost);
        }
        for event in &self.events {
            let _ = writeln!(text, "{event}");
        }
        text
    }

    /// Save it in a folder, and forget what was saved longest ago. Where it is.
    pub fn save(&self, folder: &Path) -> Result<PathBuf> {
        let state = state(folder);
        let ring = Self {
            booted: self.booted.or(state.as_ref().map(|state| state.booted)),
            ..self.clone()
        };
        let boot = state.map(|state| state.boot);
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let number = saved(folder).last().map_or(1, |(number, _)| number + 1);
        let path = folder.join(format!("boot-{number}.trace"));
        // The ring is emptied next: what is saved has to be on the disk.
        let new = folder.join("new");
        write(&new, &ring.text(boot.as_deref()))?;
        fs::rename(&new, &path).with_context(|| path.display().to_string())?;
        let all = saved(folder);
        for (_, old) in &all[..all.len().saturating_sub(KEPT)] {
            fs::remove_file(old).with_context(|| old.display().to_string())?;
        }
        Ok(path)
    }

    /// Read the ring that was saved last; nothing if there is none.
    pub fn last_saved(folder: &Path) -> Result<Option<Self>> {
        let Some((_, path)) = saved(folder).pop() else {
            return Ok(None);
        };
        let name = path.display().to_string();
        let file = fs::File::open(&path).with_context(|| name.clone())?;
        Self::read(name, std::io::BufReader::new(file)).map(Some)
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;

    let write = || {
        let mut file = fs::File::create(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().with_context(|| path.display().to_string())
}

/// The rings that were saved, by number.
fn saved(folder: &Path) -> Vec<(u64, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<(u64, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name();
            let digits = name
                .to_str()?
                .strip_prefix("boot-")?
                .strip_suffix(".trace")?;
            Some((number(digits)?, entry.path()))
        })
        .collect();
    all.sort();
    all
}

/// Note which boot it is whose events the ring takes from now on.
pub fn note_boot(folder: &Path, boot: &str, booted: u64) -> Result<()> {
    let state = State {
        boot: boot.to_owned(),
        booted,
    };
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    write(&folder.join(STATE), &serde_json::to_string(&state)?)
}

fn state(folder: &Path) -> Option<State> {
    serde_json::from_slice(&fs::read(folder.join(STATE)).ok()?).ok()
}

/// When the boot began that was noted, in microseconds since 1970, unless it is `this` one.
pub fn noted(folder: &Path, this: &str) -> Option<u64> {
    let state = state(folder)?;
    (state.boot != this).then_some(state.booted)
}

#[cfg(test)]
mod tests {
    use super::super::pages::tests::event;
    use super::*;

    fn read(text: &str) -> Ring {
        Ring::read("x".to_owned(), text.as_bytes()).unwrap()
    }

    #[test]
    fn what_is_saved_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        note_boot(folder, "before", 1_747_758_000_000_000).unwrap();
        let ring = Ring {
            events: vec![event(5_000, 0x298), event(9_000, 0x29c)],
            lost: 7,
            ..Ring::default()
        };
        let path = ring.save(folder).unwrap();
        assert!(path.ends_with("boot-1.trace"));
        let again = Ring::last_saved(folder).unwrap().unwrap();
        assert_eq!(again.events, ring.events);
        assert_eq!((again.lost, again.booted), (7, Some(1_747_758_000_000_000)));
        assert_eq!(noted(folder, "this"), Some(1_747_758_000_000_000));
        assert_eq!(noted(folder, "before"), None);
        for _ in 0..KEPT + 3 {
            ring.save(folder).unwrap();
        }
        let numbers: Vec<_> = saved(folder)
            .into_iter()
            .map(|(number, _)| number)
            .collect();
        assert_eq!(numbers, (5..=14).collect::<Vec<_>>());
        assert_eq!(Ring::last_saved(&folder.join("none")).unwrap(), None);
    }

    #[test]
    fn what_cannot_be_read_is_counted_and_said() {
        let ring = read(
            "# tracer: nop\n\
             CPU:0 [LOST 3 EVENTS]\n\
             <...>-1 [000] ..... 1.000000: Unknown type 1480\n\
             <...>-1 [000] ..... 1.000000: kvm_exit: reason=4\n\
             hello\n",
        );
        assert_eq!(
            (ring.lost, ring.unknown, ring.wrong, ring.bad),
            (3, 1, 1, 1)
        );
        assert!(!ring.is_empty());
        let said = ring.complaints().join("\n");
        for words in [
            "x:5: not a line of a trace",
            "modprobe pci_audit",
            "WRONGLY, as kvm_exit",
        ] {
            assert!(said.contains(words), "{said}");
        }
        assert!(read("# tracer: nop\n#\n\n").is_empty());
    }
}
