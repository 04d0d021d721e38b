// SPDX-License-Identifier: GPL-2.0

//! A work queue of the module's own, and delayed work that is cancelled or brought forward: the
//! `kernel` crate has neither.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use core::{
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    bindings, container_of,
    prelude::*,
    sync::Arc,
    time::Jiffies,
    workqueue::{
        HasDelayedWork,
        Queue,
        Work,
        WorkItem, //
    },
};

/// A work queue that is destroyed, once its running items are done, when this is dropped.
///
/// # Invariants
///
/// The pointer is that of a work queue that this value owns.
pub(crate) struct OwnedQueue(NonNull<bindings::workqueue_struct>);

// SAFETY: A work queue may be used from any thread.
unsafe impl Send for OwnedQueue {}
// SAFETY: A work queue may be used from any thread.
unsafe impl Sync for OwnedQueue {}

impl OwnedQueue {
    /// Creates a queue. May sleep. [`ENOMEM`] for want of memory.
    pub(crate) fn new(name: &'static CStr) -> Result<Self> {
        // SAFETY: The name is a C string that the format takes.
        let queue = unsafe {
            bindings::alloc_workqueue_noprof(
                c"%s".as_char_ptr(),
                bindings::wq_flags_WQ_UNBOUND,
                0,
                name.as_char_ptr(),
            )
        };

        // INVARIANT: Not null, so this is a queue that was just created.
        NonNull::new(queue).map(Self).ok_or(ENOMEM)
    }
}

impl Deref for OwnedQueue {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        // SAFETY: By the type invariant the queue is valid for as long as `self` is.
        unsafe { Queue::from_raw(self.0.as_ptr()) }
    }
}

impl Drop for OwnedQueue {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the queue is ours to destroy.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) };
    }
}

/// The `struct delayed_work` of `item`.
///
/// # Safety
///
/// `item` points to a valid value.
unsafe fn delayed_work<T: HasDelayedWork<T>>(item: *mut T) -> *mut bindings::delayed_work {
    // SAFETY: By the safety requirement. `HasDelayedWork` promises that the work item is in a
    // `struct delayed_work`.
    unsafe {
        let work = Work::raw_get(T::raw_get_work(item));

        container_of!(work, bindings::delayed_work, work)
    }
}

/// Runs `item` after `delay`, even if it is queued for another time. Does not sleep. No
/// [`cancel_delayed()`] of it is under way, during which the queue takes no reference.
pub(crate) fn modify_delayed<T>(queue: &OwnedQueue, item: Arc<T>, delay: Jiffies)
where
    T: HasDelayedWork<T> + WorkItem<Pointer = Arc<T>>,
{
    let item = Arc::into_raw(item).cast_mut();

    // SAFETY: The item is valid, since the reference is held. If it was idle, the queue now owns
    // the reference, which the item's function takes back, as after `enqueue_delayed()`.
    let was_queued = unsafe {
        bindings::mod_delayed_work_on(
            bindings::wq_misc_consts_WORK_CPU_UNBOUND as c_int,
            queue.0.as_ptr(),
            delayed_work(item),
            delay,
        )
    };
    if was_queued {
        // SAFETY: The queue owned a reference already, so that this one is still ours.
        drop(unsafe { Arc::from_raw(item) });
    }
}

/// Cancels `item`, and waits for it if it runs. It may have queued itself again: then it does not
/// run again. May sleep.
pub(crate) fn cancel_delayed<T>(item: &Arc<T>)
where
    T: HasDelayedWork<T> + WorkItem<Pointer = Arc<T>>,
{
    let raw = Arc::as_ptr(item).cast_mut();

    // SAFETY: The item is valid, since `item` is a reference on it.
    if unsafe { bindings::cancel_delayed_work_sync(delayed_work(raw)) } {
        // SAFETY: The item was queued and will not run: the queue's reference is taken back here.
        drop(unsafe { Arc::from_raw(raw) });
    }
}
