// SPDX-License-Identifier: GPL-2.0

//! The work queue on which reports and the ends of sessions are written.
//!
//! An item may sleep until audit has room. The items of other devices run meanwhile.

use super::device::Device;
use crate::common::{
    rcu_box::RcuBox,
    workqueue::{
        cancel_delayed,
        modify_delayed,
        OwnedQueue, //
    }, //
};
use kernel::{
    prelude::*,
    sync::{
        rcu,
        Arc, //
    },
    time::{
        msecs_to_jiffies,
        Jiffies, //
    },
};

const NSEC_PER_MSEC: u64 = 1_000_000;

/// Nanoseconds from the first access without a record to its report. More accesses are likely to
/// follow.
pub(crate) const FIRST_REPORT: u64 = 1000 * NSEC_PER_MSEC;

/// Nanoseconds until the worker tries again what audit refused. Where a rule excludes the records,
/// it tries for as long as the module is loaded.
pub(crate) const RETRY: u64 = 30_000 * NSEC_PER_MSEC;

static QUEUE: RcuBox<OwnedQueue> = RcuBox::new();

/// The queue exists for as long as this lives.
pub(crate) struct Worker(());

impl Worker {
    /// Creates the queue. May sleep. [`ENOMEM`] when memory is short.
    pub(crate) fn new() -> Result<Self> {
        drop(QUEUE.replace(Some(KBox::new(
            OwnedQueue::new(c"vfio_pci_audit")?,
            GFP_KERNEL,
        )?)));
        Ok(Self(()))
    }
}

impl Drop for Worker {
    /// Every device's work was cancelled. May sleep.
    fn drop(&mut self) {
        drop(QUEUE.replace(None));
    }
}

fn jiffies(ns: u64) -> Jiffies {
    msecs_to_jiffies(ns.div_ceil(NSEC_PER_MSEC).min(u64::from(u32::MAX)) as u32)
}

/// Runs the device's work item in `delay` nanoseconds, unless it is queued already. Does not sleep.
pub(crate) fn queue(device: &Arc<Device>, delay: u64) {
    let guard = rcu::read_lock();

    if let Some(queue) = QUEUE.read(&guard) {
        // It fails if the item is queued already, for an earlier time.
        let _ = queue.enqueue_delayed(device.clone(), jiffies(delay));
    }
}

/// Runs the device's work item in `delay` nanoseconds, even if it is queued for another time. Does
/// not sleep.
pub(crate) fn requeue(device: &Arc<Device>, delay: u64) {
    let guard = rcu::read_lock();

    if let Some(queue) = QUEUE.read(&guard) {
        modify_delayed(queue, device.clone(), jiffies(delay));
    }
}

/// Cancels the device's work item, and waits for it if it runs. May sleep.
pub(crate) fn cancel(device: &Arc<Device>) {
    cancel_delayed(device);
}
