// SPDX-License-Identifier: GPL-2.0

//! The PCI audit service for drivers in Rust.
//!
//! Modules cannot link each other's crates yet, so a driver takes this file in as a module of its
//! own, and calls the C functions through it:
//!
//! ```ignore
//! #[path = "../../pci/audit/api.rs"]
//! mod pci_audit;
//! ```
//!
//! In its Makefile it says for which object, here `driver.o`:
//!
//! ```make
//! include $(srctree)/drivers/pci/audit/bindings/Makefile.bindgen
//! $(eval $(call pci_audit_api,driver))
//! ```

// A driver uses some of it.
#![allow(dead_code, unreachable_pub, unused_imports)]

#[path = "access.rs"]
pub mod access;
#[path = "bindings/bindings.rs"]
pub(crate) mod bindings;
#[path = "bindings/listeners.rs"]
pub(crate) mod listeners;
#[path = "bindings/pci_audit.rs"]
mod service;
#[path = "totals.rs"]
pub mod totals;

pub(crate) use access::{
    Op,
    Outcome,
    Range,
    RangeError, //
};
pub(crate) use service::*;
pub(crate) use totals::Totals;
