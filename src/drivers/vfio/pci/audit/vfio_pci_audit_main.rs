// SPDX-License-Identifier: GPL-2.0

//! Blocks and audits accesses to unassigned PCI configuration space through VFIO.
//!
//! A byte is *unassigned* when it is neither in the standard header nor in a capability that VFIO
//! knows. A *run* is a maximal contiguous range of unassigned bytes with one decision within one
//! system call, and an *access* is one run in one system call: the unit that is decided, counted
//! and recorded. A *session* lasts from the opening of a device to its last close.
//!
//! - `hook`: the front end, which vfio-pci-core calls.
//! - `config_rw`: serves one system call; `run` finds its runs.
//! - `policy`: decides; `allow_list` is its list of devices.
//! - `session`: records, within `limits`; `bucket` is the limit itself, `account` what was
//!   accessed, `touched` where, and `worker` runs what a session does later.
//! - `parameters`: what the administrator sets; `debugfs`: what the administrator may see.
//! - `running`: what runs while the module is loaded, whoever calls it.
//!
//! The words and texts of records are those of the generic service, `pci_audit`.

pub mod account;
pub mod allow_list;
pub mod bucket;
#[path = "../../../pci/audit/bindings/clock.rs"]
mod clock;
mod config_rw;
mod debugfs;
mod hook;
mod limits;
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
#[cfg(CONFIG_PCI_AUDIT_KUNIT_TEST)]
#[path = "../../../pci/audit/kunit/vfio_pci_audit.rs"]
mod tests;
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
        Ok(Self {
            _running: running::Running::new()?,
        })
    }
}
