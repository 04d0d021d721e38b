// SPDX-License-Identifier: GPL-2.0

//! How long VFIO takes each capability to be.
//!
//! The tables and the rules of drivers/vfio/pci/vfio_pci_config.c, said again. A length of none
//! means that VFIO hides the capability, so that its bytes stay unassigned.

use crate::config_map::{ConfigSpace, MapError};

/// The highest identifier of a standard capability that Linux 7.3 has a name for.
const CAP_MAX: u8 = 0x14;

/// The same of an extended one.
const EXT_CAP_MAX: u16 = 0x31;

const MSI: u8 = 0x05;
const PCIX: u8 = 0x07;
const HYPERTRANSPORT: u8 = 0x08;
const VENDOR: u8 = 0x09;
const SATA: u8 = 0x12;

/// PCI Express. Its presence is what makes VFIO look for extended capabilities.
pub(crate) const EXPRESS: u8 = 0x10;

/// A length, and whether the capability is one that may have extended ones after it.
pub(crate) struct Length {
    pub(crate) bytes: usize,
    pub(crate) looks_for_extended: bool,
}

/// The length of the standard capability `id` at `pos`.
///
/// `express_flags` is the flags register of the device's first PCI Express capability.
pub(crate) fn standard(
    space: &ConfigSpace<'_>,
    id: u8,
    pos: usize,
    express_flags: u16,
) -> Result<Length, MapError> {
    let mut looks_for_extended = false;
    let bytes = match id {
        0x01 => 8,  // power management
        0x02 => 12, // AGP
        0x03 => 8,  // vital product data
        MSI => {
            let flags = space.word(pos + 2)?;
            let wide = if flags & 0x80 != 0 { 4 } else { 0 };
            let maskable = if flags & 0x100 != 0 { 10 } else { 0 };
            10 + wide + maskable
        }
        PCIX => {
            let version = (space.word(pos + 2)? >> 12) & 3;
            looks_for_extended = version != 0;
            if version != 0 {
                24
            } else {
                8
            }
        }
        HYPERTRANSPORT if space.byte(pos + 3) & 0xe0 != 0 => 24,
        HYPERTRANSPORT => 28,
        VENDOR => space.byte(pos + 2).into(),
        EXPRESS => {
            looks_for_extended = true;
            let integrated = (express_flags >> 4) & 0xf == 9;
            match (express_flags & 0xf == 1, integrated) {
                (true, true) => 0x0c,
                (true, false) => 0x14,
                (false, true) => 0x2c,
                (false, false) => 0x34,
            }
        }
        0x11 => 12, // MSI-X
        SATA if space.byte(pos + 4) & 0xf == 0xf => 16,
        SATA => 8,
        0x13 => 6, // advanced features
        0x00 | 0x04 | 0x06 | 0x0a..=0x0f | 0x14..=0xff => 0,
    };
    debug_assert!(bytes == 0 || id <= CAP_MAX);
    Ok(Length {
        bytes,
        looks_for_extended,
    })
}

/// The length of the extended capability `id` at `pos`.
pub(crate) fn extended(space: &ConfigSpace<'_>, id: u16, pos: usize) -> Result<usize, MapError> {
    Ok(match id {
        0x01 => 0x2c, // advanced error reporting, without the root's registers
        0x02 | 0x08 | 0x09 => virtual_channel(space, pos)?,
        0x03 => 12,                                            // serial number
        0x04 => 16,                                            // power budgeting
        0x0b | 0x23 => (space.dword(pos + 4)? >> 20) as usize, // vendor's own, both kinds
        0x0d => access_control(space, pos),
        0x0e | 0x0f | 0x18 => 8, // ARI, ATS, latency tolerance
        0x10 => 0x40,            // SR-IOV
        0x12 => 40,              // multicast
        0x13 => 16,              // page requests
        0x15 => 4 + usize::from(space.byte(pos + 8) >> 5) * 8, // resizable BARs
        0x16 => 16 + usize::from(space.byte(pos + 4) & 0x1f) + 1, // dynamic power
        0x17 => steering(space, pos)?,
        _ => {
            debug_assert!(id > EXT_CAP_MAX || hidden(id));
            0
        }
    })
}

/// Whether Linux names an extended capability, yet VFIO hides it.
fn hidden(id: u16) -> bool {
    matches!(id, 0x00 | 0x05..=0x07 | 0x0a | 0x0c | 0x11 | 0x14 | 0x19..=0x22 | 0x24..=0x31)
}

fn virtual_channel(space: &ConfigSpace<'_>, pos: usize) -> Result<usize, MapError> {
    let channels = (space.dword(pos + 4)? & 7) as usize;
    let arbitration = space.dword(pos + 8)?;
    let phases = match arbitration {
        bits if bits & 8 != 0 => 128,
        bits if bits & 4 != 0 => 64,
        bits if bits & 2 != 0 => 32,
        _ => 0,
    };
    let length = 0x10 + (1 + channels) * 0x0c;
    Ok(match phases {
        0 => length,
        phases => length.next_multiple_of(16) + phases * 4 / 8,
    })
}

fn access_control(space: &ConfigSpace<'_>, pos: usize) -> usize {
    if space.byte(pos + 4) & 0x20 == 0 {
        return 8;
    }
    let bits = match space.byte(pos + 5) {
        0 => 256,
        bits => usize::from(bits).next_multiple_of(32),
    };
    8 + bits / 8
}

fn steering(space: &ConfigSpace<'_>, pos: usize) -> Result<usize, MapError> {
    let caps = space.dword(pos + 4)?;
    let table_here = caps & 0x600 == 0x200;
    let entries = ((caps >> 16) & 0x7ff) as usize;
    Ok(if table_here { 12 + entries * 2 + 2 } else { 12 })
}
