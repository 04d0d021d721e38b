// SPDX-License-Identifier: GPL-2.0

//! The files of the kernel module `pci_audit` that import only `core`.
//!
//! They are links into `src/`, which the kernel compiles. The crate has the name of the kernel's,
//! so that the files of `vfio_pci_audit` find it on the host, too.

pub mod access;
pub mod kept;
pub mod record;

pub use access::{Op, Outcome, Range, RangeError};
pub use record::Session;
