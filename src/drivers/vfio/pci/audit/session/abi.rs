// SPDX-License-Identifier: GPL-2.0

//! The functions that C calls at the start and the end of a session (vfio_pci_audit.h).

use super::{
    devices,
    Session, //
};
use crate::bindings::{
    self,
    vfio_pci_audit_session, //
};
use kernel::{
    bindings::pci_dev,
    error::from_result,
    pci,
    prelude::*,
    sync::Arc, //
};

/// Begins a session on `pdev`, or joins the one that is open. May sleep. Returns 0 or `-ENOMEM`.
///
/// # Safety
///
/// The caller holds a reference on `pdev` during the call. `session` is valid for a write.
#[no_mangle]
unsafe extern "C" fn vfio_pci_audit_open(
    pdev: *mut pci_dev,
    session: *mut *mut vfio_pci_audit_session,
) -> c_int {
    from_result(|| {
        // SAFETY: `pci::Device` is a transparent wrapper of `struct pci_dev`, and by the safety
        // requirement `pdev` is valid during the call.
        let pci = unsafe { &*pdev.cast::<pci::Device>() };
        let opened = devices::get(pci)?.open(pci)?;

        // SAFETY: By the safety requirement.
        unsafe { session.write(Arc::into_raw(opened).cast_mut().cast()) };
        Ok(0)
    })
}

/// Ends a session. Does not sleep. NULL is ignored.
///
/// # Safety
///
/// `session` is null or from [`vfio_pci_audit_open`], and not used again. None of its accesses is
/// under way.
#[no_mangle]
unsafe extern "C" fn vfio_pci_audit_close(session: *mut vfio_pci_audit_session) {
    if !session.is_null() {
        // SAFETY: By the safety requirement it is from `Arc::into_raw()`, and taken back once.
        let session = unsafe { Arc::from_raw(session.cast::<Session>()) };

        session.device.close();
    }
}

// The functions are those that the header declares.
const _: () = {
    let _ = if true {
        bindings::vfio_pci_audit_open
    } else {
        vfio_pci_audit_open
    };
    let _ = if true {
        bindings::vfio_pci_audit_close
    } else {
        vfio_pci_audit_close
    };
};
