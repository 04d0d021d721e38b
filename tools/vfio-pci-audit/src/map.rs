// SPDX-License-Identifier: GPL-2.0

//! A device's configuration space: the header, the capabilities that VFIO knows, and the unassigned bytes.

use std::fs;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use anstyle::AnsiColor;
use anyhow::{bail, Context, Result};
use pci_audit_core::allow_list::Id;
use pci_config::{dump, Bdf, Capability, ConfigMap, CONVENTIONAL, EXPRESS, STANDARD_HEADER};
use serde::Serialize;

use crate::known::marks::{Marks, MarksReport};
use crate::picture::{self, Dot};
use crate::words::{plural, range_text};

/// What a byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The header that every device has.
    Header,
    /// The capability of this number in the device's lists.
    Capability(usize),
    /// Nothing that VFIO knows.
    Unassigned,
}

/// A device's configuration space.
pub struct Map {
    bdf: Bdf,
    id: Id,
    map: ConfigMap,
    owners: Vec<Owner>,
    /// What is known of unassigned bytes.
    marks: Marks,
    /// Whether there is more than what was read.
    cut: bool,
}

/// The configuration space of a device of this machine, from the folder that sysfs is in.
pub fn from_sysfs(sysfs: &Path, bdf: Bdf) -> Result<Map> {
    let file = sysfs.join(format!("bus/pci/devices/{bdf}/config"));
    let config = fs::read(&file).with_context(|| file.display().to_string())?;
    Map::new(bdf, &config)
}

/// The configuration space of a device in a dump by lspci. Only a dump of one device needs no address.
pub fn from_dump(mut dump: impl Read, bdf: Option<Bdf>) -> Result<Map> {
    let mut text = String::new();
    dump.read_to_string(&mut text)?;
    let devices = dump::parse(&text)?;
    let found = match (bdf, &devices[..]) {
        (None, [device]) => device,
        (None, _) => bail!("it has {} devices: say which one", devices.len()),
        (Some(bdf), _) => devices
            .iter()
            .find(|device| device.bdf == bdf)
            .with_context(|| format!("it has no {bdf}"))?,
    };
    Map::new(found.bdf, &found.config)
}

impl Map {
    /// Make the map of a raw configuration space.
    pub fn new(bdf: Bdf, config: &[u8]) -> Result<Self> {
        if (1..CONVENTIONAL).contains(&config.len()) {
            bail!(
                "only {} bytes of {bdf} are there; the rest can be read by root only (lspci -xxxx as root dumps it)",
                config.len()
            );
        }
        let map = ConfigMap::parse(config).with_context(|| bdf.to_string())?;
        let owners = (0..map.size()).map(|offset| owner(&map, offset)).collect();
        // PCI Express, whose devices always have 4096 bytes.
        let express = map.capabilities().iter().any(|cap| cap.id == 0x10);
        let word = |at: usize| u16::from_le_bytes([config[at], config[at + 1]]);
        Ok(Self {
            bdf,
            id: Id::new(word(0), word(2)),
            cut: express && map.size() < EXPRESS,
            marks: Marks::new(config, &map),
            map,
            owners,
        })
    }

    /// How many bytes it has.
    pub fn size(&self) -> usize {
        self.map.size()
    }

    /// The device's vendor and device.
    pub fn id(&self) -> Id {
        self.id
    }

    /// What a byte belongs to.
    pub fn owner(&self, offset: usize) -> Owner {
        self.owners[offset]
    }

    /// The capabilities that own a byte, by number.
    pub fn visible(&self) -> impl Iterator<Item = usize> + '_ {
        let caps = self.map.capabilities();
        (0..caps.len()).filter(|index| !caps[*index].is_hidden())
    }

    /// What there is to warn of.
    pub fn complaint(&self) -> Option<String> {
        self.cut.then(|| {
            format!(
                "{}: a PCI Express device has {EXPRESS} bytes, and {} are here (lspci -xxxx as root dumps all)",
                self.bdf,
                self.size()
            )
        })
    }

    /// The device, and how much of it is unassigned.
    pub fn title(&self) -> String {
        let bytes: usize = self.map.all_runs().iter().map(Range::len).sum();
        format!(
            "{} {}: {} of {} bytes are unassigned",
            self.bdf,
            self.id,
            bytes,
            self.size()
        )
    }

    /// The name of what a byte belongs to, and all its bytes.
    pub fn describe(&self, owner: Owner) -> String {
        match owner {
            Owner::Header => format!("{} Header", range_text(&(0..STANDARD_HEADER))),
            Owner::Capability(index) => {
                let cap = &self.map.capabilities()[index];
                let range = cap.offset..cap.range().end.min(self.size());
                format!("{} {}", range_text(&range), name(cap))
            }
            Owner::Unassigned => "Unassigned".to_owned(),
        }
    }

    /// The capabilities whose bytes are unassigned since VFIO hides them, a line for each.
    pub fn hidden_text(&self) -> Vec<String> {
        self.map
            .capabilities()
            .iter()
            .filter(|cap| cap.is_hidden())
            .map(|cap| {
                format!(
                    "{:#05x} {}: VFIO hides it, its bytes are unassigned",
                    cap.offset,
                    name(cap)
                )
            })
            .collect()
    }

    fn glyph(&self, owner: Owner) -> char {
        match owner {
            Owner::Header => '#',
            Owner::Capability(index) => {
                let letters = ('A'..='Z').chain('a'..='z');
                let all: Vec<char> = letters.collect();
                all[index % all.len()]
            }
            Owner::Unassigned => '.',
        }
    }

    fn dot(&self, owner: Owner) -> Dot {
        const COLORS: [AnsiColor; 6] = [
            AnsiColor::Cyan,
            AnsiColor::Yellow,
            AnsiColor::Green,
            AnsiColor::Magenta,
            AnsiColor::Blue,
            AnsiColor::BrightCyan,
        ];
        let glyph = self.glyph(owner);
        match owner {
            Owner::Header => Dot::new(glyph, AnsiColor::White),
            Owner::Capability(index) => Dot::new(glyph, COLORS[index % COLORS.len()]),
            Owner::Unassigned => Dot::new(glyph, AnsiColor::Red),
        }
    }

    /// The picture and what is in it, with `width` bytes a row.
    pub fn text(&self, width: usize) -> String {
        let mut text = format!("{}\n", self.title());
        text += &picture::rows(self.size(), width, |offset| match self.owner(offset) {
            Owner::Unassigned => self
                .marks
                .dot(offset)
                .unwrap_or(self.dot(Owner::Unassigned)),
            owner => self.dot(owner),
        });
        let mut key = |owner| {
            let Dot { glyph, style } = self.dot(owner);
            text += &format!("  {style}{glyph}{style:#} {}\n", self.describe(owner));
        };
        key(Owner::Header);
        self.visible()
            .for_each(|index| key(Owner::Capability(index)));
        let runs = self.map.all_runs();
        for run in &runs {
            let Dot { glyph, style } = self.dot(Owner::Unassigned);
            text += &format!(
                "  {style}{glyph}{style:#} {} Unassigned, {}\n",
                range_text(run),
                plural(run.len() as u64, "byte")
            );
            text += &self.marks.within(run);
        }
        text + &self.marks.beyond()
    }

    /// All of it as a value for a program.
    pub fn json(&self) -> MapReport<'_> {
        MapReport {
            marks: self.marks.report(),
            device: self.bdf.to_string(),
            id: self.id.to_string(),
            size: self.size(),
            capabilities: self
                .map
                .capabilities()
                .iter()
                .map(|cap| CapabilityReport {
                    id: cap.id,
                    extended: cap.extended,
                    name: cap.name(),
                    offset: cap.offset,
                    size: cap.length,
                    hidden: cap.is_hidden(),
                })
                .collect(),
            unassigned: self.map.all_runs().iter().map(Unassigned::new).collect(),
        }
    }
}

fn owner(map: &ConfigMap, offset: usize) -> Owner {
    if map.unassigned(offset) {
        return Owner::Unassigned;
    }
    // Where capabilities overlap, VFIO keeps the one that it came to last.
    let capability = map
        .capabilities()
        .iter()
        .rposition(|cap| cap.range().contains(&offset));
    capability.map_or(Owner::Header, Owner::Capability)
}

fn name(cap: &Capability) -> String {
    format!(
        "[{}] {}",
        cap.id_text(),
        cap.name().unwrap_or("unknown to Linux")
    )
}

/// A map as a value.
#[derive(Debug, Serialize)]
pub struct MapReport<'a> {
    /// The device.
    pub device: String,
    /// `vendor:device`, as uaccess_allow_ids has it.
    pub id: String,
    /// How many bytes it has.
    pub size: usize,
    /// The capabilities in the order of the device's lists.
    pub capabilities: Vec<CapabilityReport>,
    /// The maximal ranges of unassigned bytes.
    pub unassigned: Vec<Unassigned>,
    /// What is known of them.
    #[serde(flatten)]
    pub marks: MarksReport<'a>,
}

/// A capability as a value.
#[derive(Debug, Serialize)]
pub struct CapabilityReport {
    /// Its identifier.
    pub id: u16,
    /// Whether it is in the list that begins at 0x100.
    pub extended: bool,
    /// What it is called; nothing if Linux does not know it.
    pub name: Option<&'static str>,
    /// Its first byte.
    pub offset: usize,
    /// How many bytes VFIO takes it to have.
    pub size: usize,
    /// Whether VFIO hides it, so that its bytes are unassigned.
    pub hidden: bool,
}

/// A range of unassigned bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unassigned {
    /// The first byte.
    pub offset: usize,
    /// How many.
    pub size: usize,
}

impl Unassigned {
    /// A range as a value.
    pub fn new(range: &Range<usize>) -> Self {
        Self {
            offset: range.start,
            size: range.len(),
        }
    }

    /// The bytes.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.size
    }
}
