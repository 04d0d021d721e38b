// SPDX-License-Identifier: GPL-2.0

//! The parameters `block_pci_unassigned_read`, `block_pci_unassigned_write` and
//! `uaccess_allow_ids`.

use super::{
    listing,
    POLICY, //
};
use crate::common::param::{
    is_running,
    writable_param,
    Page,
    Value, //
};
use core::fmt::{
    self,
    Write, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    str::kstrtobool, //
};

const READ: bool = false;
const WRITE: bool = true;

fn show_bool(out: &mut Page<'_>, value: bool) -> fmt::Result {
    out.write_str(if value { "Y\n" } else { "N\n" })
}

/// Blocks or allows reads or writes.
fn set_blocks(iswrite: bool, text: &CStr) -> Result {
    let block = kstrtobool(text)?;

    // While the module is loaded, the other toggle may still come.
    if POLICY.set_blocks(iswrite, block) && is_running() {
        warn_of_blocked_reads();
    }
    Ok(())
}

/// Warns if reads are blocked and writes are not.
pub(crate) fn warn_of_blocked_reads() {
    if POLICY.blocks(READ) && !POLICY.blocks(WRITE) {
        pr_warn!(
            "block_pci_unassigned_read without block_pci_unassigned_write is dangerous: a guest \
             that reads, sets a bit and writes back puts wrong bits into a register\n"
        );
    }
}

struct BlockRead;

impl Value for BlockRead {
    const FLAG: bool = true;

    fn set(text: &CStr) -> Result {
        set_blocks(READ, text)
    }

    fn show(out: &mut Page<'_>) -> fmt::Result {
        show_bool(out, POLICY.blocks(READ))
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
        set_blocks(WRITE, text)
    }

    fn show(out: &mut Page<'_>) -> fmt::Result {
        show_bool(out, POLICY.blocks(WRITE))
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

        // sysfs splits a longer write after a page, and the second part would replace the list.
        if is_running() && text.len() >= PAGE_SIZE {
            pr_err!("uaccess_allow_ids: too long for sysfs, give it when the module is loaded\n");
            return Err(EINVAL);
        }
        POLICY.set_allowed(text)
    }

    fn free() {
        POLICY.clear();
    }

    fn show(out: &mut Page<'_>) -> fmt::Result {
        let room = out.room();

        POLICY.with_entries(|entries| listing::show(entries, out, room))
    }
}

writable_param!(
    "vfio_pci_audit",
    "uaccess_allow_ids",
    AllowIds,
    "string",
    "Exceptions from blocking: VENDOR:DEVICE or VENDOR:*, with or without @START-END, in \
     hexadecimal, separated by commas (default: none)"
);
