// SPDX-License-Identifier: GPL-2.0

//! The VFIO PCI device of a system call.
//!
//! C header: [`include/linux/vfio_pci_core.h`](srctree/include/linux/vfio_pci_core.h)

use super::bindings;
use core::marker::PhantomData;
use kernel::{
    pci,
    prelude::*,
    uaccess::UserPtr, //
};

/// `vfio_pci_audit_do_rw` of vfio_pci_audit.h, not NULL.
type DoRw = unsafe extern "C" fn(
    *mut bindings::vfio_pci_core_device,
    *mut c_char,
    usize,
    *mut bindings::loff_t,
    bool,
) -> isize;

/// A VFIO PCI device that is open.
///
/// C changes the structure during a call, so that there is never a reference to it: fields that do
/// not change are read through the pointer.
///
/// # Invariants
///
/// The pointer is that of a `struct vfio_pci_core_device` whose config map is set up, and stays so
/// for `'a`. `do_rw` is a function that serves any range of it.
#[derive(Clone, Copy)]
pub(crate) struct Device<'a> {
    raw: *mut bindings::vfio_pci_core_device,
    do_rw: DoRw,
    _open: PhantomData<&'a ()>,
}

impl<'a> Device<'a> {
    /// Wraps the device that VFIO passes to a hook, and VFIO's function that accesses bytes without
    /// a decision. [`EINVAL`] without that function.
    ///
    /// # Safety
    ///
    /// `do_rw` serves any range of the device, checks it, and returns what it served or a negative
    /// errno. `raw` points to a device that is open for the whole of `'a`.
    #[inline(always)]
    pub(crate) unsafe fn from_raw(
        raw: *mut bindings::vfio_pci_core_device,
        do_rw: bindings::vfio_pci_audit_do_rw,
    ) -> Result<Self> {
        // INVARIANT: By the safety requirement.
        Ok(Self {
            raw,
            do_rw: do_rw.ok_or(EINVAL)?,
            _open: PhantomData,
        })
    }

    /// The PCI device.
    #[inline(always)]
    pub(crate) fn pci(&self) -> &'a pci::Device {
        // SAFETY: By the type invariant the device is open. It holds a reference on its PCI device,
        // of which `pci::Device` is a transparent wrapper. The field does not change.
        unsafe { &*(*self.raw).pdev.cast::<pci::Device>() }
    }

    /// The config map: for each byte of configuration space, the capability that it belongs to.
    #[inline(always)]
    pub(crate) fn config_map(&self) -> &'a [u8] {
        // SAFETY: By the type invariant the map is set up. It has `cfg_size` bytes. Neither they
        // nor the fields that are read here change while the device is open.
        unsafe {
            core::slice::from_raw_parts(
                (*self.raw).pci_config_map,
                (*(*self.raw).pdev).cfg_size as usize,
            )
        }
    }

    /// Lets VFIO serve the first of `size` bytes at `offset`; unassigned ones among them may be
    /// accessed. May sleep. Returns how many it served.
    #[inline(always)]
    pub(crate) fn rw(
        &self,
        iswrite: bool,
        user: UserPtr,
        offset: usize,
        size: usize,
    ) -> Result<usize> {
        let mut pos = offset as bindings::loff_t;

        // SAFETY: By the type invariants the device is open and the function serves it. It checks
        // the range, and user memory as every system call does.
        let done =
            unsafe { (self.do_rw)(self.raw, user.as_mut_ptr().cast(), size, &mut pos, iswrite) };
        if done < 0 {
            Err(Error::from_errno(done as c_int))
        } else {
            Ok(done as usize)
        }
    }
}
