// SPDX-License-Identifier: GPL-2.0

//! What the commands of the lab do.
//!
//! - [`prepare`]: what is built before anything runs; [`audit`]: audit userspace, a part of it.
//! - [`kernels`]: what is done with kernel trees, and with kernels of Debian's as they are;
//!   [`arm64`]: with other architectures.
//! - [`show`]: the demonstrations and the interactive machine; [`demo`] is what runs in the
//!   machine. [`observe`] and [`demo_observe`]: the same of `vfio-pci-audit observe`, and its
//!   tests.
//! - [`tests`]: all tests, taken from a [`queue`]; [`e2e`], [`bench`], [`coverage`],
//!   [`audit_suite`], [`fits_check`] and [`kunit`]: each kind of them; [`soak`]: hours of one
//!   scenario.
//! - [`checks`]: what needs no scenarios: [`lint`], with [`compiler`], [`tree`], [`shell_test`],
//!   [`deb_test`] and [`deb_tool`].
//! - [`series`]: the patches that are mailed.

pub(crate) mod arm64;
pub(crate) mod audit;
pub(crate) mod audit_suite;
pub(crate) mod bench;
pub(crate) mod checks;
pub(crate) mod compiler;
pub(crate) mod coverage;
pub(crate) mod deb_test;
pub(crate) mod deb_tool;
pub(crate) mod demo;
pub(crate) mod demo_observe;
pub(crate) mod e2e;
pub(crate) mod fits_check;
pub(crate) mod kernels;
pub(crate) mod kunit;
pub(crate) mod lint;
pub(crate) mod observe;
pub(crate) mod prepare;
pub(crate) mod queue;
pub(crate) mod series;
pub(crate) mod shell_test;
pub(crate) mod show;
pub(crate) mod soak;
pub(crate) mod tests;
pub(crate) mod tree;
