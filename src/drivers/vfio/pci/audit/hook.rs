// SPDX-License-Identifier: GPL-2.0

//! The functions that vfio-pci-core calls for an access (vfio_pci_audit.h).
//!
//! vfio-pci-core depends on them by symbol: while a device is open, the module is loaded.

use crate::{
    bindings::{
        self,
        loff_t,
        vfio_pci_audit_do_rw,
        vfio_pci_audit_session,
        vfio_pci_core_device, //
    },
    config_rw::{
        into_ssize,
        ConfigRw, //
    },
    monitor::Monitor,
    policy::Decision,
    vfio::Device,
    OpenDevice, //
};
use kernel::{
    bindings::pci_dev,
    pci,
    prelude::*,
    uaccess::UserPtr, //
};

/// A system call as C describes it.
///
/// # Safety
///
/// `vdev` is open for the duration of `'a`, and `do_rw` serves it. `session` is null or a session
/// of the device that is not closed during `'a`.
#[inline(always)]
unsafe fn config_rw<'a>(
    vdev: *mut vfio_pci_core_device,
    session: *mut vfio_pci_audit_session,
    buf: *mut c_char,
    count: usize,
    pos: loff_t,
    iswrite: bool,
    do_rw: vfio_pci_audit_do_rw,
) -> Result<ConfigRw<'a>> {
    // SAFETY: By the safety requirement.
    let device = unsafe { Device::from_raw(vdev, do_rw)? };
    // SAFETY: By the safety requirement.
    let monitor = unsafe { OpenDevice::from_raw(session) };
    let user = UserPtr::from_ptr(buf.cast());

    ConfigRw::new(device, monitor, iswrite, user, pos, count)
}

/// Has the monitor decide on an access to an unassigned, aligned dword at `pos`. May sleep, but not
/// for audit. Returns whether the access is blocked, or `-EAGAIN` if not all bytes have the same
/// decision: then it is neither decided nor recorded.
///
/// # Safety
///
/// The caller holds a reference on `pdev` during the call. `session` is null or a session of the
/// device that is not closed during the call.
#[no_mangle]
unsafe extern "C" fn vfio_pci_audit_blocked(
    session: *mut vfio_pci_audit_session,
    pdev: *mut pci_dev,
    pos: usize,
    iswrite: bool,
) -> c_int {
    // SAFETY: By the safety requirement.
    let monitor = unsafe { OpenDevice::from_raw(session) };
    // SAFETY: `pci::Device` is a transparent wrapper of `struct pci_dev`, and by the safety
    // requirement `pdev` is valid during the call.
    let device = unsafe { &*pdev.cast::<pci::Device>() };
    // It is an aligned dword of configuration space. With the mask, the compiler leaves out checks.
    let offset = pos & 0xffc;

    match monitor.decide_dword(device, iswrite, offset) {
        Decision::Allowed => {
            monitor.access(device, iswrite, offset, 4, true);
            0
        }
        Decision::Blocked => {
            monitor.access(device, iswrite, offset, 4, false);
            1
        }
        Decision::ByRange => EAGAIN.to_errno(),
    }
}

/// Serves a whole system call. May sleep. Returns `count` or a negative errno.
///
/// # Safety
///
/// As for [`config_rw`], for the duration of the call.
#[no_mangle]
unsafe extern "C" fn vfio_pci_audit_config_rw(
    vdev: *mut vfio_pci_core_device,
    session: *mut vfio_pci_audit_session,
    buf: *mut c_char,
    count: usize,
    pos: loff_t,
    iswrite: bool,
    do_rw: vfio_pci_audit_do_rw,
) -> isize {
    // SAFETY: By the safety requirement.
    let rw = unsafe { config_rw(vdev, session, buf, count, pos, iswrite, do_rw) };

    into_ssize(rw.and_then(ConfigRw::serve))
}

/// Serves the start of a system call that a driver splits by itself: a whole unassigned run, or
/// what `do_rw` serves. May sleep. Returns the length of that or a negative errno.
///
/// # Safety
///
/// As for [`config_rw`], for the duration of the call.
#[no_mangle]
unsafe extern "C" fn vfio_pci_audit_single_rw(
    vdev: *mut vfio_pci_core_device,
    session: *mut vfio_pci_audit_session,
    buf: *mut c_char,
    count: usize,
    pos: loff_t,
    iswrite: bool,
    do_rw: vfio_pci_audit_do_rw,
) -> isize {
    // SAFETY: By the safety requirement.
    let rw = unsafe { config_rw(vdev, session, buf, count, pos, iswrite, do_rw) };

    into_ssize(rw.and_then(|rw| rw.serve_first()))
}

// The functions are those that the header declares.
const _: () = {
    let _ = if true {
        bindings::vfio_pci_audit_blocked
    } else {
        vfio_pci_audit_blocked
    };
    let _ = if true {
        bindings::vfio_pci_audit_config_rw
    } else {
        vfio_pci_audit_config_rw
    };
    let _ = if true {
        bindings::vfio_pci_audit_single_rw
    } else {
        vfio_pci_audit_single_rw
    };
};
