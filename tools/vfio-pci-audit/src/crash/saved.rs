// SPDX-License-Identifier: GPL-2.0

//! What is kept of a ring: its events as the kernel prints them, below a few lines that say when
//! the boot began and what could not be read.

use std::fmt::Write;
use std::fs;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::event::Event;
use super::text::{self, Line};
use crate::printable::printable;
use crate::record::number;

/// How many rings are kept.
const KEPT: usize = 10;
/// What a file is called until it is complete.
const NEW: &str = "new";
/// Which bad lines are named.
const NAMED: usize = 5;
/// What saved files begin with.
const SAVED: &str = "# vfio-pci-audit: accesses of a boot that ended";
/// The usual clock of tracing differs from that of the log by up to this, in microseconds: by part
/// of a second from the boot on.
const SKEW: u64 = 500_000;

/// The events of a ring, and what could not be read of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ring {
    /// Where they were read.
    pub from: String,
    /// The accesses, in the order of time.
    pub events: Vec<Event>,
    /// When the boot began, in microseconds since 1970.
    pub booted: Option<u64>,
    /// By how many microseconds its clock may differ from that of the kernel's log.
    pub skew: u64,
    /// How many events were overwritten before.
    pub lost: u64,
    /// Events of ours of which the kernel that printed them did not know the format.
    pub unknown: u64,
    /// Events of ours that were decoded as those of another event, and what that is called.
    pub wrong: u64,
    /// The first such name.
    pub wrong_name: Option<String>,
    /// The number of invalid lines.
    pub bad: u64,
    /// The first of them.
    pub named: Vec<String>,
}

impl Ring {
    /// Read what the kernel prints, or what was saved.
    pub fn read(from: String, lines: impl BufRead) -> Result<Self> {
        let mut ring = Self {
            from,
            skew: SKEW,
            ..Self::default()
        };
        for (at, line) in lines.split(b'\n').enumerate() {
            let line = line.with_context(|| ring.from.clone())?;
            let line = String::from_utf8_lossy(&line);
            // What the module keeps has the log's own clock.
            if line == SAVED {
                ring.skew = 0;
            }
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
                self.wrong_name
                    .get_or_insert_with(|| printable(name).into_owned());
            }
            Line::Bad(why) => self.complain(format!("{at}: {}", printable(why))),
        }
    }

    /// Note an invalid line.
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

    /// The warnings about it, for standard error.
    pub fn complaints(&self) -> Vec<String> {
        let mut all = self.named.clone();
        let more = self.bad - self.named.len() as u64;
        if more > 0 {
            all.push(format!("{more} more lines cannot be read"));
        }
        if self.unknown > 0 {
            all.push(format!(
                "{} of the trace were not decoded, because pci_audit was not loaded in the kernel \
                 that printed them",
                crate::words::plural(self.unknown, "event")
            ));
        }
        if let Some(name) = &self.wrong_name {
            all.push(format!(
                "{} of the trace are ignored, such as {name}: if only accesses were traced, the \
                 kernel decoded them WRONGLY, because event ids differ between boots",
                crate::words::plural(self.wrong, "event")
            ));
        }
        all
    }

    /// What is saved of it.
    fn text(&self) -> String {
        let mut text = format!("{SAVED}\n");
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

    /// Save it in a folder, unless it is saved already, and delete the oldest. Returns the file.
    pub fn save(&self, folder: &Path) -> Result<PathBuf> {
        create(folder).with_context(|| folder.display().to_string())?;
        let text = self.text();
        recover(folder, &text)?;
        let last = saved(folder).pop();
        if let Some((_, path)) = &last {
            if fs::read(path).is_ok_and(|known| known == text.as_bytes()) {
                return Ok(path.clone());
            }
        }
        // The file is complete on disk even if the machine dies again at once.
        write(&folder.join(NEW), &text)?;
        let path = number_new(folder)?;
        let all = saved(folder);
        for (_, old) in &all[..all.len().saturating_sub(KEPT)] {
            fs::remove_file(old).with_context(|| old.display().to_string())?;
        }
        Ok(path)
    }

    /// Read the ring that was saved last; nothing if there is none.
    pub fn last_saved(folder: &Path) -> Result<Option<Self>> {
        saved(folder).pop().map(|(_, path)| open(&path)).transpose()
    }

    /// Read the other rings that were saved: all but this one.
    pub fn other_saved(&self, folder: &Path) -> Result<Vec<Self>> {
        let all: Result<Vec<_>> = saved(folder).iter().map(|(_, path)| open(path)).collect();
        // What is saved has microseconds, and what the kernel keeps nanoseconds.
        let this = self.text();
        let is_other = |ring: &Self| ring.text() != this;
        Ok(all?.into_iter().filter(is_other).collect())
    }
}

fn open(path: &Path) -> Result<Ring> {
    let name = path.display().to_string();
    let file = fs::File::open(path).with_context(|| name.clone())?;
    Ring::read(name, std::io::BufReader::new(file))
}

/// Create a folder that outlives the machine's end from now on.
fn create(folder: &Path) -> io::Result<()> {
    let is_missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let missing: Vec<&Path> = folder.ancestors().take_while(is_missing).collect();
    fs::create_dir_all(folder)?;
    missing
        .iter()
        .filter_map(|folder| folder.parent())
        .try_for_each(sync)
}

/// Have the names in a folder written to disk, which writing a file does not do.
fn sync(folder: &Path) -> io::Result<()> {
    let folder = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    };
    match fs::File::open(folder)?.sync_all() {
        // Some file systems have nothing to write.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        result => result,
    }
}

/// Give the new file the next number. Returns its path.
fn number_new(folder: &Path) -> Result<PathBuf> {
    let number = saved(folder)
        .pop()
        .map_or(1, |(last, _)| last.saturating_add(1));
    let path = folder.join(format!("boot-{number}.trace"));
    fs::rename(folder.join(NEW), &path)
        .and_then(|()| sync(folder))
        .with_context(|| path.display().to_string())?;
    Ok(path)
}

/// Number what an earlier boot saved, if the machine died before that was done. What is a part of
/// `text` is what a disk that was full has of it.
fn recover(folder: &Path, text: &str) -> Result<()> {
    let left = fs::read(folder.join(NEW)).unwrap_or_default();
    if !left.is_empty() && !text.as_bytes().starts_with(&left) {
        number_new(folder)?;
    }
    Ok(())
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

/// Whether rings were saved.
pub fn has_saved(folder: &Path) -> bool {
    !saved(folder).is_empty()
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

#[cfg(test)]
mod tests {
    use super::super::keeper::tests::event;
    use super::*;

    fn read(text: &str) -> Ring {
        Ring::read("x".to_owned(), text.as_bytes()).unwrap()
    }

    #[test]
    fn what_is_saved_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let ring = Ring {
            events: vec![event(5_000, 0x298), event(9_000, 0x29c)],
            booted: Some(1_747_758_000_000_000),
            lost: 7,
            ..Ring::default()
        };
        let path = ring.save(folder).unwrap();
        assert!(path.ends_with("boot-1.trace"));
        let again = Ring::last_saved(folder).unwrap().unwrap();
        assert_eq!(again.events, ring.events);
        assert_eq!((again.lost, again.booted, again.skew), (7, ring.booted, 0));
        assert_eq!(ring.other_saved(folder).unwrap(), []);
        assert_eq!(Ring::default().other_saved(folder).unwrap(), [again]);
        let exact = Ring {
            events: vec![event(5_123, 0x298), event(9_456, 0x29c)],
            ..ring.clone()
        };
        assert_eq!(exact.other_saved(folder).unwrap(), []);
        // The unit that saves is started again.
        assert_eq!(ring.save(folder).unwrap(), path);
        for lost in 0..KEPT as u64 + 3 {
            let ring = Ring {
                lost,
                ..ring.clone()
            };
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
    fn what_was_not_numbered_before_the_machine_died_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let folder = &folder.path().join("state/vfio-pci-audit");
        let ring = |offset| Ring {
            events: vec![event(5_000, offset)],
            ..Ring::default()
        };
        ring(0x290).save(folder).unwrap();
        fs::write(folder.join(NEW), ring(0x294).text()).unwrap();
        let path = ring(0x298).save(folder).unwrap();
        assert!(path.ends_with("boot-3.trace"), "{path:?}");
        let offsets = |folder| {
            let all = saved(folder).into_iter();
            let offset = |(_, path): (_, PathBuf)| open(&path).unwrap().events[0].offset;
            all.map(offset).collect::<Vec<_>>()
        };
        assert_eq!(offsets(folder), [0x290, 0x294, 0x298]);
        assert!(!folder.join(NEW).exists());
        // The disk was full, or the machine died before the first byte.
        let text = ring(0x29c).text();
        for left in ["", &text[..text.len() / 2], &text] {
            fs::write(folder.join(NEW), left).unwrap();
            ring(0x29c).save(folder).unwrap();
            assert_eq!(offsets(folder), [0x290, 0x294, 0x298, 0x29c]);
        }
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
        assert_eq!(ring.skew, SKEW);
        let said = ring.complaints().join("\n");
        for words in [
            "x:5: not a line of a trace",
            "pci_audit was not loaded",
            "such as kvm_exit: ",
        ] {
            assert!(said.contains(words), "{said}");
        }
        assert!(read("# tracer: nop\n#\n\n").is_empty());
    }
}
