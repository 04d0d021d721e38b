// SPDX-License-Identifier: GPL-2.0

//! A device's configuration space: the header, the capabilities that VFIO knows, and the unassigned
//! bytes.

use std::ops::Range;
use std::path::PathBuf;

use anstyle::AnsiColor;
use anyhow::{bail, Context, Result};
use pci_config::{Bdf, Capability, ConfigMap, Header, Id, CONVENTIONAL, EXPRESS, STANDARD_HEADER};
use serde::Serialize;

use crate::known::marks::{Marks, MarksReport};
use crate::known::subject::Subject;
use crate::picture::{self, Dot};
use crate::space::Space;
use crate::terminal;
use crate::words::{plural, range_text};

/// What a byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The header that every device has.
    Header,
    /// The capability of this number in the device's lists.
    Capability(usize),
    /// No capability: VFIO emulates it.
    Virtual,
    /// Nothing that VFIO knows.
    Unassigned,
}

/// A device's configuration space.
pub struct Map {
    name: String,
    id: Option<Id>,
    map: ConfigMap,
    owners: Vec<Owner>,
    /// What is known of unassigned bytes.
    marks: Marks,
    /// How many bytes there are, if not all were read.
    cut: Option<usize>,
}

impl Map {
    /// Make the map of a configuration space.
    pub fn new(space: &Space) -> Result<Self> {
        let name = space.bdf.map(|bdf| bdf.to_string());
        let name = name.unwrap_or_else(|| "the device".to_owned());
        if space.config.is_empty() {
            bail!("there are no bytes of {name}");
        }
        let config = space.usable();
        let header = Header::parse(config);
        if let Some(Err(no_map)) = header.map(|header| header.check()) {
            bail!("{name} has no map: {no_map}");
        }
        let limit = space.limit();
        if config.len() < limit.unwrap_or(CONVENTIONAL).min(CONVENTIONAL) {
            bail!(
                "only the first {} bytes of {name} are there: run this, or lspci -xxxx, as root",
                config.len()
            );
        }
        let map = ConfigMap::parse(config).with_context(|| name.clone())?;
        let owners = (0..map.size()).map(|offset| owner(&map, offset)).collect();
        // PCI Express, whose devices have 4096 bytes unless the kernel limits them.
        let express = map.capabilities().iter().any(|cap| cap.id == 0x10);
        Ok(Self {
            name,
            id: space.id,
            cut: Some(limit.unwrap_or(EXPRESS)).filter(|all| express && map.size() < *all),
            marks: Marks::new(Subject::of_space(space).as_ref(), config, &map),
            map,
            owners,
        })
    }

    /// How many bytes it has.
    pub fn size(&self) -> usize {
        self.map.size()
    }

    /// The device's vendor and device; nothing for a virtual function of which they are not known.
    pub fn id(&self) -> Option<Id> {
        self.id
    }

    /// The maximal ranges of unassigned bytes.
    pub fn unassigned(&self) -> Vec<Range<usize>> {
        self.map.all_runs()
    }

    /// How many bytes are unassigned.
    pub fn unassigned_bytes(&self) -> usize {
        self.map.all_runs().iter().map(Range::len).sum()
    }

    /// What a byte belongs to.
    pub fn owner(&self, offset: usize) -> Owner {
        self.owners[offset]
    }

    /// Whether a byte is unassigned.
    pub fn is_unassigned(&self, offset: usize) -> bool {
        // There is none past the end.
        self.owners.get(offset) == Some(&Owner::Unassigned)
    }

    /// The capabilities that own a byte, by number.
    pub fn visible(&self) -> impl Iterator<Item = usize> + '_ {
        let caps = self.map.capabilities();
        (0..caps.len()).filter(|index| caps[*index].length > 0)
    }

    /// What there is to warn of.
    pub fn complaints(&self) -> Vec<String> {
        let cut = self.cut.map(|all| {
            format!(
                "{}: a PCI Express device has {all} bytes, but only {} are there: run this, or \
                 lspci -xxxx, as root",
                self.name,
                self.size()
            )
        });
        let loops = self.map.loops().then(|| {
            format!(
                "{}: a capability list loops; VFIO stops after as many capabilities as \
                 configuration space can hold",
                self.name
            )
        });
        cut.into_iter().chain(loops).collect()
    }

    /// The device, and how much of it is unassigned.
    pub fn title(&self) -> String {
        let id = match self.id {
            Some(id) => id.to_string(),
            None => "(a virtual function of unknown id)".to_owned(),
        };
        format!(
            "{} {id}: {} of {} bytes are unassigned",
            self.name,
            self.unassigned_bytes(),
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
                let hidden = match cap.is_hidden() {
                    true => {
                        ": VFIO hides it; only its header is assigned, because it is the first \
                             of the list"
                    }
                    false => "",
                };
                format!("{} {}{hidden}", range_text(&range), name(cap))
            }
            Owner::Virtual => {
                let virtuals = self.bytes_of(Owner::Virtual);
                format!(
                    "{} Address of the OpRegion, which VFIO emulates",
                    range_text(&virtuals)
                )
            }
            Owner::Unassigned => "Unassigned".to_owned(),
        }
    }

    /// From the first to the last byte of an owner.
    fn bytes_of(&self, owner: Owner) -> Range<usize> {
        let first = self.owners.iter().position(|other| *other == owner);
        let last = self.owners.iter().rposition(|other| *other == owner);
        first.unwrap_or_default()..last.map_or(0, |last| last + 1)
    }

    /// What has bytes that are not unassigned, in the order of a key.
    pub fn assigned(&self) -> Vec<Owner> {
        let mut all = vec![Owner::Header];
        all.extend(self.visible().map(Owner::Capability));
        if self.owners.contains(&Owner::Virtual) {
            all.push(Owner::Virtual);
        }
        all
    }

    /// The capabilities whose bytes are unassigned since VFIO hides them, a line for each.
    pub fn hidden_text(&self) -> Vec<String> {
        self.map
            .capabilities()
            .iter()
            .filter(|cap| cap.length == 0)
            .map(|cap| {
                format!(
                    "{:#05x} {}: VFIO hides it, its bytes are unassigned",
                    cap.offset,
                    name(cap)
                )
            })
            .collect()
    }

    /// The character that stands for an owner.
    pub fn glyph(&self, owner: Owner) -> char {
        match owner {
            Owner::Header => '#',
            Owner::Virtual => '+',
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
            Owner::Header | Owner::Virtual => Dot::new(glyph, AnsiColor::White),
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
        let mut key = String::new();
        let mut owners = |owner| {
            let Dot { glyph, style } = self.dot(owner);
            key += &format!("  {style}{glyph}{style:#} {}\n", self.describe(owner));
        };
        self.assigned().into_iter().for_each(&mut owners);
        let runs = self.map.all_runs();
        for run in &runs {
            let Dot { glyph, style } = self.dot(Owner::Unassigned);
            key += &format!(
                "  {style}{glyph}{style:#} {} Unassigned, {}\n",
                range_text(run),
                plural(run.len() as u64, "byte")
            );
            key += &self.marks.within(run);
        }
        text + &terminal::fold(&(key + &self.marks.beyond()))
    }

    /// All of it as a value for a program.
    pub fn json(&self) -> MapReport<'_> {
        MapReport {
            marks: self.marks.report(),
            device: self.name.clone(),
            id: self.id.map(|id| id.to_string()),
            size: self.size(),
            loops: self.map.loops(),
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

/// Finds the map of a device of a log: in dumps, or as it is in this machine.
#[derive(Clone, Debug, Default)]
pub struct Maps {
    /// The spaces of dumps.
    pub spaces: Vec<Space>,
    /// Where sysfs is; nothing if the logs are of another machine.
    pub sysfs: Option<PathBuf>,
    /// The name of this machine.
    pub this: Option<String>,
}

impl Maps {
    /// What a dump has of a device.
    pub fn dumped(&self, bdf: Bdf) -> Option<&Space> {
        self.spaces.iter().find(|space| space.bdf == Some(bdf))
    }

    /// Whether a machine of a log is this one. A device of another is not the one that has its
    /// address here.
    pub fn is_this(&self, node: Option<&str>) -> bool {
        node.is_none() || node == self.this.as_deref()
    }

    /// The map of a device of a machine, if its space is known.
    pub fn find(&self, node: Option<&str>, bdf: Bdf) -> Option<Map> {
        if let Some(space) = self.dumped(bdf) {
            return Map::new(space).ok();
        }
        let sysfs = self.sysfs.as_ref().filter(|_| self.is_this(node))?;
        let space = Space::from_sysfs(sysfs, bdf).ok()?;
        Map::new(&space).ok()
    }
}

fn owner(map: &ConfigMap, offset: usize) -> Owner {
    if map.unassigned(offset) {
        return Owner::Unassigned;
    }
    if map.is_virtual(offset) {
        return Owner::Virtual;
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
    /// `vendor:device`, as uaccess_allow_ids has it; nothing for a virtual function of which it is
    /// not known.
    pub id: Option<String>,
    /// How many bytes it has.
    pub size: usize,
    /// Whether a list of capabilities loops.
    pub loops: bool,
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
