// SPDX-License-Identifier: GPL-2.0

//! The parameters `audit_rate` and `audit_burst`.

use super::{
    bucket::MAX,
    devices,
    ledger::Limits, //
};
use crate::common::param::{
    writable_param,
    Page,
    Value, //
};
use core::fmt::{
    self,
    Write, //
};
use kernel::{
    prelude::*,
    str::{
        parse_int::ParseInt,
        BStr, //
    },
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// Default number of records per second: a day of them takes less than 22 MB.
const DEFAULT_RATE: u32 = 1;

/// Default number of records at once. Two of these, a report and two owed tokens fit in the default
/// audit backlog of 64.
const DEFAULT_BURST: u32 = 24;

/// The limits of every device. One word, so that an access reads both parameters at once; the rate
/// is in the lower half.
pub(crate) struct Current(Atomic<u64>);

/// The limits in force.
pub(crate) static LIMITS: Current = Current(Atomic::new(pack(DEFAULT_RATE, DEFAULT_BURST)));

const fn pack(rate: u32, burst: u32) -> u64 {
    (burst as u64) << 32 | rate as u64
}

impl Current {
    fn rate(&self) -> u32 {
        self.0.load(Relaxed) as u32
    }

    fn burst(&self) -> u32 {
        (self.0.load(Relaxed) >> 32) as u32
    }

    /// The limits in force.
    pub(crate) fn current(&self) -> Limits {
        let both = self.0.load(Relaxed);

        Limits::new(both as u32, (both >> 32) as u32)
    }

    /// Sets both. Fills the buckets of every device. May sleep. The caller serializes changes.
    fn set(&self, rate: u32, burst: u32) {
        self.0.store(pack(rate, burst), Relaxed);
        devices::for_each(|device| device.limits_changed());
    }

    /// Sets the records per second, 0 for no limit. May sleep. [`EINVAL`] above [`MAX`].
    fn set_rate(&self, rate: u32) -> Result {
        if rate > MAX {
            return Err(EINVAL);
        }
        self.set(rate, self.burst());
        Ok(())
    }

    /// Sets the records at once. May sleep. [`EINVAL`] above [`MAX`], and for 0, with which nothing
    /// would ever be recorded.
    fn set_burst(&self, burst: u32) -> Result {
        if burst == 0 || burst > MAX {
            return Err(EINVAL);
        }
        self.set(self.rate(), burst);
        Ok(())
    }
}

fn parse_u32(text: &CStr) -> Result<u32> {
    let text = text.to_bytes().trim_ascii();

    // `ParseInt` would take a sign.
    if !text.first().is_some_and(u8::is_ascii_digit) {
        return Err(EINVAL);
    }
    <u32 as ParseInt>::from_str(BStr::from_bytes(text))
}

struct AuditRate;

impl Value for AuditRate {
    fn set(text: &CStr) -> Result {
        LIMITS.set_rate(parse_u32(text)?)
    }

    fn show(out: &mut Page<'_>) -> fmt::Result {
        writeln!(out, "{}", LIMITS.rate())
    }
}

writable_param!(
    "vfio_pci_audit",
    "audit_rate",
    AuditRate,
    "uint",
    "Records per second of each device for reads, and for writes; 0: no limit (default: 1)"
);

struct AuditBurst;

impl Value for AuditBurst {
    fn set(text: &CStr) -> Result {
        LIMITS.set_burst(parse_u32(text)?)
    }

    fn show(out: &mut Page<'_>) -> fmt::Result {
        writeln!(out, "{}", LIMITS.burst())
    }
}

writable_param!(
    "vfio_pci_audit",
    "audit_burst",
    AuditBurst,
    "uint",
    "Records that a device may write at once before audit_rate holds (default: 24)"
);
