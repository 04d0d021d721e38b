// SPDX-License-Identifier: GPL-2.0

//! The VFIO PCI device behind a system call, and the user memory of that call.
//!
//! C header: [`include/linux/vfio_pci_core.h`](srctree/include/linux/vfio_pci_core.h)

use crate::{
    access::Op,
    bindings, //
};
use kernel::{
    pci,
    prelude::*,
    uaccess::UserPtr, //
};

/// A VFIO PCI device that is open.
///
/// # Invariants
///
/// The pointer is that of a `struct vfio_pci_core_device` whose config map is set up, and stays so
/// for the lifetime of this value. `do_rw` is a function that serves any range of it.
#[derive(Clone, Copy)]
pub(crate) struct VfioDevice<'a> {
    raw: &'a bindings::vfio_pci_core_device,
    do_rw: bindings::vfio_pci_audit_do_rw,
}

impl<'a> VfioDevice<'a> {
    /// Wraps the device that VFIO passes to a hook, and its function that accesses bytes without
    /// deciding upon them, if there is one.
    ///
    /// # Safety
    ///
    /// `do_rw` serves any range of the device, checks it, and returns what it served or a negative
    /// errno. `raw` points to a device that is open, or that is just being opened or closed with
    /// its config map in place, for the whole of `'a`.
    pub(crate) unsafe fn from_raw(
        raw: *mut bindings::vfio_pci_core_device,
        do_rw: bindings::vfio_pci_audit_do_rw,
    ) -> Self {
        // INVARIANT: By the safety requirement.
        Self {
            do_rw,
            // SAFETY: By the safety requirement.
            raw: unsafe { &*raw },
        }
    }

    /// The PCI device.
    pub(crate) fn pci(&self) -> &'a pci::Device {
        // SAFETY: A VFIO PCI device holds a reference on its PCI device, of which `pci::Device` is
        // a transparent wrapper.
        unsafe { &*self.raw.pdev.cast::<pci::Device>() }
    }

    /// The config map: for each byte of configuration space, what it belongs to.
    #[inline(always)]
    pub(crate) fn config_map(&self) -> &'a [u8] {
        // SAFETY: By the type invariant the map is set up; it has `cfg_size` bytes, and nobody
        // writes to it while the device is open.
        unsafe {
            core::slice::from_raw_parts(self.raw.pci_config_map, (*self.raw.pdev).cfg_size as usize)
        }
    }

    /// VFIO's own structure, with which a front end finds the device's session.
    #[inline(always)]
    pub(crate) fn raw(&self) -> &'a bindings::vfio_pci_core_device {
        self.raw
    }

    /// Lets VFIO serve the first of `size` bytes at `offset`, the unassigned ones among which may
    /// be accessed. Returns how many it served.
    #[inline(always)]
    pub(crate) fn rw(&self, op: Op, user: UserPtr, offset: usize, size: usize) -> Result<usize> {
        let do_rw = self.do_rw.ok_or(EINVAL)?;
        let mut pos = offset as bindings::loff_t;
        let raw = core::ptr::from_ref(self.raw).cast_mut();

        // SAFETY: By the type invariants the device is open and the function serves it. It checks
        // the range, and user memory as every system call does.
        let done = unsafe {
            do_rw(
                raw,
                user.as_mut_ptr().cast(),
                size,
                &mut pos,
                op == Op::Write,
            )
        };
        if done < 0 {
            Err(Error::from_errno(done as c_int))
        } else {
            Ok(done as usize)
        }
    }
}

/// Fills `size` bytes of user memory with zeros. May sleep. [`EFAULT`] if it cannot be written.
pub(crate) fn clear_user(user: UserPtr, size: usize) -> Result {
    // SAFETY: `clear_user()` checks the range as every access to user memory does.
    if unsafe { bindings::vfio_pci_audit_clear_user(user.as_mut_ptr().cast(), size) } == 0 {
        Ok(())
    } else {
        Err(EFAULT)
    }
}
