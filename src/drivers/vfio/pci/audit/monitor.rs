// SPDX-License-Identifier: GPL-2.0

//! What the hook asks for a decision, and tells of each access.

use crate::{
    bindings::vfio_pci_audit_session,
    policy::{
        allow_list::Id,
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

    /// Whether reads or writes of the unassigned bytes of `device` are allowed, as the policy is
    /// now.
    fn allows(self, device: &pci::Device, iswrite: bool) -> bool;

    /// Takes note of one access of `size` bytes at `offset`. Called before the access reaches the
    /// device, which may bring the machine down. Process context; may sleep, but not for audit.
    fn access(self, device: &pci::Device, iswrite: bool, offset: usize, size: usize, allowed: bool);
}

/// The id of `device` in the allow list.
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

    fn allows(self, device: &pci::Device, iswrite: bool) -> bool {
        !POLICY.blocked(iswrite, id(device))
    }

    fn access(self, _: &pci::Device, _iswrite: bool, _offset: usize, _size: usize, _allowed: bool) {
    }
}
