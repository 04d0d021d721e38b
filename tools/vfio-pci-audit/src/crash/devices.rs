// SPDX-License-Identifier: GPL-2.0

//! The devices of a machine, each of which is looked at once.

use std::cell::OnceCell;
use std::collections::HashMap;

use pci_config::{Bdf, Id};

use crate::known::machine::Machine;
use crate::known::subject::Subject;

/// The devices that accesses and errors are of.
pub struct Devices<'a> {
    machine: &'a Machine,
    subjects: HashMap<Bdf, Option<Subject>>,
    of_vfio: OnceCell<Option<Vec<(Bdf, Id)>>>,
}

impl<'a> Devices<'a> {
    /// Those of a machine.
    pub fn new(machine: &'a Machine) -> Self {
        Self {
            machine,
            subjects: HashMap::new(),
            of_vfio: OnceCell::new(),
        }
    }

    /// What is known of a device.
    pub fn subject(&mut self, device: Bdf) -> Option<&Subject> {
        let machine = self.machine;
        let found = self.subjects.entry(device);
        found
            .or_insert_with(|| machine.subject(None, device))
            .as_ref()
    }

    /// The devices that VFIO has, or may get; nothing if the machine is another one, whose devices
    /// are not known.
    pub fn of_vfio(&self) -> Option<&[(Bdf, Id)]> {
        let find = || {
            self.machine.maps.sysfs.as_ref()?;
            let all = self.machine.of_vfio().into_iter();
            Some(all.map(|(bdf, _, of)| (bdf, of.device.id)).collect())
        };
        self.of_vfio.get_or_init(find).as_deref()
    }
}
