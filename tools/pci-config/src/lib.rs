// SPDX-License-Identifier: GPL-2.0

//! The configuration space of a PCI device: what is in it, and which of it VFIO knows.
//!
//! [`ConfigMap`] is a reading of its own of drivers/vfio/pci/vfio_pci_config.c. The end-to-end
//! tests judge the kernel by it, and the operator's tool draws it.

mod bdf;
mod capabilities;
mod capability;
mod config_map;
pub mod dump;
mod header;
pub mod hidden;
mod id;
mod size;

pub use bdf::{hex, Bdf, BdfError};
pub use capability::Capability;
pub use config_map::{ConfigMap, MapError};
pub use header::{Header, NoMap};
pub use id::{Id, IdError};
pub use size::{CONVENTIONAL, EXPRESS, LIMITED, SIZES, STANDARD_HEADER};
