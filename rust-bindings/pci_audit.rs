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
    totals::Totals,
};
use kernel::{
    error::to_result,
    pci,
    prelude::*, //
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
#[inline]
pub(crate) fn enabled() -> bool {
    // SAFETY: `audit_enabled` is a valid, aligned integer for ever. It may change at any time,
    // hence the volatile read, as `READ_ONCE()` does it.
    unsafe { core::ptr::addr_of!(bindings::audit_enabled).read_volatile() != 0 }
}

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
