// SPDX-License-Identifier: GPL-2.0

//! Types and functions of C.

pub use crate::sync::rcu::synchronize_rcu;

/// What C knows of a PCI device; [`pci::Device`](crate::pci::Device) is behind the pointer.
#[allow(non_camel_case_types)]
#[repr(C)]
pub struct pci_dev {
    _opaque: [u8; 0],
}
