// SPDX-License-Identifier: GPL-2.0

//! Audit records of accesses to PCI configuration space.
//!
//! A driver that lets user space or a guest reach a device's configuration space records each
//! access with [`access()`], before the access reaches the device. C drivers use
//! `pci_audit_access()` of [`include/linux/pci_audit.h`](srctree/include/linux/pci_audit.h). This
//! module knows PCI and audit. Which accesses are allowed is decided by its callers.
//!
//! A wrong call does not compile, or fails with an error that tells the reason: operation and
//! outcome are enums, a [`Range`] holds at least one byte, lies inside configuration space and is
//! checked against the size of the device's own, and the device is a [`Device`]. With these, a
//! function returns `Ok` while auditing is off.
//!
//! - [`access`](mod@access): operation, outcome and range of an access. Imports only `core`.
//! - [`record`]: the text of a record. Imports only `core`.
//! - `emit`: writes records and trace events.
//! - [`kept`]: the form in which accesses are kept for the next boot. Imports only `core`.
//! - `keeper`: keeps them.
//! - `abi`: the functions that C calls.
//! - `audit`, `trace`, `keep`: the kernel interfaces behind them, with their `unsafe` code.
//!
//! The examples are tests; `device` is any [`Device`].
//!
//! [`Device`]: kernel::pci::Device

mod abi;
pub mod access;
mod bindings;
mod emit;
mod keeper;
pub mod kept;
pub mod record;

use keeper::Keeping;
use kernel::prelude::*;

pub use access::{
    Op,
    Outcome,
    Range,
    RangeError, //
};
#[cfg(CONFIG_KUNIT)]
pub use bindings::any_device::any_device;
pub use bindings::trace::{
    OnTracing,
    TraceNotifier, //
};
pub use emit::{
    access,
    emit,
    emit_task,
    enabled,
    is_traced,
    name,
    range,
    session_access,
    trace,
    AccessError,
    Context,
    Emitted, //
};
pub use record::Session;

module! {
    type: PciAudit,
    name: "pci_audit",
    authors: ["The vfio-pci-audit authors"],
    description: "Audit records of accesses to PCI configuration space",
    license: "GPL",
}

struct PciAudit {
    _keeping: Option<Keeping>,
}

impl kernel::Module for PciAudit {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        // Without it, everything else works.
        let keeping = Keeping::new().unwrap_or_else(|err| {
            pr_warn!("accesses are not kept for the next boot: {err:?}\n");
            None
        });

        Ok(Self { _keeping: keeping })
    }
}
