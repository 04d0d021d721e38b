// SPDX-License-Identifier: GPL-2.0

//! The safe Rust interface of the PCI audit service.
//!
//! A wrong call does not compile: operation and outcome are enums, a [`Range`] lies inside
//! configuration space, and the device is a [`pci::Device`]. As the C functions do, these return
//! `Ok` when auditing is off, and [`ENOBUFS`] when the audit subsystem refused the record.
//!
//! C header: [`include/linux/pci_audit.h`](srctree/include/linux/pci_audit.h)

use crate::{
    access::{
        Op,
        Outcome,
        Range, //
    },
    bindings,
    listeners,
    totals::Totals, //
};
use core::marker::PhantomData;
use kernel::{
    bindings::notifier_block as NotifierBlock,
    error::to_result,
    pci,
    prelude::*,
    types::Opaque, //
};

/// How a record may be allocated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Context {
    /// Never waits, neither for memory nor for room in the audit backlog, and leaves the atomic
    /// reserves alone: for accesses on behalf of somebody who must not stall on others' logs.
    NoWait,
}

impl Context {
    const fn gfp(self) -> bindings::gfp_t {
        match self {
            Context::NoWait => kernel::bindings::GFP_NOWAIT,
        }
    }
}

fn as_raw(device: &pci::Device) -> *mut bindings::pci_dev {
    core::ptr::from_ref(device).cast_mut().cast()
}

/// Whether auditing is on: whether there is any use in counting accesses.
pub(crate) use listeners::auditing as enabled;

/// Records one access. Call it before the access reaches the device.
pub(crate) fn access(
    device: &pci::Device,
    op: Op,
    range: Range,
    outcome: Outcome,
    context: Context,
) -> Result {
    // SAFETY: The reference proves that the device is alive for the duration of the call.
    to_result(unsafe {
        bindings::pci_audit_access(
            as_raw(device),
            op as u32,
            range.offset() as u32,
            range.size(),
            outcome.is_allowed(),
            context.gfp(),
        )
    })
}

/// Lets whoever traces know of an access that is not recorded, since the caller limits how much it
/// records or auditing is off. Costs nothing while nobody traces. Any context.
#[inline]
pub(crate) fn unrecorded(device: &pci::Device, op: Op, range: Range, outcome: Outcome) {
    if listeners::tracing() {
        // SAFETY: The reference proves that the device is alive for the duration of the call.
        unsafe {
            bindings::pci_audit_unrecorded(
                as_raw(device),
                op as u32,
                range.offset() as u32,
                range.size(),
                outcome.is_allowed(),
            )
        };
    }
}

/// Records that the current task holds the device. Task context only.
pub(crate) fn open(device: &pci::Device, context: Context) -> Result {
    // SAFETY: The reference proves that the device is alive for the duration of the call.
    to_result(unsafe { bindings::pci_audit_open(as_raw(device), context.gfp()) })
}

/// Records the end of a session.
pub(crate) fn close(device: &pci::Device, totals: &Totals, context: Context) -> Result {
    let totals = bindings::pci_audit_totals {
        reads: totals.reads,
        writes: totals.writes,
        blocked_reads: totals.blocked_reads,
        blocked_writes: totals.blocked_writes,
        records: totals.records,
        suppressed: totals.suppressed,
        lost: totals.lost,
    };

    // SAFETY: The references prove that device and totals are alive for the duration of the call.
    to_result(unsafe { bindings::pci_audit_close(as_raw(device), &totals, context.gfp()) })
}

/// Records that accesses went without a record of their own: `count` were over the limit, `lost`
/// were refused, and `ranges` calls of [`touched`] follow.
pub(crate) fn suppressed(
    device: &pci::Device,
    op: Op,
    outcome: Outcome,
    count: u64,
    lost: u64,
    ranges: u32,
    context: Context,
) -> Result {
    // SAFETY: The reference proves that the device is alive for the duration of the call.
    to_result(unsafe {
        bindings::pci_audit_suppressed(
            as_raw(device),
            op as u32,
            outcome.is_allowed(),
            count,
            lost,
            ranges,
            context.gfp(),
        )
    })
}

/// Records where unrecorded accesses went.
pub(crate) fn touched(
    device: &pci::Device,
    op: Op,
    range: Range,
    outcome: Outcome,
    context: Context,
) -> Result {
    // SAFETY: The reference proves that the device is alive for the duration of the call.
    to_result(unsafe {
        bindings::pci_audit_touched(
            as_raw(device),
            op as u32,
            range.offset() as u32,
            range.size(),
            outcome.is_allowed(),
            context.gfp(),
        )
    })
}

/// Somebody to tell when tracing of accesses starts and stops.
pub(crate) trait OnTracing {
    /// Tracing started, or stopped. Called for changes only. Must not sleep long.
    fn changed(on: bool);
}

/// Has `T` told of changes for as long as it lives: for callers that have a faster way while
/// nobody wants to know of accesses.
///
/// # Invariants
///
/// The notifier block is registered.
pub(crate) struct TraceNotifier<T>(KBox<Opaque<NotifierBlock>>, PhantomData<T>);

// SAFETY: Nothing but `drop()` uses the notifier block, and `T` is a type without a value.
unsafe impl<T> Send for TraceNotifier<T> {}
// SAFETY: As above.
unsafe impl<T> Sync for TraceNotifier<T> {}

impl<T: OnTracing> TraceNotifier<T> {
    /// Starts to tell, at once if somebody traces already. May sleep. [`ENOMEM`] for want of memory.
    pub(crate) fn new() -> Result<Self> {
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
