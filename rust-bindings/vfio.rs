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
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};

/// Most bytes that one access to the device takes.
pub(crate) const CHUNK: usize = 4;

/// A VFIO PCI device that is open.
///
/// # Invariants
///
/// The pointer is that of a `struct vfio_pci_core_device` whose config map is set up, and stays so
/// for the lifetime of this value. `assigned` is a function that serves any range of it.
pub(crate) struct VfioDevice<'a> {
    raw: &'a bindings::vfio_pci_core_device,
    assigned: bindings::vfio_pci_audit_assigned_rw,
}

impl<'a> VfioDevice<'a> {
    /// Wraps the device that VFIO passes to a hook, and its function for assigned bytes, if it has
    /// one.
    ///
    /// # Safety
    ///
    /// `assigned` serves any range of the device, checks it, and returns what it served or a
    /// negative errno. `raw` points to a device that is open, or that is just being opened or closed with its
    /// config map in place, for the whole of `'a`.
    pub(crate) unsafe fn from_raw(
        raw: *mut bindings::vfio_pci_core_device,
        assigned: bindings::vfio_pci_audit_assigned_rw,
    ) -> Self {
        // INVARIANT: By the safety requirement.
        Self {
            assigned,
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
    #[inline]
    pub(crate) fn config_map(&self) -> &'a [u8] {
        // SAFETY: By the type invariant the map is set up; it has `cfg_size` bytes, and nobody
        // writes to it while the device is open.
        unsafe {
            core::slice::from_raw_parts(self.raw.pci_config_map, (*self.raw.pdev).cfg_size as usize)
        }
    }

    /// The session that a hook stored in the device, null if there is none.
    #[inline]
    pub(crate) fn session(&self) -> *mut c_void {
        self.raw.audit_session.cast()
    }

    /// Lets VFIO serve the first of `size` bytes at `offset`, none of which is unassigned. Returns
    /// how many it served.
    #[inline]
    pub(crate) fn rw_assigned(
        &self,
        op: Op,
        user: UserPtr,
        offset: usize,
        size: usize,
    ) -> Result<usize> {
        let assigned = self.assigned.ok_or(EINVAL)?;
        let mut pos = offset as bindings::loff_t;
        let raw = core::ptr::from_ref(self.raw).cast_mut();

        // SAFETY: By the type invariants the device is open and the function serves it. It checks
        // the range, and user memory as every system call does.
        let done = unsafe {
            assigned(
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

    /// Reads or writes `size` bytes (1, 2 or 4, naturally aligned) of the device itself.
    pub(crate) fn rw_raw(&self, op: Op, user: UserPtr, offset: usize, size: usize) -> Result {
        match op {
            Op::Read => {
                let bytes = self.read_raw(offset, size)?;
                UserSlice::new(user, size)
                    .writer()
                    .write_slice(&bytes[..size])
            }
            Op::Write => {
                let mut bytes = [0; CHUNK];
                UserSlice::new(user, size)
                    .reader()
                    .read_slice(&mut bytes[..size])?;
                self.write_raw(offset, size, bytes)
            }
        }
    }

    fn read_raw(&self, offset: usize, size: usize) -> Result<[u8; CHUNK]> {
        let (pdev, pos) = (self.raw.pdev, offset as c_int);
        let (mut byte, mut word, mut dword) = (0u8, 0u16, 0u32);

        // SAFETY: The PCI device is valid by the type invariant, and each function writes one value
        // of its own width. They refuse what is not aligned.
        let ret = unsafe {
            match size {
                1 => kernel::bindings::pci_user_read_config_byte(pdev, pos, &mut byte),
                2 => kernel::bindings::pci_user_read_config_word(pdev, pos, &mut word),
                _ => kernel::bindings::pci_user_read_config_dword(pdev, pos, &mut dword),
            }
        };
        kernel::error::to_result(ret)?;
        Ok((u32::from(byte) | u32::from(word) | dword).to_le_bytes())
    }

    fn write_raw(&self, offset: usize, size: usize, bytes: [u8; CHUNK]) -> Result {
        let (pdev, pos) = (self.raw.pdev, offset as c_int);
        let value = u32::from_le_bytes(bytes);

        // SAFETY: The PCI device is valid by the type invariant. The functions refuse what is not
        // aligned.
        kernel::error::to_result(unsafe {
            match size {
                1 => kernel::bindings::pci_user_write_config_byte(pdev, pos, value as u8),
                2 => kernel::bindings::pci_user_write_config_word(pdev, pos, value as u16),
                _ => kernel::bindings::pci_user_write_config_dword(pdev, pos, value),
            }
        })
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
