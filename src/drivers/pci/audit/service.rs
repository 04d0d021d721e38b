// SPDX-License-Identifier: GPL-2.0

//! The C interface of `include/linux/pci_audit.h`.
//!
//! Every function checks what it was given, since only a bug in a driver makes it wrong, and then
//! has the one place that emits write the record.

use crate::{
    access::{
        Op,
        Outcome,
        Range,
        CONFIG_SPACE_SIZE, //
    },
    audit::{
        self,
        Device, //
    },
    bindings::{
        gfp_t,
        pci_audit_totals,
        pci_dev, //
    },
    listeners,
    record::{
        Line,
        Record,
        Text, //
    },
    totals::Totals,
};
use kernel::{
    error::from_result,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// Refuses arguments that only a bug in the calling driver can produce, and warns of the first.
fn refuse() -> Error {
    static WARNED: Atomic<bool> = Atomic::new(false);

    kernel::warn_on!(!WARNED.xchg(true, Relaxed));
    EINVAL
}

/// Checks the arguments that accesses and ranges have in common.
fn check(op: u32, offset: u32, size: usize) -> Result<(Op, Range)> {
    let op = Op::from_raw(op).ok_or_else(refuse)?;
    let range = Range::new(offset as usize, size, CONFIG_SPACE_SIZE).map_err(|_| refuse())?;

    Ok((op, range))
}

/// The device of a caller. Refuses NULL.
///
/// # Safety
///
/// `pdev` is null or points to a device on which the caller holds a reference for as long as the
/// result is used.
unsafe fn device<'a>(pdev: *mut pci_dev) -> Result<Device<'a>> {
    // SAFETY: By the safety requirement.
    unsafe { Device::from_raw(pdev) }.ok_or_else(refuse)
}

/// Writes `record`, if anybody listens.
fn emit(device: &Device<'_>, record: Record, gfp: gfp_t) -> Result {
    if !listeners::auditing() {
        return Ok(());
    }

    let mut buffer = audit::Buffer::start(gfp)?;
    let text = Text {
        device: device.name(),
        record,
    };
    buffer.write(Line::new().format(&text));
    if record == Record::Open {
        buffer.write_task_info();
    }
    Ok(())
}

/// Runs the body of a function that C calls: 0, or the error as a negative errno.
fn c_call(body: impl FnOnce() -> Result) -> c_int {
    from_result(|| body().map(|()| 0))
}

/// An access, or a range of accesses, as a C caller describes it.
struct Access<'a> {
    device: Device<'a>,
    op: Op,
    range: Range,
    outcome: Outcome,
}

impl Access<'_> {
    /// Checks what a caller says.
    ///
    /// # Safety
    ///
    /// As for [`device`].
    unsafe fn new(
        pdev: *mut pci_dev,
        op: u32,
        offset: u32,
        size: usize,
        allowed: bool,
    ) -> Result<Self> {
        // SAFETY: By the safety requirement.
        let device = unsafe { device(pdev)? };
        let (op, range) = check(op, offset, size)?;

        Ok(Self {
            device,
            op,
            range,
            outcome: Outcome::from_allowed(allowed),
        })
    }

    fn trace(&self) {
        self.device.trace(self.op, self.range, self.outcome);
    }

    /// Writes the kind of record that `record` makes.
    fn emit(&self, record: fn(Op, Range, Outcome) -> Record, gfp: gfp_t) -> Result {
        emit(&self.device, record(self.op, self.range, self.outcome), gfp)
    }
}

/// See `include/linux/pci_audit.h`.
#[no_mangle]
extern "C" fn pci_audit_access(
    pdev: *mut pci_dev,
    op: u32,
    offset: u32,
    size: usize,
    allowed: bool,
    gfp: gfp_t,
) -> c_int {
    c_call(|| {
        // SAFETY: Callers pass NULL or a device on which they hold a reference.
        let access = unsafe { Access::new(pdev, op, offset, size, allowed)? };

        access.trace();
        access.emit(Record::Access, gfp)
    })
}

/// See `include/linux/pci_audit.h`.
#[no_mangle]
extern "C" fn pci_audit_unrecorded(
    pdev: *mut pci_dev,
    op: u32,
    offset: u32,
    size: usize,
    allowed: bool,
) -> c_int {
    // SAFETY: Callers pass NULL or a device on which they hold a reference.
    c_call(|| unsafe { Access::new(pdev, op, offset, size, allowed) }.map(|access| access.trace()))
}

/// See `include/linux/pci_audit.h`.
#[no_mangle]
extern "C" fn pci_audit_open(pdev: *mut pci_dev, gfp: gfp_t) -> c_int {
    // SAFETY: Callers pass NULL or a device on which they hold a reference.
    c_call(|| emit(&unsafe { device(pdev)? }, Record::Open, gfp))
}

/// See `include/linux/pci_audit.h`.
#[no_mangle]
extern "C" fn pci_audit_close(
    pdev: *mut pci_dev,
    totals: *const pci_audit_totals,
    gfp: gfp_t,
) -> c_int {
    c_call(|| {
        // SAFETY: Callers pass NULL or a device on which they hold a reference.
        let device = unsafe { device(pdev)? };
        // SAFETY: Callers pass NULL or a pointer to totals that outlive the call.
        let totals = unsafe { totals.as_ref() }.ok_or_else(refuse)?;

        emit(
            &device,
            Record::Close(Totals {
                reads: totals.reads,
                writes: totals.writes,
                blocked_reads: totals.blocked_reads,
                blocked_writes: totals.blocked_writes,
                records: totals.records,
                suppressed: totals.suppressed,
                lost: totals.lost,
            }),
            gfp,
        )
    })
}

/// See `include/linux/pci_audit.h`.
#[no_mangle]
extern "C" fn pci_audit_suppressed(
    pdev: *mut pci_dev,
    op: u32,
    allowed: bool,
    count: u64,
    lost: u64,
    ranges: u32,
    gfp: gfp_t,
) -> c_int {
    c_call(|| {
        // SAFETY: Callers pass NULL or a device on which they hold a reference.
        let device = unsafe { device(pdev)? };
        let record = Record::Suppressed {
            op: Op::from_raw(op).ok_or_else(refuse)?,
            outcome: Outcome::from_allowed(allowed),
            count,
            lost,
            ranges,
        };

        emit(&device, record, gfp)
    })
}

/// See `include/linux/pci_audit.h`.
#[no_mangle]
extern "C" fn pci_audit_touched(
    pdev: *mut pci_dev,
    op: u32,
    offset: u32,
    size: usize,
    allowed: bool,
    gfp: gfp_t,
) -> c_int {
    // SAFETY: Callers pass NULL or a device on which they hold a reference.
    c_call(|| unsafe { Access::new(pdev, op, offset, size, allowed)? }.emit(Record::Touched, gfp))
}
