// SPDX-License-Identifier: GPL-2.0

//! Where sessions' reports run, and how the module waits for the last of them.

use crate::{
    queue::OwnedQueue,
    rcu_box::RcuBox,
    session::Session, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        rcu,
        Arc, //
    },
    time::{
        delay::fsleep,
        Delta,
        Jiffies, //
    },
};

static QUEUE: RcuBox<OwnedQueue> = RcuBox::new();
static SESSIONS: Atomic<i32> = Atomic::new(0);
static UNLOADING: Atomic<bool> = Atomic::new(false);

/// Counts a session for as long as it lives, which may be longer than its device is open.
pub(crate) struct LiveGuard;

impl LiveGuard {
    /// One session more.
    pub(crate) fn new() -> Self {
        SESSIONS.add(1, Relaxed);
        Self
    }
}

impl Drop for LiveGuard {
    fn drop(&mut self) {
        SESSIONS.fetch_sub(1, Release);
    }
}

/// Gets ready for sessions. May sleep. [`ENOMEM`] for want of memory.
pub(crate) fn start() -> Result {
    QUEUE.replace(Some(KBox::new(
        OwnedQueue::new(c"vfio_pci_audit")?,
        GFP_KERNEL,
    )?));
    Ok(())
}

/// Waits for the last session. May sleep, for a report interval at most: no device is open when
/// the module goes, and sessions that audit does not let end give up.
pub(crate) fn stop() {
    UNLOADING.store(true, Relaxed);
    while SESSIONS.load(Acquire) > 0 {
        fsleep(Delta::from_millis(20));
    }
    // Also waits for the item that dropped the last session to return.
    QUEUE.replace(None);
}

/// Whether the module is on its way out.
pub(crate) fn is_unloading() -> bool {
    UNLOADING.load(Relaxed)
}

/// Runs the session's work item after `delay`, unless it is queued already. Does not sleep.
pub(crate) fn queue(session: Arc<Session>, delay: Jiffies) {
    let guard = rcu::read_lock();

    if let Some(queue) = QUEUE.read(&guard) {
        // It fails if the item is queued already, which is just as well.
        let _ = queue.enqueue_delayed(session, delay);
    }
}
