// SPDX-License-Identifier: GPL-2.0

//! The tracepoint `pci_audit:pci_audit_access`. The `kernel` crate's `declare_trace!` is for
//! tracepoints that the kernel image defines.
//!
//! C header: [`include/trace/events/pci_audit.h`](srctree/include/trace/events/pci_audit.h)

use crate::{
    access::{
        Op,
        Outcome,
        Range, //
    },
    bindings,
    record::Session, //
};
use core::marker::PhantomData;
use kernel::{
    bindings::notifier_block as NotifierBlock,
    error::to_result,
    pci,
    prelude::*,
    types::Opaque, //
};

/// Whether the tracepoint is enabled: a static branch. May be called from any context.
#[cfg(all(CONFIG_TRACEPOINTS, CONFIG_JUMP_LABEL))]
#[inline(always)]
pub fn is_traced() -> bool {
    // SAFETY: The key is that of a tracepoint, which C defines.
    unsafe {
        kernel::jump_label::static_branch_unlikely!(
            bindings::__tracepoint_pci_audit_access,
            kernel::bindings::tracepoint,
            key
        )
    }
}

/// Whether the tracepoint is enabled. May be called from any context.
///
/// This kernel does not patch its code. `static_branch_unlikely!` would call a function to read
/// the key.
#[cfg(all(CONFIG_TRACEPOINTS, not(CONFIG_JUMP_LABEL)))]
#[inline(always)]
pub fn is_traced() -> bool {
    // SAFETY: The key is a valid, aligned integer. It may change at any time, hence the volatile
    // read, which is what `atomic_read()` does.
    unsafe {
        core::ptr::addr_of!(
            bindings::__tracepoint_pci_audit_access
                .key
                .key
                .enabled
                .counter
        )
        .read_volatile()
            > 0
    }
}

/// Whether the tracepoint is enabled: this kernel has no tracepoints.
#[cfg(not(CONFIG_TRACEPOINTS))]
#[inline(always)]
pub fn is_traced() -> bool {
    false
}

/// Emits the tracepoint for an access that has no record: the caller limits how much it records,
/// or auditing is off. Costs nothing while the tracepoint is disabled. Any context.
///
/// # Examples
///
/// ```
/// let range = pci_audit::range(device, 0x40, 4)?;
/// let over_the_limit = true;
///
/// if over_the_limit {
///     pci_audit::trace(device, Op::Read, range, Session::NONE, Outcome::Allowed);
/// } else {
///     let _ = pci_audit::access(device, Op::Read, range, Outcome::Allowed, Context::NoWait)?;
/// }
/// ```
#[inline]
pub fn trace(device: &pci::Device, op: Op, range: Range, session: Session, outcome: Outcome) {
    if is_traced() {
        // Numbers start at 1.
        emit(device, op, range, session.0.unwrap_or(0), outcome);
    }
}

/// Not inlined, so that the crates of callers reference the tracepoint's key only.
#[cold]
#[inline(never)]
fn emit(device: &pci::Device, op: Op, range: Range, session: u64, outcome: Outcome) {
    // SAFETY: `pci::Device` is a transparent wrapper of `struct pci_dev`. The reference proves that
    // the device is alive during the call.
    unsafe {
        bindings::pci_audit_trace(
            core::ptr::from_ref(device).cast_mut().cast(),
            op as u32,
            range.offset() as u32,
            range.size() as u32,
            session,
            outcome.is_allowed(),
        )
    };
}

/// Code to run when the tracepoint is enabled or disabled.
pub trait OnTracing {
    /// The tracepoint was enabled (`on`) or disabled. Called for changes only, with a mutex held.
    fn changed(on: bool);
}

/// Calls `T` on changes for as long as it lives: for callers that skip work while the tracepoint is
/// disabled.
///
/// # Invariants
///
/// The notifier block is registered.
pub struct TraceNotifier<T>(KBox<Opaque<NotifierBlock>>, PhantomData<T>);

// SAFETY: Only `drop()` uses the notifier block, and `T` is a type without a value.
unsafe impl<T> Send for TraceNotifier<T> {}
// SAFETY: As above.
unsafe impl<T> Sync for TraceNotifier<T> {}

impl<T: OnTracing> TraceNotifier<T> {
    /// Registers the notifier. Calls `T` at once if the tracepoint is enabled already. May sleep.
    /// [`ENOMEM`] when memory is short.
    pub fn new() -> Result<Self> {
        let block = KBox::new(
            Opaque::new(NotifierBlock {
                notifier_call: Some(Self::call),
                ..pin_init::zeroed()
            }),
            GFP_KERNEL,
        )?;

        // SAFETY: The block stays where it is until `drop()` unregisters it.
        to_result(unsafe { bindings::pci_audit_register_trace_notifier(block.get().cast()) })?;
        // INVARIANT: It was just registered.
        Ok(Self(block, PhantomData))
    }

    extern "C" fn call(_block: *mut NotifierBlock, on: c_ulong, _data: *mut c_void) -> c_int {
        T::changed(on != 0);
        kernel::bindings::NOTIFY_OK as c_int
    }
}

impl<T> Drop for TraceNotifier<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the block is registered.
        unsafe { bindings::pci_audit_unregister_trace_notifier(self.0.get().cast()) };
    }
}
