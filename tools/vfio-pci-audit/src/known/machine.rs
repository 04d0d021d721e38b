// SPDX-License-Identifier: GPL-2.0

//! The devices of this machine, or of a dump of another.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use pci_config::{hex, Bdf, Id};

use super::device::Device;
use super::subject::Subject;
use crate::map::Maps;
use crate::space::sysfs_id;

/// Where devices are looked for.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// The configuration spaces.
    pub maps: Maps,
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
    /// The machine whose configuration spaces are found there.
    pub fn new(maps: Maps) -> Self {
        Self { maps }
    }

    /// The device of a log. What a dump has is taken from there.
    pub fn subject(&self, node: Option<&str>, bdf: Bdf) -> Option<Subject> {
        let dumped = self.maps.dumped(bdf).and_then(Subject::of_space);
        let here = || self.maps.is_this(node).then(|| self.here(bdf)).flatten();
        dumped.or_else(here)
    }

    /// Where the devices of this machine are, if it is this one.
    fn devices(&self) -> Option<PathBuf> {
        let sysfs = self.maps.sysfs.as_ref()?;
        Some(sysfs.join("bus/pci/devices"))
    }

    /// The device of a log, of which the user says what it is.
    pub fn named(&self, node: Option<&str>, bdf: Bdf, id: Id) -> Subject {
        let found = self.subject(node, bdf);
        // A device with another id is not the one that the log is about.
        let found = found.filter(|subject| subject.device.id == id);
        found.unwrap_or_else(|| Subject::new(Device { id, class: None }, &[]))
    }

    /// A device of this machine.
    fn here(&self, bdf: Bdf) -> Option<Subject> {
        let folder = self.devices()?.join(bdf.to_string());
        let class = fs::read_to_string(folder.join("class")).ok();
        let device = Device {
            id: sysfs_id(&folder)?,
            class: class.and_then(|text| hex(text.trim().strip_prefix("0x")?, 8)),
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
        let entries = self.devices().map(fs::read_dir).into_iter().flatten();
        let entries = entries.flatten();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut all: Vec<Bdf> = names.filter_map(|name| name.parse().ok()).collect();
        all.sort();
        all
    }

    fn binding(&self, bdf: Bdf) -> Option<Binding> {
        // vfio-pci, and its variants such as mlx5_vfio_pci.
        let is_vfio = |driver: &String| driver.replace('_', "-").ends_with("vfio-pci");
        let folder = self.devices()?.join(bdf.to_string());
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
