// SPDX-License-Identifier: GPL-2.0

//! The front end of a stock kernel: what the livepatch (livepatch.c) calls.
//!
//! A stock VFIO device has no room for a session, which hangs on a shadow variable instead. The
//! device may have been open for long when the livepatch comes, so that its session starts with
//! its first access.

use crate::{
    bindings::{
        self,
        loff_t,
        vfio_pci_audit_do_rw,
        vfio_pci_core_device, //
    },
    config_rw::{
        into_ssize,
        op,
        ConfigRw, //
    },
    pci_audit,
    session::Session,
    shadow::{
        Detach,
        Shadows, //
    },
    vfio::VfioDevice,
};
use kernel::{
    error::to_result,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    },
    uaccess::UserPtr, //
};

/// The sessions, by their `struct vfio_pci_core_device`.
// SAFETY: The id is "pciaudit" in ASCII, and no other livepatch's.
static SESSIONS: Shadows<Session> = unsafe { Shadows::new(0x7063_6961_7564_6974) };

impl Detach for Session {
    fn detached(self: Arc<Self>) {
        self.finish_later(0, 0);
    }

    fn rejected(self: Arc<Self>) {
        self.set_closed();
    }
}

/// Enables the livepatch, for as long as the module is loaded. May sleep.
///
/// An error, of which the log tells, means that nothing was changed.
pub(crate) fn enable() -> Result {
    // SAFETY: Everything is there that the livepatch calls.
    to_result(unsafe { bindings::vfio_pci_audit_livepatch() })
}

/// The session of an open device, which starts now if need be. `None` while auditing is off.
///
/// # Safety
///
/// `device` stays open, and the livepatch enabled, for the duration of `'a`.
#[inline]
unsafe fn session<'a>(device: &VfioDevice<'a>) -> Result<Option<ArcBorrow<'a, Session>>> {
    let raw = core::ptr::from_ref(device.raw());

    if !pci_audit::enabled() {
        return Ok(None);
    }
    // SAFETY: Sessions are detached when the device is closed or the livepatch disabled.
    if let Some(session) = unsafe { SESSIONS.get(raw) } {
        return Ok(Some(session));
    }
    // SAFETY: As above.
    unsafe { SESSIONS.get_or_attach(raw, Session::new(device.pci())?) }.map(Some)
}

/// Serves a whole system call. May sleep. Returns `count` or a negative errno.
///
/// # Safety
///
/// `vdev` is open, and the livepatch enabled, for the duration of the call, and `do_rw` serves it.
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
    let user = UserPtr::from_ptr(buf.cast());

    into_ssize(
        // SAFETY: By the safety requirement.
        unsafe { session(&device) }
            .and_then(|session| ConfigRw::new(device, session, op(iswrite), user, pos, count))
            .and_then(|rw| rw.serve()),
    )
}

/// The current task closes the device. Does not sleep.
///
/// # Safety
///
/// `vdev` is being closed: no access is under way and none will come.
#[no_mangle]
unsafe extern "C" fn vfio_pci_audit_close(vdev: *mut vfio_pci_core_device) {
    // SAFETY: By the safety requirement nobody else detaches the session.
    if let Some(session) = unsafe { SESSIONS.get(vdev) } {
        session.introduce_closer();
    }
    SESSIONS.detach(vdev);
}

/// All sessions end, since nothing comes here any more. Does not sleep.
#[no_mangle]
extern "C" fn vfio_pci_audit_close_all() {
    SESSIONS.detach_all();
}
