// SPDX-License-Identifier: GPL-2.0

//! The front end inside the kernel: what vfio-pci-core calls (vfio_pci_audit.h).
//!
//! vfio-pci-core depends on these functions by symbol, so that no device is open while nobody
//! watches. The session hangs on the VFIO device.

use crate::{
    bindings::{
        loff_t,
        vfio_pci_audit_do_rw,
        vfio_pci_core_device, //
    },
    config_rw::{
        into_ssize,
        op,
        ConfigRw, //
    },
    session::Session,
    vfio::VfioDevice,
};
use kernel::{
    error::from_result,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    },
    types::ForeignOwnable,
    uaccess::UserPtr, //
};

/// A session starts. May sleep. Returns 0 or `-ENOMEM`.
///
/// # Safety
///
/// `vdev` is being opened, and its config map is set up.
#[no_mangle]
unsafe extern "C" fn vfio_pci_audit_open(vdev: *mut vfio_pci_core_device) -> c_int {
    from_result(|| {
        // SAFETY: By the safety requirement.
        let device = unsafe { VfioDevice::from_raw(vdev, None) };
        let session = Session::new(device.pci())?;

        // SAFETY: The device is being opened; nobody else uses it.
        unsafe { (*vdev).audit_session = session.into_foreign().cast() };
        Ok(0)
    })
}

/// The session ends, if there is one. May sleep.
///
/// # Safety
///
/// `vdev` is being closed: no access is under way and none will come.
#[no_mangle]
unsafe extern "C" fn vfio_pci_audit_close(vdev: *mut vfio_pci_core_device) {
    // SAFETY: The device is being closed; nobody else uses it.
    let session = unsafe { (&raw mut (*vdev).audit_session).replace(core::ptr::null_mut()) };

    // SAFETY: It is null or what `vfio_pci_audit_open()` stored, and was just taken out.
    if let Some(session) = unsafe { Arc::<Session>::try_from_foreign(session.cast()) } {
        session.close();
    }
}

/// The session of an open device.
///
/// # Safety
///
/// `device` is open for the duration of `'a`.
#[inline]
unsafe fn session<'a>(device: &VfioDevice<'a>) -> Option<ArcBorrow<'a, Session>> {
    let session = device.raw().audit_session;

    if session.is_null() {
        return None;
    }
    // SAFETY: What `vfio_pci_audit_open()` stored stays there while the device is open.
    Some(unsafe { Arc::<Session>::borrow(session.cast()) })
}

/// Serves a whole system call. May sleep. Returns `count` or a negative errno.
///
/// # Safety
///
/// `vdev` is open for the duration of the call, and `do_rw` serves it.
#[no_mangle]
unsafe extern "C" fn vfio_pci_audit_config_rw(
    vdev: *mut vfio_pci_core_device,
    buf: *mut c_char,
    count: usize,
    pos: loff_t,
    iswrite: bool,
    do_rw: vfio_pci_audit_do_rw,
) -> isize {
    // SAFETY: By the safety requirement.
    let device = unsafe { VfioDevice::from_raw(vdev, do_rw) };
    // SAFETY: By the safety requirement.
    let session = unsafe { session(&device) };
    let user = UserPtr::from_ptr(buf.cast());

    into_ssize(
        ConfigRw::new(device, session, op(iswrite), user, pos, count).and_then(|rw| rw.serve()),
    )
}

/// Serves the start of a system call that a driver cuts up by itself: a whole unassigned run, or
/// what `do_rw` serves. May sleep. Returns the length of that or a negative errno.
///
/// # Safety
///
/// `vdev` is open for the duration of the call, and `do_rw` serves it.
#[no_mangle]
unsafe extern "C" fn vfio_pci_audit_single_rw(
    vdev: *mut vfio_pci_core_device,
    buf: *mut c_char,
    count: usize,
    pos: loff_t,
    iswrite: bool,
    do_rw: vfio_pci_audit_do_rw,
) -> isize {
    // SAFETY: By the safety requirement.
    let device = unsafe { VfioDevice::from_raw(vdev, do_rw) };
    // SAFETY: By the safety requirement.
    let session = unsafe { session(&device) };
    let user = UserPtr::from_ptr(buf.cast());

    into_ssize(
        ConfigRw::new(device, session, op(iswrite), user, pos, count)
            .and_then(|rw| rw.serve_first()),
    )
}
