// SPDX-License-Identifier: GPL-2.0

//! KUnit tests of the PCI audit service, as a driver uses it: from a module of its own, through
//! what is exported.

mod rust_api;
