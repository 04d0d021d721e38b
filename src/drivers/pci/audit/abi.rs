// SPDX-License-Identifier: GPL-2.0

//! The C interface of `include/linux/pci_audit.h`.

use crate::{
    access::{
        Op,
        Outcome,
        Range,
        CONFIG_SPACE_SIZE, //
    },
    bindings,
    emit, //
};
use kernel::{
    bindings::{
        gfp_t,
        pci_dev, //
    },
    error::from_result,
    pci,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// Refuses arguments that only a bug in the calling driver can produce, and warns of the first.
fn refuse() -> Error {
    static WARNED: Atomic<bool> = Atomic::new(false);

    kernel::warn_on!(!WARNED.xchg(true, Relaxed));
    EINVAL
}

/// See `include/linux/pci_audit.h`.
///
/// # Safety
///
/// `pdev` is null or points to a device on which the caller holds a reference during the call.
#[no_mangle]
unsafe extern "C" fn pci_audit_access(
    pdev: *mut pci_dev,
    op: u32,
    offset: u32,
    size: usize,
    allowed: bool,
    gfp: gfp_t,
) -> c_int {
    from_result(|| {
        // SAFETY: `pci::Device` is a transparent wrapper of `struct pci_dev`, and by the safety
        // requirement a non-null `pdev` is valid during the call.
        let device = unsafe { pdev.cast::<pci::Device>().as_ref() }.ok_or_else(refuse)?;
        let op = Op::from_raw(op).ok_or_else(refuse)?;
        let range = Range::new(offset as usize, size, CONFIG_SPACE_SIZE).map_err(|_| refuse())?;
        let outcome = Outcome::from_allowed(allowed);

        emit::access_with_gfp(device, op, range, outcome, gfp).map(|_| 0)
    })
}

// The functions are those that the header declares.
const _: () = {
    let _ = if true {
        bindings::pci_audit_access
    } else {
        pci_audit_access
    };
};
