// SPDX-License-Identifier: GPL-2.0

//! The safe Rust interface of the PCI audit service.
//!
//! A wrong call does not compile, or it fails with an error that says why: operation and outcome
//! are enums, a [`Range`] holds at least one byte, lies inside configuration space and is checked
//! against the size of the device's own, and the device is a [`pci::Device`]. As the C functions
//! do, these return `Ok` when auditing is off.
//!
//! The examples are tests; `device` is any [`pci::Device`].
//!
//! C header: [`include/linux/pci_audit.h`](srctree/include/linux/pci_audit.h)

use super::{
    access::{
        Op,
        Outcome,
        Range,
        RangeError, //
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
    /// May sleep, also for room in the audit backlog: for accesses that a driver or root does.
    Sleep,
    /// Never sleeps, and may use the atomic reserves: under a spinlock or in an interrupt.
    Atomic,
    /// Never waits, neither for memory nor for room in the audit backlog, and leaves the atomic
    /// reserves alone: for accesses on behalf of somebody who must not stall on others' logs.
    NoWait,
}

impl Context {
    const fn gfp(self) -> bindings::gfp_t {
        match self {
            Context::Sleep => kernel::bindings::GFP_KERNEL,
            Context::Atomic => kernel::bindings::GFP_ATOMIC,
            Context::NoWait => kernel::bindings::GFP_NOWAIT,
        }
    }
}

/// Why an access was not recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum AccessError {
    /// It is not inside the device's configuration space.
    Range(RangeError),
    /// The audit subsystem refused the record: [`ENOBUFS`].
    Refused(Error),
}

/// [`EINVAL`]: only a bug in a driver, or a user that it did not check, asks for such a range.
impl From<RangeError> for Error {
    fn from(_: RangeError) -> Error {
        EINVAL
    }
}

impl From<AccessError> for Error {
    fn from(err: AccessError) -> Error {
        match err {
            AccessError::Range(err) => err.into(),
            AccessError::Refused(err) => err,
        }
    }
}

fn as_raw(device: &pci::Device) -> *mut bindings::pci_dev {
    core::ptr::from_ref(device).cast_mut().cast()
}

/// Bytes of `device`'s configuration space: 256 or 4096.
fn config_size(device: &pci::Device) -> usize {
    // SAFETY: The reference proves that the device is alive; its size does not change.
    unsafe { (*as_raw(device)).cfg_size as usize }
}

/// A function of the service that takes an access or a range.
type RangeFn =
    unsafe extern "C" fn(*mut bindings::pci_dev, u32, u32, usize, bool, bindings::gfp_t) -> c_int;

/// Calls `function`, which is one of the service's.
fn call(
    function: RangeFn,
    device: &pci::Device,
    op: Op,
    range: Range,
    outcome: Outcome,
    context: Context,
) -> Result {
    // SAFETY: The reference proves that the device is alive for the duration of the call, which is
    // all that functions of the service want.
    to_result(unsafe {
        function(
            as_raw(device),
            op as u32,
            range.offset() as u32,
            range.size(),
            outcome.is_allowed(),
            context.gfp(),
        )
    })
}

/// Whether auditing is on: whether there is any use in counting accesses.
pub(crate) use listeners::auditing as enabled;

/// The `size` bytes at `offset` of `device`'s configuration space.
///
/// # Examples
///
/// ```
/// let range = pci_audit::range(device, 0x40, 4)?;
/// assert_eq!((range.offset(), range.size()), (0x40, 4));
///
/// assert_eq!(pci_audit::range(device, 0x40, 0), Err(RangeError::Empty));
/// assert_eq!(pci_audit::range(device, 4096, 1), Err(RangeError::PastEnd));
/// assert_eq!(pci_audit::range(device, usize::MAX, 2), Err(RangeError::PastEnd));
/// ```
pub(crate) fn range(device: &pci::Device, offset: usize, size: usize) -> Result<Range, RangeError> {
    Range::new(offset, size, config_size(device))
}

/// Records one access. Call it before the access reaches the device.
///
/// The tracepoint is emitted too, whether or not auditing is on. [`AccessError::Range`] when
/// `range` was made for a device with a larger configuration space; then nothing is recorded.
///
/// # Examples
///
/// ```
/// fn write(device: &pci::Device, offset: usize, size: usize) -> Result {
///     let range = pci_audit::range(device, offset, size)?;
///     let outcome = Outcome::from_allowed(offset >= 0x40);
///
///     pci_audit::access(device, Op::Write, range, outcome, Context::Sleep)?;
///     match outcome {
///         Outcome::Allowed => Ok(()), // Here the driver writes.
///         Outcome::Blocked => Err(EPERM),
///     }
/// }
///
/// assert_eq!(write(device, 0x60, 4), Ok(()));
/// assert_eq!(write(device, 0x10, 4), Err(EPERM));
/// assert_eq!(write(device, 4095, 2), Err(EINVAL));
/// ```
pub(crate) fn access(
    device: &pci::Device,
    op: Op,
    range: Range,
    outcome: Outcome,
    context: Context,
) -> Result<(), AccessError> {
    if range.end() > config_size(device) {
        return Err(AccessError::Range(RangeError::PastEnd));
    }
    call(
        bindings::pci_audit_access,
        device,
        op,
        range,
        outcome,
        context,
    )
    .map_err(AccessError::Refused)
}

/// Lets whoever traces know of an access that is not recorded, since the caller limits how much it
/// records or auditing is off. Costs nothing while nobody traces. Any context.
///
/// # Examples
///
/// ```
/// let range = pci_audit::range(device, 0x40, 4)?;
/// let over_the_limit = true;
///
/// if over_the_limit {
///     pci_audit::unrecorded(device, Op::Read, range, Outcome::Allowed);
/// } else {
///     pci_audit::access(device, Op::Read, range, Outcome::Allowed, Context::NoWait)?;
/// }
/// ```
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
///
/// # Examples
///
/// A session: who, what, and how much of it. Its end is recorded with its totals.
///
/// ```
/// let range = pci_audit::range(device, 0x40, 4)?;
///
/// pci_audit::open(device, Context::Sleep)?;
/// pci_audit::access(device, Op::Read, range, Outcome::Allowed, Context::Sleep)?;
/// pci_audit::suppressed(device, Op::Write, Outcome::Blocked, 3, 0, 1, Context::Sleep)?;
/// pci_audit::touched(device, Op::Write, range, Outcome::Blocked, Context::Sleep)?;
/// let totals = Totals {
///     reads: 1,
///     writes: 3,
///     blocked_writes: 3,
///     records: 1,
///     suppressed: 3,
///     ..Totals::default()
/// };
/// pci_audit::close(device, &totals, Context::Sleep)?;
/// ```
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
    call(
        bindings::pci_audit_touched,
        device,
        op,
        range,
        outcome,
        context,
    )
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
    /// Starts to tell, at once if somebody traces already. May sleep. [`ENOMEM`] for want of
    /// memory.
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
