// SPDX-License-Identifier: GPL-2.0

//! All devices that had a session, by address.
//!
//! The lock is held while a device is looked up at the start of a session, and while the devices
//! are listed. With the livepatch, a session starts with an access. No memory is allocated under
//! the lock, so that a holder that waits for memory does not hold up others.

use super::device::Device;
use crate::common::param::is_running;
use kernel::{
    pci,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode, //
    },
    sync::{
        global_lock,
        Arc, //
    },
};

global_lock! {
    // SAFETY: `init()` is called when the module is loaded, before anything else.
    unsafe(uninit) static DEVICES: Mutex<Option<RBTree<u64, Arc<Device>>>> = None;
}

/// The address in a device's name, `0000:01:00.1`: its hexadecimal digits as a number.
fn address(pci: &pci::Device) -> u64 {
    pci_audit::name(pci)
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .fold(0, |address, digit| address << 4 | u64::from(digit))
}

/// Devices are known for as long as this lives.
pub(crate) struct Devices(());

impl Devices {
    /// Gets ready for the first session.
    ///
    /// # Safety
    ///
    /// Called once, when the module is loaded.
    pub(crate) unsafe fn new() -> Self {
        // SAFETY: By the safety requirement.
        unsafe { DEVICES.init() };
        *DEVICES.lock() = Some(RBTree::new());
        Self(())
    }
}

impl Drop for Devices {
    /// No session is open. Writes what audit takes at once, and forgets all devices. May sleep.
    fn drop(&mut self) {
        let devices = DEVICES.lock().take();

        for device in devices.iter().flat_map(RBTree::values) {
            device.finish();
        }
    }
}

/// The device `pci`, which is known from now on. May sleep. [`ENOMEM`] when memory is short.
pub(crate) fn get(pci: &pci::Device) -> Result<Arc<Device>> {
    let address = address(pci);

    if let Some(device) = DEVICES.lock().as_ref().ok_or(ENODEV)?.get(&address) {
        return Ok(device.clone());
    }
    let device = Device::new()?;
    let node = RBTreeNode::new(address, device.clone(), GFP_KERNEL)?;
    let mut guard = DEVICES.lock();
    let devices = guard.as_mut().ok_or(ENODEV)?;

    // Another session may have started since.
    if let Some(device) = devices.get(&address) {
        return Ok(device.clone());
    }
    devices.insert(node);
    Ok(device)
}

/// Calls `f` with every device, in the order of their addresses. May sleep. `f` must not begin a
/// session.
pub(crate) fn for_each(mut f: impl FnMut(&Device)) {
    // Parameters are set before `init()`, when the module is loaded.
    if !is_running() {
        return;
    }
    if let Some(devices) = &*DEVICES.lock() {
        devices.values().for_each(|device| f(device));
    }
}
