// SPDX-License-Identifier: GPL-2.0

//! The sessions and the policy of the kernel module `vfio_pci_audit`, explored with loom.
//!
//! `session`, `policy`, `monitor` and `common/rcu_box.rs` are links into the module's own files,
//! compiled as they are: over the stand-in of the `kernel` crate in `kernel/`, the stand-in of
//! audit in `audit`, and those of the module's other wrappers in `common` and `vfio`.
//! `explorations` has the tests. `tests/planted.rs` plants defects into the module's files and
//! expects that the explorations find them.

// The kernel has it, too: methods take `self: &Arc<Self>`.
#![feature(arbitrary_self_types)]
// What the files do not use here, the module uses.
#![allow(dead_code, unreachable_pub)]

extern crate self as pci_audit;

mod audit;
mod bindings;
mod common;
#[cfg(test)]
mod explorations;
mod monitor;
pub mod policy;
pub mod session;
mod vfio;

pub use audit::{
    emit, emit_task, enabled, is_traced, name, session_access, trace, Context, Emitted, OnTracing,
    TraceNotifier,
};
pub use host::{access, record, Op, Outcome, Range, RangeError, Session};
