// SPDX-License-Identifier: GPL-2.0

//! The hook's way to a session: decides by the policy, and records.

use super::{
    unattended,
    Session, //
};
use crate::{
    bindings::vfio_pci_audit_session,
    monitor::{
        id,
        Monitor,
        PolicyOnly, //
    },
    policy::{
        Decision,
        POLICY, //
    },
};
use kernel::pci;
use pci_audit::{
    access::CONFIG_SPACE_SIZE,
    Op,
    Outcome,
    Range, //
};

impl Monitor for Option<&Session> {
    #[inline(always)]
    unsafe fn from_raw(session: *mut vfio_pci_audit_session) -> Self {
        // SAFETY: The pointer is null, or from `Arc::into_raw()`, and C holds that reference for as
        // long as the monitor exists.
        unsafe { session.cast::<Session>().as_ref() }
    }

    #[inline(always)]
    fn decide(self, device: &pci::Device, iswrite: bool) -> Decision {
        match self {
            Some(session) => session.lookup.decide(&POLICY, iswrite, || id(&session.pci)),
            None => PolicyOnly.decide(device, iswrite),
        }
    }

    #[inline(always)]
    fn decide_dword(self, device: &pci::Device, iswrite: bool, offset: usize) -> Decision {
        match self {
            Some(session) => {
                session
                    .lookup
                    .decide_dword(&POLICY, iswrite, || id(&session.pci), offset)
            }
            None => unattended::decide_dword(device, iswrite, offset),
        }
    }

    fn snapshot(self, device: &pci::Device, iswrite: bool, first: usize, allowed: &mut [u64]) {
        match self {
            Some(session) => {
                session
                    .lookup
                    .snapshot(&POLICY, iswrite, || id(&session.pci), first, allowed);
            }
            None => PolicyOnly.snapshot(device, iswrite, first, allowed),
        }
    }

    /// Records the access within the limits of the device.
    #[inline(always)]
    fn access(
        self,
        device: &pci::Device,
        iswrite: bool,
        offset: usize,
        size: usize,
        allowed: bool,
    ) {
        let op = if iswrite { Op::Write } else { Op::Read };
        let outcome = Outcome::from_allowed(allowed);
        // The config map has no more bytes than this.
        let Ok(range) = Range::new(offset, size, CONFIG_SPACE_SIZE) else {
            return;
        };

        match self {
            Some(session) if pci_audit::enabled() => session.access(op, range, outcome),
            Some(session) => session.trace(op, range, outcome),
            None if pci_audit::enabled() || pci_audit::is_traced() => {
                unattended::access(device, op, range, outcome);
            }
            None => {}
        }
    }
}
