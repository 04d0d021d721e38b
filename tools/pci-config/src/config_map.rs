// SPDX-License-Identifier: GPL-2.0

//! Which bytes of a configuration space VFIO knows.
//!
//! The kernel keeps one byte for each byte of configuration space: the capability that it belongs
//! to, or that it belongs to none. This computes the same from the raw configuration space, as the
//! kernel's vfio_cap_init() and vfio_ecap_init() do, so that a test can tell what the kernel should
//! have thought.

use std::ops::Range;

use crate::{capabilities, Capability, CONVENTIONAL, SIZES, STANDARD_HEADER};

/// The kernel's PCI_CAP_ID_INVALID.
const UNASSIGNED: u8 = 0xff;
/// The kernel's PCI_CAP_ID_INVALID_VIRT: in no capability, yet not unassigned, since VFIO makes it
/// up.
const VIRTUAL: u8 = 0xfe;

/// Why no map can be made. The kernel refuses to open such a device, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// Neither a conventional nor an extended space.
    #[error(
        "a configuration space has 256 or 4096 bytes, or of a few devices 160 or 1536, not {0}"
    )]
    Size(usize),
    /// A register of a capability is not aligned, so it cannot be read.
    #[error("a capability register at {0:#x} is not aligned")]
    Unaligned(usize),
}

/// The raw bytes, read as the kernel reads them.
pub(crate) struct ConfigSpace<'a>(&'a [u8]);

impl<'a> ConfigSpace<'a> {
    pub(crate) fn new(raw: &'a [u8]) -> Self {
        Self(raw)
    }

    /// A byte; all ones where there is nothing, as on the bus.
    pub(crate) fn byte(&self, offset: usize) -> u8 {
        self.0.get(offset).copied().unwrap_or(0xff)
    }

    pub(crate) fn word(&self, offset: usize) -> Result<u16, MapError> {
        if offset % 2 != 0 {
            return Err(MapError::Unaligned(offset));
        }
        Ok(u16::from_le_bytes([
            self.byte(offset),
            self.byte(offset + 1),
        ]))
    }

    pub(crate) fn dword(&self, offset: usize) -> Result<u32, MapError> {
        if offset % 4 != 0 {
            return Err(MapError::Unaligned(offset));
        }
        Ok(u32::from_le_bytes(std::array::from_fn(|i| {
            self.byte(offset + i)
        })))
    }
}

/// For each byte of a configuration space, who VFIO thinks it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigMap {
    owners: Vec<u8>,
    capabilities: Vec<Capability>,
    loops: bool,
}

impl ConfigMap {
    /// Make the map of a raw configuration space: as the device has it, not as VFIO shows it.
    pub fn parse(raw: &[u8]) -> Result<Self, MapError> {
        if !SIZES.contains(&raw.len()) {
            return Err(MapError::Size(raw.len()));
        }
        let space = ConfigSpace::new(raw);
        let mut map = Self::from_owners(vec![UNASSIGNED; raw.len()]);
        map.mark(0, STANDARD_HEADER, 0);
        if map.standard(&space)? {
            map.extended(&space)?;
        }
        map.graphics(&space)?;
        Ok(map)
    }

    /// A map that is given, for tests of what uses one.
    pub fn from_owners(owners: Vec<u8>) -> Self {
        Self {
            owners,
            capabilities: Vec::new(),
            loops: false,
        }
    }

    /// The capabilities in the order of the device's lists, those that VFIO hides included, each
    /// once.
    pub fn capabilities(&self) -> &[Capability] {
        &self.capabilities
    }

    /// Whether a list of capabilities comes back to one that it was at before. The kernel stops
    /// after as many as there is room for.
    pub fn loops(&self) -> bool {
        self.loops
    }

    /// Whether VFIO makes the byte up, though no capability has it.
    pub fn is_virtual(&self, offset: usize) -> bool {
        self.owners.get(offset) == Some(&VIRTUAL)
    }

    /// How many bytes the space has.
    pub fn size(&self) -> usize {
        self.owners.len()
    }

    /// Whether no capability that VFIO knows has the byte. Nothing is unassigned past the end.
    pub fn unassigned(&self, offset: usize) -> bool {
        self.owners.get(offset) == Some(&UNASSIGNED)
    }

    /// The maximal unassigned ranges within a range: the accesses that a system call there makes.
    pub fn runs(&self, within: Range<usize>) -> Vec<Range<usize>> {
        let end = within.end.min(self.size());
        let mut runs: Vec<Range<usize>> = Vec::new();
        for offset in (within.start..end).filter(|offset| self.unassigned(*offset)) {
            match runs.last_mut() {
                Some(run) if run.end == offset => run.end += 1,
                _ => runs.push(offset..offset + 1),
            }
        }
        runs
    }

    /// Every unassigned range of the device.
    pub fn all_runs(&self) -> Vec<Range<usize>> {
        self.runs(0..self.size())
    }

    fn mark(&mut self, start: usize, len: usize, owner: u8) {
        // A capability may claim more than there is.
        let end = (start + len).min(self.size());
        self.owners[start.min(end)..end].fill(owner);
    }

    fn list(&mut self, found: Capability) {
        let mut known = self.capabilities.iter();
        if known.any(|cap| cap.extended == found.extended && cap.offset == found.offset) {
            self.loops = true;
        } else {
            self.capabilities.push(found);
        }
    }

    /// Intel graphics have the address of their OpRegion in the last register of the conventional
    /// space, and vfio_pci_igd.c makes it up. It is taken to be there where the register says that
    /// it is: what the address leads to cannot be looked at from here.
    fn graphics(&mut self, space: &ConfigSpace<'_>) -> Result<(), MapError> {
        const VENDOR: usize = 0x00;
        const INTEL: u16 = 0x8086;
        const BASE_CLASS: usize = 0x0b;
        const DISPLAY: u8 = 0x03;
        const OPREGION: usize = 0xfc;

        let graphics = space.word(VENDOR)? == INTEL && space.byte(BASE_CLASS) == DISPLAY;
        if graphics && !matches!(space.dword(OPREGION)?, 0 | u32::MAX) {
            self.mark(OPREGION, 4, VIRTUAL);
        }
        Ok(())
    }

    /// Walk the standard capabilities, and tell whether there are extended ones.
    fn standard(&mut self, space: &ConfigSpace<'_>) -> Result<bool, MapError> {
        const STATUS: usize = 0x06;
        const HAS_LIST: u16 = 0x10;
        const LIST: usize = 0x34;

        let mut extended = false;
        if space.word(STATUS)? & HAS_LIST == 0 {
            return Ok(extended);
        }
        let express_flags = first_express(space);
        let mut pos = usize::from(space.byte(LIST));
        let mut left = (CONVENTIONAL - STANDARD_HEADER) / 4;
        while pos != 0 && left > 0 {
            left -= 1;
            let id = space.byte(pos);
            let length = capabilities::standard(space, id, pos, express_flags)?;
            if length.looks_for_extended && self.size() > CONVENTIONAL {
                extended = space.dword(CONVENTIONAL)? != 0;
            }
            self.mark(pos, length.bytes, id);
            self.list(Capability {
                id: id.into(),
                extended: false,
                offset: pos,
                length: length.bytes,
                hidden: length.bytes == 0,
            });
            pos = usize::from(space.byte(pos + 1));
        }
        Ok(extended)
    }

    fn extended(&mut self, space: &ConfigSpace<'_>) -> Result<(), MapError> {
        let mut pos = CONVENTIONAL;
        let mut first = true;
        let mut left = (self.size() - CONVENTIONAL) / 4;
        while left > 0 && pos >= CONVENTIONAL {
            left -= 1;
            let header = space.dword(pos)?;
            let id = header as u16;
            let mut length = capabilities::extended(space, id, pos)?;
            let hidden = length == 0;
            if length == 0 && first {
                // There is nothing before it to be linked past it: it stays, as an empty one.
                length = 4;
            }
            if length != 0 {
                // The kernel's map has a byte only, so it keeps the lower half of the identifier.
                self.mark(pos, length, id as u8);
                first = false;
            }
            self.list(Capability {
                id,
                extended: true,
                offset: pos,
                length,
                hidden,
            });
            pos = (header >> 20) as usize & 0xffc;
        }
        Ok(())
    }
}

/// The flags of the first PCI Express capability, which the kernel reads once when it finds the
/// device.
fn first_express(space: &ConfigSpace<'_>) -> u16 {
    let mut pos = usize::from(space.byte(0x34)) & !3;
    for _ in 0..48 {
        if pos < STANDARD_HEADER {
            break;
        }
        match space.byte(pos) {
            0xff => break,
            capabilities::EXPRESS => return space.word(pos + 2).unwrap_or(0),
            _ => pos = usize::from(space.byte(pos + 1)) & !3,
        }
    }
    0
}

#[cfg(test)]
#[path = "config_map_tests.rs"]
mod tests;
