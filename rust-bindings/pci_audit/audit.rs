// SPDX-License-Identifier: GPL-2.0

//! Audit buffers. The `kernel` crate has no audit interface.
//!
//! C header: [`include/linux/audit.h`](srctree/include/linux/audit.h)

use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    bindings::gfp_t,
    pci,
    prelude::*, //
};

/// Whether the audit subsystem wants records. May be called from any context.
#[inline]
pub fn enabled() -> bool {
    // SAFETY: `audit_enabled` is a valid, aligned integer. It may change at any time, hence the
    // volatile read, which is what `READ_ONCE()` does.
    unsafe { core::ptr::addr_of!(bindings::audit_enabled).read_volatile() != 0 }
}

/// Bytes of `device`'s configuration space: mostly 256 or 4096.
pub(crate) fn config_size(device: &pci::Device) -> usize {
    // SAFETY: `pci::Device` is a transparent wrapper of `struct pci_dev`. The reference proves that
    // the device is alive; its size does not change.
    unsafe { (*core::ptr::from_ref(device).cast::<kernel::bindings::pci_dev>()).cfg_size as usize }
}

/// The error for a record that audit refuses. The `kernel` crate of Linux 7.2 has no `ENOBUFS`.
fn refused() -> Error {
    Error::from_errno(-(kernel::bindings::ENOBUFS as c_int))
}

/// A record under construction. It is sent when the buffer is dropped.
///
/// # Invariants
///
/// The pointer is that of a buffer from `audit_log_start()` that has not been ended.
pub(crate) struct Buffer(NonNull<bindings::audit_buffer>);

impl Buffer {
    /// Starts an `AUDIT_PCI` record. With flags that may sleep it joins the event of the current
    /// system call, if audit wants one.
    ///
    /// Sleeps for room in the backlog only if `gfp` allows it. `ENOBUFS` when audit refuses: the
    /// backlog is full, memory is short, or a rule excludes the type.
    pub(crate) fn start(gfp: gfp_t) -> Result<Self> {
        // SAFETY: The context is null or that of the current task. `audit_log_start()` may be
        // called in any context that `gfp` allows, which callers guarantee.
        let buffer = unsafe {
            bindings::audit_log_start(
                bindings::pci_audit_context(gfp),
                gfp,
                bindings::PCI_AUDIT_TYPE as c_int,
            )
        };

        // INVARIANT: Not null, so this is a buffer that was just started.
        NonNull::new(buffer).map(Self).ok_or_else(refused)
    }

    /// Appends `text`, which has no NUL and fits in a record.
    pub(crate) fn write(&mut self, text: &[u8]) {
        // SAFETY: By the type invariant the buffer is valid; the format takes a length and a
        // pointer to that many bytes.
        unsafe {
            bindings::audit_log_format(
                self.0.as_ptr(),
                c"%.*s".as_char_ptr(),
                text.len() as c_int,
                text.as_ptr(),
            )
        };
    }

    /// Appends the identity of the current task, and `res=1`. Task context only.
    pub(crate) fn write_task_info(&mut self) {
        // SAFETY: By the type invariant the buffer is valid.
        unsafe { bindings::audit_log_task_info(self.0.as_ptr()) };
        self.write(b" res=1");
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the buffer has not been ended; it is not used again.
        unsafe { bindings::audit_log_end(self.0.as_ptr()) };
    }
}
