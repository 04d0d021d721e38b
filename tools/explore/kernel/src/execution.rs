// SPDX-License-Identifier: GPL-2.0

//! What lives for one execution of loom.
//!
//! A loom object belongs to the execution that created it. A `static` of the kernel module does
//! not, so that its loom object is found here, by the address of the `static`.

use loom::sync::atomic::AtomicU64;
use std::{
    alloc::{dealloc, Layout},
    any::Any,
    cell::RefCell,
    collections::{HashMap, HashSet},
};

/// Atomics that one execution may use.
const ATOMICS: usize = 96;

/// Memory that a box had.
struct Freed {
    at: *mut u8,
    layout: Layout,
}

impl Drop for Freed {
    fn drop(&mut self) {
        if self.layout.size() > 0 {
            // SAFETY: By the safety requirement of `quarantine()`.
            unsafe { dealloc(self.at, self.layout) };
        }
    }
}

#[derive(Default)]
struct Execution {
    /// Loom takes the creation of an atomic for a write by its creator. These were all created
    /// before the first thread began, as a `static` is, and wait for a thread to use them.
    unused: Vec<&'static AtomicU64>,
    atomics: HashMap<usize, &'static AtomicU64>,
    objects: HashMap<usize, &'static dyn Any>,
    /// Memory that was freed, kept so that its use is noticed.
    freed: Vec<Freed>,
    freed_at: HashSet<usize>,
    log: Vec<String>,
}

thread_local! {
    // Loom runs all threads of an execution on one thread of the host.
    static CURRENT: RefCell<Execution> = RefCell::default();
}

/// Begins an execution. To be called by its first thread, before any other function of this crate.
pub fn begin() {
    let unused = (0..ATOMICS).map(|_| leak(AtomicU64::new(0))).collect();

    let old = CURRENT.replace(Execution {
        unused,
        ..Execution::default()
    });
    drop(old);
    crate::time::reset();
    crate::sync::rcu::init();
    crate::workqueue::init();
}

/// Loom's objects are a few words long, and have no destructor. They are leaked to be `'static`.
fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// The atomic of the value at `address`. It is zero at first.
pub(crate) fn atomic(address: usize) -> &'static AtomicU64 {
    CURRENT.with_borrow_mut(|execution| {
        let Execution {
            unused, atomics, ..
        } = execution;

        *atomics
            .entry(address)
            .or_insert_with(|| unused.pop().expect("ATOMICS is too small"))
    })
}

/// The value at `address` is gone; another one may be there next.
pub(crate) fn forget_atomic(address: usize) {
    // Destructors also run when the thread of the host ends.
    let _ = CURRENT.try_with(|current| {
        if let Ok(mut execution) = current.try_borrow_mut() {
            execution.atomics.remove(&address);
        }
    });
}

/// Registers the object behind `key`.
pub(crate) fn put<T: 'static>(key: usize, object: T) {
    let object: &'static dyn Any = leak(object);

    CURRENT.with_borrow_mut(|execution| execution.objects.insert(key, object));
}

/// The object behind `key`. Panics if there is none.
pub(crate) fn get<T: 'static>(key: usize) -> &'static T {
    CURRENT
        .with_borrow(|execution| execution.objects.get(&key).copied())
        .and_then(|object| object.downcast_ref())
        .expect("used before it was initialized")
}

/// Keeps memory that was freed until the execution ends.
///
/// # Safety
///
/// `at` is from the global allocator, with `layout`, and not used again.
pub(crate) unsafe fn quarantine(at: *mut u8, layout: Layout) {
    // Destructors also run when the thread of the host ends: then the memory is freed now.
    let freed = Freed { at, layout };
    let _ = CURRENT.try_with(|current| {
        if let Ok(mut execution) = current.try_borrow_mut() {
            execution.freed_at.insert(at.addr());
            execution.freed.push(freed);
        }
    });
}

/// Whether the memory at `address` was freed.
pub(crate) fn is_freed(address: usize) -> bool {
    CURRENT.with_borrow(|execution| execution.freed_at.contains(&address))
}

/// Adds a line to the kernel log.
pub fn log(line: String) {
    CURRENT.with_borrow_mut(|execution| execution.log.push(line));
}

/// Takes the lines of the kernel log.
pub fn take_log() -> Vec<String> {
    CURRENT.with_borrow_mut(|execution| std::mem::take(&mut execution.log))
}
