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
    record::{
        Line,
        Record,
        Text, //
    },
    totals::Totals,
};
use kernel::{
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
pub(crate) fn check(op: u32, offset: u32, size: usize) -> Result<(Op, Range)> {
    let op = Op::from_raw(op).ok_or_else(refuse)?;
    let range = Range::new(offset as usize, size, CONFIG_SPACE_SIZE).map_err(|_| refuse())?;

    Ok((op, range))
}

/// Writes `record` of `pdev`, if anybody listens.
fn emit(pdev: *mut pci_dev, record: Result<Record>, gfp: gfp_t) -> c_int {
    let emit = || -> Result {
        // SAFETY: C callers pass NULL or a device on which they hold a reference.
        let device = unsafe { Device::from_raw(pdev) }.ok_or_else(refuse)?;
        let record = record?;
        if !audit::enabled() {
            return Ok(());
        }

        let mut buffer = audit::Buffer::start(gfp)?;
        let text = Text {
            device: device.name(),
            record,
        };
        buffer.write(Line::new(&text).as_c_str());
        if record == Record::Open {
            buffer.write_task_info();
        }
        Ok(())
    };

    match emit() {
        Ok(()) => 0,
        Err(err) => err.to_errno(),
    }
}

/// See `include/linux/pci_audit.h`.
#[no_mangle]
pub(crate) extern "C" fn pci_audit_access(
    pdev: *mut pci_dev,
    op: u32,
    offset: u32,
    size: usize,
    allowed: bool,
    gfp: gfp_t,
) -> c_int {
    let record = check(op, offset, size)
        .map(|(op, range)| Record::Access(op, range, Outcome::from_allowed(allowed)));

    emit(pdev, record, gfp)
}

/// See `include/linux/pci_audit.h`.
#[no_mangle]
extern "C" fn pci_audit_open(pdev: *mut pci_dev, gfp: gfp_t) -> c_int {
    emit(pdev, Ok(Record::Open), gfp)
}

/// See `include/linux/pci_audit.h`.
#[no_mangle]
pub(crate) extern "C" fn pci_audit_close(
    pdev: *mut pci_dev,
    totals: *const pci_audit_totals,
    gfp: gfp_t,
) -> c_int {
    // SAFETY: C callers pass NULL or a pointer to totals that outlive the call.
    let totals = unsafe { totals.as_ref() }.ok_or_else(refuse);
    let record = totals.map(|t| {
        Record::Close(Totals {
            reads: t.reads,
            writes: t.writes,
            blocked_reads: t.blocked_reads,
            blocked_writes: t.blocked_writes,
            records: t.records,
            suppressed: t.suppressed,
            lost: t.lost,
        })
    });

    emit(pdev, record, gfp)
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
    let record = Op::from_raw(op)
        .ok_or_else(refuse)
        .map(|op| Record::Suppressed {
            op,
            outcome: Outcome::from_allowed(allowed),
            count,
            lost,
            ranges,
        });

    emit(pdev, record, gfp)
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
    let record = check(op, offset, size)
        .map(|(op, range)| Record::Touched(op, range, Outcome::from_allowed(allowed)));

    emit(pdev, record, gfp)
}
