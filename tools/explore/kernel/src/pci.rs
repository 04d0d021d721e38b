// SPDX-License-Identifier: GPL-2.0

//! PCI devices.

use std::sync::Arc;

/// A reference on a PCI device.
#[derive(Clone)]
pub struct Device {
    name: Arc<str>,
}

impl Device {
    /// A device with an address such as `0000:01:00.0`.
    pub fn with_name(name: &str) -> Self {
        Self { name: name.into() }
    }

    /// Its vendor.
    pub fn vendor_id(&self) -> Vendor {
        Vendor(0x8086)
    }

    /// Its number among the vendor's devices.
    pub fn device_id(&self) -> u16 {
        0x10d3
    }

    /// Its address.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// A vendor.
#[derive(Clone, Copy)]
pub struct Vendor(u16);

impl Vendor {
    /// Its number.
    pub fn as_raw(self) -> u16 {
        self.0
    }
}
