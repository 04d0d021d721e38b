// SPDX-License-Identifier: GPL-2.0

//! The files of the kernel module `vfio_pci_audit` that import only `core`.
//!
//! They are links into `src/`, which the kernel compiles. Here they are tested against models that
//! are slow and obvious.

pub mod policy;
pub mod run;
pub mod session;
mod sum;

pub use pci_audit::{access, kept};
pub use policy::{allow_list, bitmap, listing};
pub use session::{account, bucket, holders, ledger, pace, record, totals, touched};
