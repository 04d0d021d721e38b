// SPDX-License-Identifier: GPL-2.0

//! How many bytes a configuration space has.

/// Bytes of the header that every device has.
pub const STANDARD_HEADER: usize = 0x40;
/// Bytes of a conventional device.
pub const CONVENTIONAL: usize = 0x100;
/// Bytes of a PCI Express or PCI-X 2.0 device.
pub const EXPRESS: usize = 0x1000;

/// Bytes that the kernel lets be accessed of IBM's Citrine (drivers/pci/quirks.c).
const CITRINE: usize = 0xa0;
/// The same of Netronome's NFP.
const NETRONOME: usize = 0x600;

/// The sizes that there are.
pub const SIZES: [usize; 4] = [CITRINE, CONVENTIONAL, NETRONOME, EXPRESS];

/// Vendor and device of those that the kernel limits to fewer bytes than their bus has, and how
/// many they are.
pub const LIMITED: [(u16, u16, usize); 5] = [
    (0x1014, 0x028c, CITRINE),
    (0x19ee, 0x4000, NETRONOME),
    (0x19ee, 0x5000, NETRONOME),
    (0x19ee, 0x6000, NETRONOME),
    (0x19ee, 0x6003, NETRONOME),
];
