// SPDX-License-Identifier: GPL-2.0

//! The devices of this machine, or of a dump of another.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use pci_audit_core::allow_list::Id;
use pci_config::{dump, hex, Bdf};

use super::device::Device;
use super::subject::Subject;

/// Where devices are looked for.
#[derive(Debug)]
pub struct Machine {
    devices: PathBuf,
    dump: Vec<dump::Device>,
}

/// How a device comes to VFIO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// It has this driver.
    Bound(String),
    /// It would get this one.
    Override(String),
}

impl Machine {
    /// The machine whose files are under `root`. Devices that a dump has are taken from there.
    pub fn new(root: &Path, dump: Option<&Path>) -> Result<Self> {
        let dump = match dump {
            None => Vec::new(),
            Some(file) => read_dump(file).with_context(|| file.display().to_string())?,
        };
        Ok(Self {
            devices: root.join("sys/bus/pci/devices"),
            dump,
        })
    }

    /// The device of a log. A device of another machine is not the one that has its address here.
    pub fn subject(&self, node: Option<&str>, bdf: Bdf) -> Option<Subject> {
        let dumped = self.dump.iter().filter(|device| device.bdf == bdf);
        let mut dumped = dumped.filter_map(|device| Subject::from_config(&device.config));
        let here = || node.is_none().then(|| self.here(bdf)).flatten();
        dumped.next().or_else(here)
    }

    /// The device of a log, of which the user says what it is.
    pub fn named(&self, node: Option<&str>, bdf: Bdf, id: Id) -> Subject {
        let found = self.subject(node, bdf);
        // What is here is another device if its id is another one.
        let found = found.filter(|subject| subject.device.id == id);
        found.unwrap_or_else(|| Subject::new(Device { id, class: None }, &[]))
    }

    /// A device of this machine.
    fn here(&self, bdf: Bdf) -> Option<Subject> {
        let folder = self.devices.join(bdf.to_string());
        let read = |name: &str| {
            let text = fs::read_to_string(folder.join(name)).ok()?;
            hex(text.trim().strip_prefix("0x")?, 8)
        };
        let word = |name: &str| u16::try_from(read(name)?).ok();
        let device = Device {
            id: Id::new(word("vendor")?, word("device")?),
            class: read("class"),
        };
        // Without root there are 64 bytes, which is less than a map needs.
        let config = fs::read(folder.join("config")).unwrap_or_default();
        Some(Subject::new(device, &config))
    }

    /// The devices of this machine that VFIO has, or may get, by address.
    pub fn of_vfio(&self) -> Vec<(Bdf, Binding, Subject)> {
        let mut found = self.all();
        found.retain(|bdf| self.binding(*bdf).is_some());
        found
            .into_iter()
            .filter_map(|bdf| Some((bdf, self.binding(bdf)?, self.here(bdf)?)))
            .collect()
    }

    /// The class of a device of this machine, if there is one with that id.
    pub fn class_of(&self, id: Id) -> Option<u32> {
        let subjects = self.all().into_iter().filter_map(|bdf| self.here(bdf));
        let mut devices = subjects.map(|subject| subject.device);
        devices.find(|device| device.id == id)?.class
    }

    fn all(&self) -> Vec<Bdf> {
        let entries = fs::read_dir(&self.devices).into_iter().flatten();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut all: Vec<Bdf> = names.filter_map(|name| name.parse().ok()).collect();
        all.sort();
        all
    }

    fn binding(&self, bdf: Bdf) -> Option<Binding> {
        // vfio-pci, and its variants such as mlx5_vfio_pci.
        let is_vfio = |driver: &String| driver.replace('_', "-").ends_with("vfio-pci");
        let folder = self.devices.join(bdf.to_string());
        let driver = fs::read_link(folder.join("driver")).ok();
        let driver = driver.and_then(|link| Some(link.file_name()?.to_str()?.to_owned()));
        if let Some(driver) = driver.filter(is_vfio) {
            return Some(Binding::Bound(driver));
        }
        let text = fs::read_to_string(folder.join("driver_override")).ok()?;
        Some(text.trim().to_owned())
            .filter(is_vfio)
            .map(Binding::Override)
    }
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bound(driver) => write!(f, "bound to {driver}"),
            Self::Override(driver) => write!(f, "driver_override {driver}"),
        }
    }
}

fn read_dump(file: &Path) -> Result<Vec<dump::Device>> {
    // Names in it may be of any encoding.
    let bytes = fs::read(file)?;
    Ok(dump::parse(&String::from_utf8_lossy(&bytes))?)
}
