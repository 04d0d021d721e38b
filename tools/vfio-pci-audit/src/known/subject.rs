// SPDX-License-Identifier: GPL-2.0

//! A device with its configuration space, as far as it is there.

use std::ops::Range;

use pci_config::hidden::{hidden, Hidden};
use pci_config::{ConfigMap, Header, Id, NoMap, CONVENTIONAL, STANDARD_HEADER};

use super::data::{Register, DATA};
use super::device::Device;
use crate::space::limit;

/// A device, and which of its bytes VFIO knows.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What it is.
    pub device: Device,
    space: Option<Space>,
}

#[derive(Clone, Debug)]
struct Space {
    map: ConfigMap,
    hidden: Vec<Hidden>,
}

impl Subject {
    /// A device with as much of its configuration space as could be read. Only all of it tells
    /// which bytes are unassigned.
    pub fn new(device: Device, config: &[u8]) -> Self {
        let least = limit(device.id).unwrap_or(CONVENTIONAL).min(CONVENTIONAL);
        let whole = config.len() >= least;
        let map = whole.then(|| ConfigMap::parse(config).ok()).flatten();
        Self {
            device,
            space: map.map(|map| Space {
                hidden: hidden(config, &map),
                map,
            }),
        }
    }

    /// A device that says itself what it is; nothing if it does not, as a virtual function or one
    /// that is off.
    pub fn from_config(config: &[u8]) -> Option<Self> {
        const VENDOR: usize = 0x00;
        const DEVICE: usize = 0x02;
        const CLASS: usize = 0x09;

        let header = config.get(..STANDARD_HEADER)?;
        let word = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let class = [header[CLASS], header[CLASS + 1], header[CLASS + 2], 0];
        let device = Device {
            id: Id::new(word(VENDOR), word(DEVICE)),
            class: Some(u32::from_le_bytes(class)),
        };
        (word(VENDOR) != 0xffff).then(|| Self::new(device, config))
    }

    /// The device whose space was read from somewhere that may say what it is; nothing if neither
    /// does, or it is off.
    pub fn of_space(space: &crate::space::Space) -> Option<Self> {
        let header = Header::parse(&space.config);
        if header.is_some_and(|header| header.check() == Err(NoMap::AllOnes)) {
            return None;
        }
        let device = Device {
            id: space.id?,
            class: header.map(|header| header.class),
        };
        Some(Self::new(device, space.usable()))
    }

    /// The registers that drivers are known to use on it.
    pub fn registers(&self) -> impl Iterator<Item = &'static Register> + '_ {
        let rows = DATA.registers.iter();
        rows.filter(|row| row.devices.has(&self.device) && self.may_have(row))
    }

    /// Whether the device may have a register. One that is part of a capability takes a device with
    /// that capability.
    fn may_have(&self, row: &Register) -> bool {
        let (Some(space), Some(id), []) = (&self.space, row.layout.hidden, &row.layout.dump[..])
        else {
            return true;
        };
        let mut hidden = space.hidden.iter().map(|hidden| hidden.capability);
        hidden.any(|cap| cap.extended && cap.id == id.0)
    }

    /// Which of some bytes are unassigned; nothing if that is not known.
    pub fn unassigned(&self, range: &Range<usize>) -> Option<Vec<Range<usize>>> {
        self.map().map(|map| map.runs(range.clone()))
    }

    /// What VFIO knows of its bytes.
    pub fn map(&self) -> Option<&ConfigMap> {
        self.space.as_ref().map(|space| &space.map)
    }

    /// The hidden capabilities; none if they are not known.
    pub fn hidden(&self) -> &[Hidden] {
        self.space.as_ref().map_or(&[], |space| &space.hidden)
    }
}
