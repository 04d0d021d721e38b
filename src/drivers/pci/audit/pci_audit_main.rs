// SPDX-License-Identifier: GPL-2.0

//! Audit records of accesses to PCI configuration space.
//!
//! The generic service behind `include/linux/pci_audit.h`. It knows PCI and audit; who may access
//! what is its callers' business.
//!
//! - `access`: the words: operation, outcome, range.
//! - `record`: the text of every record; `totals`: the numbers in the last one.
//! - `service`: the functions that drivers call.

pub mod access;
#[path = "bindings/audit.rs"]
mod audit;
#[path = "bindings/bindings.rs"]
mod bindings;
#[path = "bindings/listeners.rs"]
mod listeners;
pub mod record;
mod service;
#[cfg(CONFIG_PCI_AUDIT_KUNIT_TEST)]
#[path = "kunit/pci_audit.rs"]
mod tests;
pub mod totals;

use kernel::prelude::*;

module! {
    type: PciAudit,
    name: "pci_audit",
    authors: ["The vfio-pci-audit authors"],
    description: "Audit records of accesses to PCI configuration space",
    license: "GPL",
}

struct PciAudit;

impl kernel::Module for PciAudit {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self)
    }
}
