// SPDX-License-Identifier: GPL-2.0

//! What C calls, as vfio_pci_audit.h declares it.

use kernel::{bindings::pci_dev, prelude::*};

/// C knows a pointer only.
#[allow(non_camel_case_types)]
#[repr(C)]
pub struct vfio_pci_audit_session {
    _opaque: [u8; 0],
}

extern "C" {
    pub fn vfio_pci_audit_open(
        pdev: *mut pci_dev,
        session: *mut *mut vfio_pci_audit_session,
    ) -> c_int;
    pub fn vfio_pci_audit_close(session: *mut vfio_pci_audit_session);
}
