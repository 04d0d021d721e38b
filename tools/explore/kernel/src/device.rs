// SPDX-License-Identifier: GPL-2.0

//! A device of any bus.

/// A device of any bus.
pub struct Device(());

/// Adds a warning about a device to the kernel log.
#[macro_export]
macro_rules! dev_warn {
    ($device:expr, $($arguments:tt)+) => {{
        let _: &$crate::device::Device = $device;
        $crate::execution::log(::std::format!($($arguments)+));
    }};
}

impl AsRef<Device> for crate::pci::Device {
    fn as_ref(&self) -> &Device {
        const { &Device(()) }
    }
}
