// SPDX-License-Identifier: GPL-2.0

//! A PCI device to test with.

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

/// Some device of this machine. May sleep. Panics if there is none.
pub(crate) fn any_device() -> ARef<pci::Device> {
    // SAFETY: There is no device to start from.
    let device =
        unsafe { bindings::pci_get_device(PCI_ANY_ID as u32, PCI_ANY_ID as u32, null_mut()) };
    let device = NonNull::new(device.cast()).expect("this machine has no PCI device");

    // SAFETY: The reference that `pci_get_device()` took is ours, and `pci::Device` is a
    // transparent wrapper of `struct pci_dev`.
    unsafe { ARef::from_raw(device) }
}
