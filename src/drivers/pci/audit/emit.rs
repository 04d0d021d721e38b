// SPDX-License-Identifier: GPL-2.0

//! Writes records and trace events.

use crate::{
    access::{
        Op,
        Outcome,
        Range,
        RangeError, //
    },
    bindings::audit::{
        self,
        Buffer, //
    },
    record::{
        Access,
        Line,
        LineOf,
        Session,
        Text, //
    },
};
use core::fmt;
use kernel::{
    bindings::gfp_t,
    device,
    pci,
    prelude::*, //
};

pub use crate::bindings::{
    audit::enabled,
    trace::{
        is_traced,
        trace, //
    },
};

/// How a record may be allocated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Context {
    /// May sleep, also for room in the audit backlog: for accesses of a driver or of root. The
    /// record joins the event of the system call.
    Sleep,
    /// Never sleeps, and may use the atomic reserves: under a spinlock or in an interrupt.
    Atomic,
    /// Never waits, neither for memory nor for room in the audit backlog, and leaves the atomic
    /// reserves alone: for accesses of a guest, which must not stall on the audit daemon.
    NoWait,
}

impl Context {
    pub(crate) const fn gfp(self) -> gfp_t {
        match self {
            Context::Sleep => kernel::bindings::GFP_KERNEL,
            Context::Atomic => kernel::bindings::GFP_ATOMIC,
            Context::NoWait => kernel::bindings::GFP_NOWAIT,
        }
    }
}

/// What became of a record that audit did not refuse.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Emitted {
    /// Audit took the record.
    Written,
    /// Auditing is off: there is no record.
    Off,
}

/// The reason for which an access was not recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AccessError {
    /// It is not inside the device's configuration space.
    Range(RangeError),
    /// The audit subsystem refused the record: `ENOBUFS`.
    Refused(Error),
}

/// [`EINVAL`]: only a driver that does not check its user's requests asks for such a range.
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

/// The device's name: domain, bus, device and function, as in `0000:01:00.1`.
pub fn name(device: &pci::Device) -> &str {
    let device: &device::Device = device.as_ref();

    // The PCI core formats it as hexadecimal digits, colons and dots.
    device.name().to_str().unwrap_or("?")
}

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
pub fn range(device: &pci::Device, offset: usize, size: usize) -> Result<Range, RangeError> {
    Range::new(offset, size, audit::config_size(device))
}

/// Records one access. Call it before the access reaches the device.
///
/// The tracepoint `pci_audit:pci_audit_access` is emitted too, whether or not auditing is on.
/// [`AccessError::Range`] when `range` was made for a device with a larger configuration space;
/// then nothing is recorded.
///
/// # Examples
///
/// ```
/// fn write(device: &pci::Device, offset: usize, size: usize) -> Result {
///     let range = pci_audit::range(device, offset, size)?;
///     let outcome = Outcome::from_allowed(offset >= 0x40);
///
///     let _ = pci_audit::access(device, Op::Write, range, outcome, Context::Sleep)?;
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
pub fn access(
    device: &pci::Device,
    op: Op,
    range: Range,
    outcome: Outcome,
    context: Context,
) -> Result<Emitted, AccessError> {
    if range.end() > audit::config_size(device) {
        return Err(AccessError::Range(RangeError::PastEnd));
    }
    access_with_gfp(device, op, range, outcome, context.gfp()).map_err(AccessError::Refused)
}

/// As [`access`], for C callers, which name the flags themselves.
pub(crate) fn access_with_gfp(
    device: &pci::Device,
    op: Op,
    range: Range,
    outcome: Outcome,
    gfp: gfp_t,
) -> Result<Emitted> {
    let access = Access {
        op,
        range,
        session: Session::NONE,
        outcome,
    };

    trace(device, op, range, access.session, outcome);
    write_access(device, &access, gfp)
}

/// Records one access of a session: for callers that limit what they record, and that number the
/// sessions of a device. They emit the tracepoint themselves, with [`trace`].
pub fn session_access(device: &pci::Device, access: &Access, context: Context) -> Result<Emitted> {
    write_access(device, access, context.gfp())
}

/// Writes another record about `device`: `device="..." op=` and then `body`. `ENOBUFS` when the
/// audit subsystem refuses it.
pub fn emit(device: &pci::Device, body: &dyn fmt::Display, context: Context) -> Result<Emitted> {
    write(device, body, context.gfp(), false)
}

/// As [`emit`], followed by the fields of `audit_log_task_info()` for the current task and
/// `res=1`. Task context only.
pub fn emit_task(
    device: &pci::Device,
    body: &dyn fmt::Display,
    context: Context,
) -> Result<Emitted> {
    write(device, body, context.gfp(), true)
}

fn write_access(device: &pci::Device, access: &Access, gfp: gfp_t) -> Result<Emitted> {
    if !enabled() {
        return Ok(Emitted::Off);
    }

    let mut buffer = Buffer::start(gfp)?;
    let mut line = LineOf::<{ Access::SIZE }>::new();
    access.append_with_device(&mut line, name(device));
    buffer.write(line.bytes());
    Ok(Emitted::Written)
}

fn write(device: &pci::Device, body: &dyn fmt::Display, gfp: gfp_t, task: bool) -> Result<Emitted> {
    if !enabled() {
        return Ok(Emitted::Off);
    }

    let mut buffer = Buffer::start(gfp)?;
    let mut line = Line::new();
    buffer.write(line.format(&Text {
        device: name(device),
        body,
    }));
    if task {
        buffer.write_task_info();
    }
    Ok(Emitted::Written)
}
