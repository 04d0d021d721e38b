// SPDX-License-Identifier: GPL-2.0

//! The rows of `data/registers.toml`, which says what each field means.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::sync::LazyLock;

use anyhow::{Context, Result};
use pci_config::{hex, Capability};
use serde::{Deserialize, Serialize};

use super::device::{Class, Device, Pattern};
use crate::record::Op;

const TEXT: &str = include_str!("../../data/registers.toml");

/// All rows.
pub static DATA: LazyLock<Data> = LazyLock::new(|| {
    // It is part of the program, and the tests read it.
    Data::parse(TEXT).expect("data/registers.toml is well-formed")
});

/// Everything that is known of any device.
#[derive(Debug)]
pub struct Data {
    /// Registers that drivers use.
    pub registers: Vec<Register>,
    /// Places in memory that reach configuration space.
    pub mirrors: Vec<Mirror>,
}

/// The devices that a row is of.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Devices {
    /// Which ids.
    #[serde(default)]
    pub ids: Vec<Pattern>,
    /// The name of ids that several rows share.
    group: Option<String>,
    /// Of which class.
    pub class: Option<Class>,
}

/// A register that drivers use.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs)]
pub struct Register {
    #[serde(flatten)]
    pub devices: Devices,
    pub bytes: Bytes,
    pub op: Ops,
    pub name: String,
    pub source: String,
    pub function: String,
    #[serde(default)]
    pub also: Vec<String>,
    pub breaks: String,
    #[serde(default)]
    pub harmless: bool,
    #[serde(flatten)]
    pub layout: Layout,
    pub note: Option<String>,
}

/// What is known of where a register lies.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Layout {
    /// Devices of which a dump has its bytes unassigned.
    #[serde(default)]
    pub dump: Vec<Pattern>,
    /// Devices of which a text of lspci has.
    #[serde(default)]
    pub lspci: Vec<Pattern>,
    /// The extended capability that has them, where a device has that.
    pub hidden: Option<ExtendedId>,
}

/// The identifier of an extended capability, of four digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct ExtendedId(pub u16);

impl ExtendedId {
    /// What it is called; nothing if Linux does not know it.
    pub fn name(self) -> Option<&'static str> {
        let capability = Capability {
            id: self.0,
            extended: true,
            offset: 0,
            length: 0,
            hidden: true,
        };
        capability.name()
    }
}

impl TryFrom<String> for ExtendedId {
    type Error = anyhow::Error;

    fn try_from(text: String) -> Result<Self> {
        let id = hex(&text, 4).filter(|_| text.len() == 4);
        let id = id.with_context(|| format!("{text:?} is not four digits"))?;
        Ok(Self(id as u16))
    }
}

impl From<ExtendedId> for String {
    fn from(id: ExtendedId) -> Self {
        format!("{:04x}", id.0)
    }
}

/// A place in memory that reaches configuration space.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs)]
pub struct Mirror {
    #[serde(flatten)]
    pub devices: Devices,
    pub bar: u8,
    pub offset: u64,
    pub size: u64,
    pub reaches: String,
    pub source: String,
    pub qemu: Option<String>,
    pub note: Option<String>,
}

impl Data {
    /// Read the text of a file of data.
    fn parse(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            groups: BTreeMap<String, Vec<Pattern>>,
            register: Vec<Register>,
            mirror: Vec<Mirror>,
        }
        let mut file: File = toml::from_str(text)?;
        let rows = file.register.iter_mut().map(|row| &mut row.devices);
        for devices in rows.chain(file.mirror.iter_mut().map(|row| &mut row.devices)) {
            if let Some(name) = &devices.group {
                let group = file.groups.get(name);
                devices.ids = group.with_context(|| format!("no group {name}"))?.clone();
            }
        }
        Ok(Self {
            registers: file.register,
            mirrors: file.mirror,
        })
    }
}

impl Devices {
    /// Whether a device is among them. If its class is not known, rows that a class narrows are of
    /// it only if they name its id.
    pub fn has(&self, device: &Device) -> bool {
        self.matches(device, Pattern::is_exact)
    }

    /// Whether a device may be among them; its class may be unknown.
    pub fn may_be_of(&self, device: &Device) -> bool {
        self.matches(device, |_| true)
    }

    /// Whether a device is among them. `without_class` decides if that depends on a class that is
    /// unknown.
    fn matches(&self, device: &Device, without_class: fn(Pattern) -> bool) -> bool {
        self.ids.iter().any(|pattern| {
            let class = match (self.class, device.class) {
                (Some(class), Some(code)) => class.has(code),
                (Some(_), None) => without_class(*pattern),
                (None, _) => true,
            };
            class && pattern.has(device.id)
        })
    }

    /// Whether a device can be among them that a pattern means.
    pub fn may_have(&self, pattern: Pattern) -> bool {
        self.ids.iter().any(|id| id.meets(pattern))
    }
}

impl Layout {
    /// Whether a device's own dump, or text, shows its bytes.
    pub fn is_verified(&self, device: &Device) -> bool {
        self.dump
            .iter()
            .chain(&self.lspci)
            .any(|id| id.has(device.id))
    }
}

/// Bytes, written as uaccess_allow_ids has them: `488-48b`, END included, or one of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Bytes(Range<usize>);

impl Bytes {
    /// The bytes.
    pub fn range(&self) -> &Range<usize> {
        &self.0
    }
}

impl FromStr for Bytes {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (start, end) = text.split_once('-').unwrap_or((text, text));
        let byte = |text: &str| hex(text, 3).map(|value| value as usize);
        let range = byte(start)
            .zip(byte(end))
            .filter(|(start, end)| start <= end);
        let (start, end) = range.with_context(|| format!("{text:?} is not START-END"))?;
        Ok(Self(start..end + 1))
    }
}

impl TryFrom<String> for Bytes {
    type Error = anyhow::Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

/// What drivers do to a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Ops {
    R,
    W,
    Rw,
}

impl Ops {
    /// Whether an operation is among them.
    pub fn has(self, op: Op) -> bool {
        match op {
            Op::Read => self != Self::W,
            Op::Write => self != Self::R,
        }
    }
}

impl fmt::Display for Ops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::R => "r",
            Self::W => "w",
            Self::Rw => "rw",
        })
    }
}

#[cfg(test)]
#[path = "data_tests.rs"]
mod tests;
