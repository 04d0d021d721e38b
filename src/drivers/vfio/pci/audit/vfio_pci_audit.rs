// SPDX-License-Identifier: GPL-2.0

//! Blocks and audits accesses to unassigned PCI configuration space through VFIO.
//!
//! A byte is *unassigned* when it is neither in the standard header nor in a capability that VFIO
//! knows. A *run* is a maximal contiguous range of unassigned bytes with one decision within one
//! system call, and an *access* is one run in one system call: the unit of decisions and records.
//!
//! - `hook`: the functions that vfio-pci-core calls for an access.
//! - `config_rw`: serves one system call; [`run`] finds its runs.
//! - `monitor`: what is asked for a decision, and told of each access.
//! - [`policy`]: decides which accesses are blocked.
//! - [`session`]: records the accesses of a *session*, from the opening of a device to its last
//!   close, within the limits of the device. Records are written by `pci_audit`.
//! - `common`, `vfio`: the kernel interfaces behind them, with their `unsafe` code.

mod common;
mod config_rw;
mod hook;
#[cfg(CONFIG_VFIO_PCI_AUDIT_KUNIT_TEST)]
mod kunit;
mod monitor;
pub mod policy;
pub mod run;
pub mod session;
mod vfio;

use kernel::prelude::*;
use vfio::bindings;

module! {
    type: VfioPciAudit,
    name: "vfio_pci_audit",
    authors: ["The vfio-pci-audit authors"],
    description: "Block and audit accesses to unassigned PCI config space",
    license: "GPL",
}

/// The monitor of a device that is open. Without a session the policy is still enforced.
type OpenDevice<'a> = Option<&'a session::Session>;

struct VfioPciAudit {
    _sessions: session::Sessions,
}

impl kernel::Module for VfioPciAudit {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        // SAFETY: The module is being loaded, which happens once.
        let sessions = unsafe { session::Sessions::new()? };

        common::param::set_running();
        policy::parameters::warn_of_blocked_reads();
        Ok(Self {
            _sessions: sessions,
        })
    }
}

impl Drop for VfioPciAudit {
    fn drop(&mut self) {
        policy::POLICY.clear();
    }
}
