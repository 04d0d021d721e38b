// SPDX-License-Identifier: GPL-2.0

//! A work queue of the module's own, so that the module can wait for its last work item.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use core::{
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    prelude::*,
    workqueue::Queue, //
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
