// SPDX-License-Identifier: GPL-2.0

//! The module's work queue.

use core::ops::Deref;
use kernel::{
    prelude::*,
    sync::Arc,
    time::Jiffies,
    workqueue::{self, HasDelayedWork, Queue, WorkItem},
};

/// The queue, until it is dropped. Panics if items are left then.
pub(crate) struct OwnedQueue(&'static Queue);

impl OwnedQueue {
    pub(crate) fn new(_name: &'static CStr) -> Result<Self> {
        Ok(Self(workqueue::queue()))
    }
}

impl Deref for OwnedQueue {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        self.0
    }
}

impl Drop for OwnedQueue {
    fn drop(&mut self) {
        // An exploration that failed leaves everything as it was.
        if !std::thread::panicking() {
            assert!(
                self.0.is_idle(),
                "the queue is destroyed with an item in it"
            );
        }
    }
}

pub(crate) fn modify_delayed<T>(queue: &OwnedQueue, item: Arc<T>, delay: Jiffies)
where
    T: HasDelayedWork<T> + WorkItem<Pointer = Arc<T>> + Send + Sync + 'static,
{
    queue.modify_delayed(item, delay);
}

pub(crate) fn cancel_delayed<T>(item: &Arc<T>)
where
    T: HasDelayedWork<T> + WorkItem<Pointer = Arc<T>>,
{
    workqueue::queue().cancel(item);
}
