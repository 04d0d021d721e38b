// SPDX-License-Identifier: GPL-2.0

//! What the hook asks for a decision, and tells of each access.

use crate::{
    bindings::vfio_pci_audit_session,
    policy::{
        allow_list::Id,
        Decision,
        POLICY, //
    },
};
use kernel::pci;

/// Decides on the accesses to the unassigned bytes of a device that is open.
///
/// The crate root names the type that is used, [`crate::OpenDevice`].
pub(crate) trait Monitor: Copy {
    /// The monitor for what C passes as `session`.
    ///
    /// # Safety
    ///
    /// `session` is null or a session of the device that is not closed while the monitor exists.
    unsafe fn from_raw(session: *mut vfio_pci_audit_session) -> Self;

    /// Decides on reads or writes of the unassigned bytes of `device`, as the policy is now.
    fn decide(self, device: &pci::Device, iswrite: bool) -> Decision;

    /// Decides on the unassigned, aligned dword at `offset`.
    fn decide_dword(self, device: &pci::Device, iswrite: bool, offset: usize) -> Decision;

    /// Decides on each unassigned byte: sets the bits of `allowed`, which begins with word `first`
    /// of a bitmap.
    fn snapshot(self, device: &pci::Device, iswrite: bool, first: usize, allowed: &mut [u64]);

    /// Takes note of one access of `size` bytes at `offset`. Called before the access reaches the
    /// device, which may bring the machine down. Process context; may sleep, but not for audit.
    fn access(self, device: &pci::Device, iswrite: bool, offset: usize, size: usize, allowed: bool);
}

/// The id of `device` in the list of exceptions.
pub(crate) fn id(device: &pci::Device) -> Id {
    Id::new(device.vendor_id().as_raw(), device.device_id())
}

/// Decides by the policy, and keeps nothing.
#[derive(Clone, Copy)]
pub(crate) struct PolicyOnly;

impl Monitor for PolicyOnly {
    unsafe fn from_raw(_session: *mut vfio_pci_audit_session) -> Self {
        Self
    }

    fn decide(self, device: &pci::Device, iswrite: bool) -> Decision {
        POLICY.decide(iswrite, id(device))
    }

    fn decide_dword(self, device: &pci::Device, iswrite: bool, offset: usize) -> Decision {
        POLICY.decide_dword(iswrite, id(device), offset)
    }

    fn snapshot(self, device: &pci::Device, iswrite: bool, first: usize, allowed: &mut [u64]) {
        POLICY.snapshot(iswrite, id(device), first, allowed);
    }

    fn access(self, _: &pci::Device, _iswrite: bool, _offset: usize, _size: usize, _allowed: bool) {
    }
}
