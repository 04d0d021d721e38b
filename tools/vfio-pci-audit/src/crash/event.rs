// SPDX-License-Identifier: GPL-2.0

//! An access as the tracepoint `pci_audit:pci_audit_access` has it.

use std::fmt;
use std::ops::Range;

use pci_audit_core::access::CONFIG_SPACE_SIZE;
use pci_config::Bdf;

use crate::printable::printable;
use crate::record::Op;

/// The name of the event.
pub const NAME: &str = "pci_audit_access";

/// `PCI_AUDIT_TRACE_MAGIC` of the kernel: "PCA" and the version of the layout.
pub const MAGIC: u32 = 0x5043_4101;

/// One access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, in nanoseconds since the machine was booted.
    pub ns: u64,
    /// The device.
    pub device: Bdf,
    /// What it did.
    pub op: Op,
    /// The first byte.
    pub offset: usize,
    /// How many bytes.
    pub size: usize,
    /// Its session; nothing where the driver has none.
    pub session: Option<u64>,
    /// The process; nothing in an interrupt.
    pub pid: Option<u64>,
    /// What the process calls itself, as it may be shown.
    pub comm: String,
    /// Whether it reached the device.
    pub allowed: bool,
}

/// The values of an event, as numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw<'a> {
    pub(crate) ns: u64,
    pub(crate) device: Bdf,
    pub(crate) op: u64,
    pub(crate) offset: u64,
    pub(crate) size: u64,
    pub(crate) session: u64,
    pub(crate) pid: u64,
    pub(crate) comm: &'a str,
    pub(crate) res: u64,
}

impl Event {
    /// Take values that the kernel may have written; otherwise, what is wrong with them.
    pub(crate) fn new(raw: &Raw<'_>) -> Result<Self, String> {
        let op = match raw.op {
            0 => Op::Read,
            1 => Op::Write,
            other => return Err(format!("invalid op={other}")),
        };
        let allowed = match raw.res {
            0 => false,
            1 => true,
            other => return Err(format!("invalid res={other}")),
        };
        let end = raw.offset.checked_add(raw.size);
        if raw.size == 0 || end.is_none_or(|end| end > CONFIG_SPACE_SIZE as u64) {
            return Err(format!(
                "offset={:#x} size={} is not in configuration space",
                raw.offset, raw.size
            ));
        }
        Ok(Self {
            ns: raw.ns,
            device: raw.device,
            op,
            offset: raw.offset as usize,
            size: raw.size as usize,
            session: Some(raw.session).filter(|number| *number != 0),
            pid: Some(raw.pid).filter(|number| *number != 0),
            comm: printable(raw.comm).into_owned(),
            allowed,
        })
    }

    /// The bytes.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.size
    }
}

/// As the kernel prints it.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>16}-{:<7} [000] ..... {:>5}.{:06}: {NAME}: device=\"{}\" op={} offset={:#x} \
             size={} session={} pid={} comm=\"{}\" res={}",
            "<...>",
            self.pid.unwrap_or(0),
            self.ns / 1_000_000_000,
            self.ns / 1000 % 1_000_000,
            self.device,
            self.op,
            self.offset,
            self.size,
            self.session.unwrap_or(0),
            self.pid.unwrap_or(0),
            self.comm,
            u8::from(self.allowed)
        )
    }
}
