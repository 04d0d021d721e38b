// SPDX-License-Identifier: GPL-2.0

//! KUnit tests of the PCI audit service, as drivers see it: from a module of their own, through
//! what is exported.

#[path = "bindings/any_device.rs"]
mod any_device;
#[path = "api.rs"]
mod pci_audit;
#[path = "kunit/pci_audit_api.rs"]
mod tests;
