// SPDX-License-Identifier: GPL-2.0

//! The files of the kernel modules that import only `core`.
//!
//! There is one copy of each, in `src/`, which the kernel compiles too. Here they are tested
//! against models that are slow and obvious.

#[path = "../../../src/drivers/pci/audit/access.rs"]
pub mod access;
#[path = "../../../src/drivers/vfio/pci/audit/account.rs"]
pub mod account;
#[path = "../../../src/drivers/vfio/pci/audit/allow_list.rs"]
pub mod allow_list;
#[path = "../../../src/drivers/vfio/pci/audit/bucket.rs"]
pub mod bucket;
#[path = "../../../src/drivers/pci/audit/record.rs"]
pub mod record;
#[path = "../../../src/drivers/vfio/pci/audit/run.rs"]
pub mod run;
#[path = "../../../src/drivers/pci/audit/totals.rs"]
pub mod totals;
#[path = "../../../src/drivers/vfio/pci/audit/touched.rs"]
pub mod touched;
