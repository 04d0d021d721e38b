// SPDX-License-Identifier: GPL-2.0

//! What bytes are called, access by access.

use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use pci_config::Bdf;

use crate::known::knowledge::{self, What};
use crate::known::machine::Machine;
use crate::known::subject::Subject;
use crate::record::{Kind, Op, Record};

/// The most answers that are remembered of a device. A driver accesses few ranges.
const MAX_REMEMBERED: usize = 4096;

/// The names of registers and hidden capabilities, looked up once for each device and range.
pub struct Registers<'a> {
    machine: &'a Machine,
    devices: HashMap<String, HashMap<Bdf, Names>>,
}

/// Those of one device.
#[derive(Default)]
struct Names {
    subject: Option<Subject>,
    found: HashMap<(u32, usize, usize), Option<Rc<str>>>,
}

impl<'a> Registers<'a> {
    /// Those of the devices of a machine and of dumps.
    pub fn new(machine: &'a Machine) -> Self {
        Self {
            machine,
            devices: HashMap::new(),
        }
    }

    /// What the bytes are known to be that a record tells of.
    pub fn of(&mut self, record: &Record<'_>) -> Option<Rc<str>> {
        let (op, offset, size) = match record.kind {
            Kind::Access { op, offset, size } | Kind::Touched { op, offset, size } => {
                (op, offset, size)
            }
            Kind::Open | Kind::Close(_) | Kind::Suppressed { .. } => return None,
        };
        let (node, bdf) = (record.node, record.device);
        let names = self.names(node, bdf);
        let subject = names.subject.as_ref()?;
        let key = (op as u32, offset, size);
        if let Some(found) = names.found.get(&key) {
            return found.clone();
        }
        let found = text(subject, &(offset..offset + size), op);
        if names.found.len() >= MAX_REMEMBERED {
            names.found.clear();
        }
        names.found.insert(key, found.clone());
        found
    }

    fn names(&mut self, node: Option<&str>, bdf: Bdf) -> &mut Names {
        let machine = self.machine;
        let name = node.unwrap_or_default().to_owned();
        let devices = self.devices.entry(name).or_default();
        devices.entry(bdf).or_insert_with(|| Names {
            subject: machine.subject(node, bdf),
            found: HashMap::new(),
        })
    }

    /// Look at a device anew, for it may be another one by now.
    pub fn forget(&mut self, node: Option<&str>, bdf: Bdf) {
        if let Some(devices) = self.devices.get_mut(node.unwrap_or_default()) {
            devices.remove(&bdf);
        }
    }
}

fn text(subject: &Subject, range: &Range<usize>, op: Op) -> Option<Rc<str>> {
    let mut names: Vec<String> = Vec::new();
    for known in knowledge::of(subject, range, op) {
        let name = match known.what {
            What::Register(row) => row.name.clone(),
            What::Hidden(hidden) => {
                let capability = hidden.capability;
                let name = capability.name().map(str::to_owned);
                name.unwrap_or_else(|| format!("capability {}", capability.id_text()))
            }
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    (!names.is_empty()).then(|| names.join(", ").into())
}
