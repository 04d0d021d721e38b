// SPDX-License-Identifier: GPL-2.0

//! What the header of a configuration space says of the device.

use crate::STANDARD_HEADER;

/// Why there is nothing to map though there are bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoMap {
    /// Nothing answers at its address.
    #[error("it reads as all ones: it is powered off or gone, so that nothing is known of it")]
    AllOnes,
    /// A device that VFIO does not hand out.
    #[error("it is a bridge: vfio-pci refuses those")]
    Bridge,
    /// A header that is none of those that there are.
    #[error("its header has the unknown type {0:#04x}: vfio-pci refuses it")]
    Unknown(u8),
}

/// The registers that tell what a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its vendor. Virtual functions have ones here: that of their physical function counts.
    pub vendor: u16,
    /// Which of the vendor's devices.
    pub device: u16,
    /// Base class, subclass and programming interface.
    pub class: u32,
    /// The layout of the rest of the header, without the bit that says that there are more
    /// functions.
    pub layout: u8,
    all_ones: bool,
}

impl Header {
    /// Read it from the first bytes of a space; nothing if they are not all there.
    pub fn parse(config: &[u8]) -> Option<Self> {
        let header = config.get(..STANDARD_HEADER)?;
        let word = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        Some(Self {
            vendor: word(0x00),
            device: word(0x02),
            class: u32::from_le_bytes([header[0x09], header[0x0a], header[0x0b], 0]),
            layout: header[0x0e] & 0x7f,
            all_ones: header.iter().all(|byte| *byte == 0xff),
        })
    }

    /// Whether the identifiers are those that a virtual function shows.
    pub fn is_virtual_function(&self) -> bool {
        !self.all_ones && self.vendor == 0xffff && self.device == 0xffff
    }

    /// Whether VFIO hands such a device out.
    pub fn check(&self) -> Result<(), NoMap> {
        match self.layout {
            _ if self.all_ones => Err(NoMap::AllOnes),
            0 => Ok(()),
            1 | 2 => Err(NoMap::Bridge),
            other => Err(NoMap::Unknown(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(layout: u8, id: [u8; 4]) -> Vec<u8> {
        let mut space = vec![0; STANDARD_HEADER];
        space[..4].copy_from_slice(&id);
        space[0x09..0x0c].copy_from_slice(&[0x02, 0x08, 0x01]);
        space[0x0e] = layout;
        space
    }

    #[test]
    fn which_devices_have_a_map() {
        let id = [0x86, 0x80, 0xc9, 0x10];
        let check = |layout| Header::parse(&space(layout, id)).unwrap().check();
        assert_eq!(check(0x00), Ok(()));
        assert_eq!(check(0x80), Ok(()));
        assert_eq!(check(0x01), Err(NoMap::Bridge));
        assert_eq!(check(0x82), Err(NoMap::Bridge));
        assert_eq!(check(0x03), Err(NoMap::Unknown(3)));
        let gone = Header::parse(&[0xff; 64]).unwrap();
        assert_eq!(gone.check(), Err(NoMap::AllOnes));
        assert!(!gone.is_virtual_function());
        assert_eq!(Header::parse(&[0; 63]), None);
    }

    #[test]
    fn what_it_is() {
        let header = Header::parse(&space(0, [0x86, 0x80, 0xc9, 0x10])).unwrap();
        assert_eq!((header.vendor, header.device), (0x8086, 0x10c9));
        assert_eq!(header.class, 0x01_0802);
        assert!(!header.is_virtual_function());
        assert!(Header::parse(&space(0, [0xff; 4]))
            .unwrap()
            .is_virtual_function());
    }
}
