// SPDX-License-Identifier: GPL-2.0

//! The same module for a stock kernel: the root of a crate that has `livepatch` for its front end.
//!
//! All but the front end is what `vfio_pci_audit_main` names, which says what each file is for.

pub mod account;
pub mod allow_list;
pub mod bucket;
#[path = "../../../pci/audit/bindings/clock.rs"]
mod clock;
mod config_rw;
mod debugfs;
mod limits;
mod livepatch;
#[path = "../../../pci/audit/bindings/param.rs"]
mod param;
mod parameters;
#[path = "../../../pci/audit/api.rs"]
mod pci_audit;
mod policy;
#[path = "../../../pci/audit/bindings/queue.rs"]
mod queue;
#[path = "../../../pci/audit/bindings/rcu_box.rs"]
mod rcu_box;
pub mod run;
mod running;
#[path = "../../../pci/audit/bindings/seq_file.rs"]
mod seq_file;
mod session;
mod sessions;
#[path = "../../../pci/audit/bindings/shadow.rs"]
mod shadow;
pub mod touched;
mod tracing;
#[path = "../../../pci/audit/bindings/vfio.rs"]
mod vfio;
mod worker;

use kernel::prelude::*;
use pci_audit::{
    access,
    bindings,
    totals, //
};

module! {
    type: VfioPciAudit,
    name: "vfio_pci_audit",
    authors: ["The vfio-pci-audit authors"],
    description: "Block and audit accesses to unassigned PCI config space",
    license: "GPL",
}

struct VfioPciAudit {
    _running: running::Running,
}

impl kernel::Module for VfioPciAudit {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let running = running::Running::new()?;

        livepatch::enable()?;
        Ok(Self { _running: running })
    }
}
