// SPDX-License-Identifier: GPL-2.0

//! The module's parameters, all of mode 0644.

use crate::{
    access::Op,
    limits::LIMITS,
    param::{
        writable_param,
        Page,
        Value, //
    },
    policy::POLICY, //
};
use core::fmt::{
    self,
    Write, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    str::{
        kstrtobool,
        parse_int::ParseInt,
        BStr, //
    },
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// Whether the module runs. While it is being loaded, a parameter's text has no limit.
static RUNNING: Atomic<bool> = Atomic::new(false);

/// From now on, parameters are set through sysfs.
pub(crate) fn set_running() {
    RUNNING.store(true, Relaxed);
}

fn show_bool(out: &mut Page<'_>, value: bool) -> fmt::Result {
    out.write_str(if value { "Y\n" } else { "N\n" })
}

fn parse_u32(text: &CStr) -> Result<u32> {
    let text = text.to_bytes().trim_ascii();

    // A sign is no part of a number that counts something.
    if !text.first().is_some_and(u8::is_ascii_digit) {
        return Err(EINVAL);
    }
    <u32 as ParseInt>::from_str(BStr::from_bytes(text))
}

struct BlockRead;

impl Value for BlockRead {
    const FLAG: bool = true;

    fn set(text: &CStr) -> Result {
        POLICY.set_blocks(Op::Read, kstrtobool(text)?);
        Ok(())
    }

    fn show(out: &mut Page<'_>) -> fmt::Result {
        show_bool(out, POLICY.blocks(Op::Read))
    }
}

writable_param!(
    "vfio_pci_audit",
    "block_pci_unassigned_read",
    BlockRead,
    "bool",
    "Block reads of unassigned PCI config space (default: N)"
);

struct BlockWrite;

impl Value for BlockWrite {
    const FLAG: bool = true;

    fn set(text: &CStr) -> Result {
        POLICY.set_blocks(Op::Write, kstrtobool(text)?);
        Ok(())
    }

    fn show(out: &mut Page<'_>) -> fmt::Result {
        show_bool(out, POLICY.blocks(Op::Write))
    }
}

writable_param!(
    "vfio_pci_audit",
    "block_pci_unassigned_write",
    BlockWrite,
    "bool",
    "Block writes to unassigned PCI config space (default: N)"
);

struct AllowIds;

impl Value for AllowIds {
    fn set(text: &CStr) -> Result {
        let text = text.to_bytes();

        // sysfs cuts a write after a page and passes the rest as a write of its own, which would
        // replace the list by its tail.
        if RUNNING.load(Relaxed) && text.len() >= PAGE_SIZE {
            pr_err!("uaccess_allow_ids: too long for sysfs, give it when the module is loaded\n");
            return Err(EINVAL);
        }
        POLICY.set_allowed(text)
    }

    fn show(out: &mut Page<'_>) -> fmt::Result {
        // "vvvv:dddd,"
        const ENTRY: usize = 10;
        // ",... and 4294967295 more\n"
        const REST: usize = 26;

        POLICY.with_allowed(|ids| {
            for (shown, id) in ids.iter().enumerate() {
                if out.room() < ENTRY + REST {
                    return writeln!(out, ",... and {} more", ids.len() - shown);
                }
                if shown > 0 {
                    out.write_char(',')?;
                }
                write!(out, "{id}")?;
            }
            out.write_char('\n')
        })
    }
}

writable_param!(
    "vfio_pci_audit",
    "uaccess_allow_ids",
    AllowIds,
    "string",
    "Devices that nothing is blocked for: vendor:device,... in hexadecimal (default: none)"
);

struct AuditRate;

impl Value for AuditRate {
    fn set(text: &CStr) -> Result {
        LIMITS.set_rate(parse_u32(text)?)
    }

    fn show(out: &mut Page<'_>) -> fmt::Result {
        writeln!(out, "{}", LIMITS.current().rate)
    }
}

writable_param!(
    "vfio_pci_audit",
    "audit_rate",
    AuditRate,
    "uint",
    "Records per second of each session for reads, and for writes; 0: no limit (default: 24)"
);

struct AuditBurst;

impl Value for AuditBurst {
    fn set(text: &CStr) -> Result {
        LIMITS.set_burst(parse_u32(text)?)
    }

    fn show(out: &mut Page<'_>) -> fmt::Result {
        writeln!(out, "{}", LIMITS.current().burst)
    }
}

writable_param!(
    "vfio_pci_audit",
    "audit_burst",
    AuditBurst,
    "uint",
    "Records that a session may write at once before audit_rate holds (default: 24)"
);
