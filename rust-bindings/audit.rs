// SPDX-License-Identifier: GPL-2.0

//! Audit buffers, and the device that a record or a trace event is about.
//!
//! C header: [`include/linux/audit.h`](srctree/include/linux/audit.h)

use crate::{
    access::{
        Op,
        Outcome,
        Range, //
    },
    bindings,
    listeners, //
};
use core::ptr::NonNull;
use kernel::{
    device,
    prelude::*, //
};

/// A record under construction. It is sent when the buffer is dropped.
///
/// # Invariants
///
/// The pointer is that of a buffer from `audit_log_start()` that has not been ended.
pub(crate) struct Buffer(NonNull<bindings::audit_buffer>);

impl Buffer {
    /// Starts an `AUDIT_PCI` record, in the event of the current system call if there is one.
    ///
    /// Sleeps for room in the backlog only if `gfp` allows it. [`ENOBUFS`] when audit refuses: the
    /// backlog is full, memory is short, or the administrator excluded the type.
    pub(crate) fn start(gfp: bindings::gfp_t) -> Result<Self> {
        // SAFETY: The context is null or that of the current task. `audit_log_start()` may be
        // called in any context that `gfp` allows, which our callers promise.
        let buffer = unsafe {
            bindings::audit_log_start(
                bindings::pci_audit_context(),
                gfp,
                bindings::PCI_AUDIT_TYPE as c_int,
            )
        };

        // INVARIANT: Not null, so this is a buffer that was just started.
        NonNull::new(buffer).map(Self).ok_or(ENOBUFS)
    }

    /// Appends `text`, which has no NUL and fits in a record.
    pub(crate) fn write(&mut self, text: &[u8]) {
        // SAFETY: By the type invariant the buffer is valid; the format takes a length and a
        // pointer to so many bytes.
        unsafe {
            bindings::audit_log_format(
                self.0.as_ptr(),
                c"%.*s".as_char_ptr(),
                text.len() as c_int,
                text.as_ptr(),
            )
        };
    }

    /// Appends who the current task is, and `res=1`. Task context only.
    pub(crate) fn write_task_info(&mut self) {
        // SAFETY: By the type invariant the buffer is valid.
        unsafe { bindings::audit_log_task_info(self.0.as_ptr()) };
        self.write(b" res=1");
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the buffer has not been ended; nobody uses it again.
        unsafe { bindings::audit_log_end(self.0.as_ptr()) };
    }
}

/// The PCI device of a C caller, borrowed for the duration of its call.
pub(crate) struct Device<'a>(&'a kernel::pci::Device);

impl Device<'_> {
    /// Wraps `pdev`; `None` when it is null.
    ///
    /// # Safety
    ///
    /// `pdev` is null or points to a device on which the caller holds a reference for as long as
    /// the result is used.
    pub(crate) unsafe fn from_raw(pdev: *mut bindings::pci_dev) -> Option<Self> {
        // SAFETY: `pci::Device` is a transparent wrapper of `struct pci_dev`, and the caller
        // promises that a non-null `pdev` is valid.
        unsafe { pdev.cast::<kernel::pci::Device>().as_ref() }.map(Self)
    }

    /// Emits `pci_audit:pci_audit_access`, if somebody traces. May be called from any context.
    #[inline]
    pub(crate) fn trace(&self, op: Op, range: Range, outcome: Outcome) {
        if listeners::tracing() {
            // SAFETY: By the type invariant the device is valid.
            unsafe {
                bindings::pci_audit_trace(
                    core::ptr::from_ref(self.0).cast_mut().cast(),
                    op as u32,
                    range.offset() as u32,
                    range.size() as u32,
                    outcome.is_allowed(),
                )
            };
        }
    }

    /// The device's name: domain, bus, device and function.
    pub(crate) fn name(&self) -> &str {
        let dev: &device::Device = self.0.as_ref();

        // The PCI core made it of hexadecimal digits.
        dev.name().to_str().unwrap_or("?")
    }
}
