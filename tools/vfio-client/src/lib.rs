// SPDX-License-Identifier: GPL-2.0

//! A user of VFIO, for tests and for trying things out.
//!
//! It opens a PCI device the way a VM monitor does and reads and writes its configuration space,
//! each access with exactly one system call of exactly the offset and size asked for: an access is
//! what the kernel decides, counts and records, so a client that split or retried one would test
//! something else.
//!
//! [`ConfigMap`] is an independent reading of which bytes VFIO leaves unassigned. The tests judge
//! the kernel by it.

mod device;
mod digest;
mod error;
mod fd;
pub mod hex;
mod region;
mod rng;
pub mod stream;
pub mod sweep;
pub mod sysfs;

pub use device::Device;
pub use digest::Digest;
pub use error::Error;
pub use fd::in_child;
pub use pci_config::{Bdf, ConfigMap, MapError};
pub use region::Region;
pub use rng::Rng;
