// SPDX-License-Identifier: GPL-2.0

//! A PCI device for KUnit tests, of this module and of its users.

use core::ptr::{
    null_mut,
    NonNull, //
};
use kernel::{
    bindings::{
        self,
        PCI_ANY_ID, //
    },
    pci,
    sync::aref::ARef, //
};

/// Returns the first PCI device of this machine. May sleep. Panics if there is none.
#[inline]
pub fn any_device() -> ARef<pci::Device> {
    // SAFETY: There is no device to start from.
    let device =
        unsafe { bindings::pci_get_device(PCI_ANY_ID as u32, PCI_ANY_ID as u32, null_mut()) };
    let device = NonNull::new(device.cast()).expect("this machine has no PCI device");

    // SAFETY: `pci_get_device()` took a reference, which is handed over, and `pci::Device` is a
    // transparent wrapper of `struct pci_dev`.
    unsafe { ARef::from_raw(device) }
}
