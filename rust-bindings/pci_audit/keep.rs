// SPDX-License-Identifier: GPL-2.0

//! Memory that outlives a reset, and a probe of the tracepoint that has a value to go with it.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h) for `reserve_mem=`

use crate::bindings;
use core::marker::PhantomData;
use kernel::{
    error::to_result,
    prelude::*,
    sync::{
        atomic::Atomic,
        Arc, //
    },
    types::ForeignOwnable, //
};

pub(crate) use bindings::pci_audit_seen as Seen;

/// Words of memory that any CPU may read and write at any time.
pub(crate) type Memory = [Atomic<u64>];

/// The memory that `reserve_mem=SIZE:ALIGN:NAME` reserves, in cache lines. `None` if there is none
/// of that name. May sleep.
pub(crate) fn reserved(name: &'static CStr) -> Option<&'static Memory> {
    let (mut start, mut size) = (0, 0);

    // SAFETY: The name ends in a NUL, and both results are valid for writing.
    let found = unsafe {
        kernel::bindings::reserve_mem_find_by_name(name.as_char_ptr(), &mut start, &mut size)
    };
    if found == 0 {
        return None;
    }

    let size = usize::try_from(size).ok()?;
    // SAFETY: Any range may be asked for. This one is memory of the kernel's that is in use for
    // this alone.
    let memory = unsafe {
        kernel::bindings::memremap(start, size, kernel::bindings::MEMREMAP_WB as c_ulong)
    };
    let memory = memory.cast::<Atomic<u64>>();
    if memory.is_null() || !memory.is_aligned() {
        return None;
    }
    // SAFETY: It is `size` bytes of memory that is never freed, aligned as was just looked at. All
    // of its bits are valid, and only atomic accesses are made.
    Some(unsafe { core::slice::from_raw_parts(memory, size / size_of::<u64>()) })
}

/// Stores a word without order, as `WRITE_ONCE()` does. `Atomic::store()` is a call of C for each.
#[inline]
pub(crate) fn store(to: &Atomic<u64>, word: u64) {
    // SAFETY: The pointer is valid and aligned. A volatile store of an aligned word is not torn,
    // which is what makes it atomic in the kernel's memory model.
    unsafe { to.as_ptr().write_volatile(word) };
}

/// Orders stores before it and stores after it. The `kernel` crates of Linux 7.2 and 7.3 have
/// different names for that.
#[inline]
pub(crate) fn write_barrier() {
    // SAFETY: It may be called anywhere.
    unsafe { kernel::bindings::smp_wmb() };
}

/// Writes words back from the CPU's caches to memory, which does not wait for that. Any context.
#[inline]
pub(crate) fn write_back(words: &Memory) {
    // SAFETY: The words are valid memory. Their values do not change.
    unsafe { bindings::pci_audit_write_back(words.as_ptr().cast_mut().cast(), size_of_val(words)) }
}

/// Whether the module's parameter allows to keep accesses.
pub(crate) fn is_wanted() -> bool {
    // SAFETY: It may be called whenever the module runs.
    unsafe { bindings::pci_audit_keeps() }
}

/// A number that is the same for as long as the kernel runs; 0 if it is not known yet. May sleep.
pub(crate) fn boot_token() -> u64 {
    // SAFETY: It may be called whenever the module runs.
    unsafe { bindings::pci_audit_boot_token() }
}

/// What a probe does.
pub(crate) trait Probe: Send + Sync + 'static {
    /// An access was traced. Any context.
    fn seen(&self, seen: &Seen);
}

/// A probe of the tracepoint. It is called for as long as this lives.
///
/// # Invariants
///
/// The pointer is that of `Arc::into_foreign()`, and the probe is registered with it.
pub(crate) struct Registration<T: Probe>(*mut c_void, PhantomData<Arc<T>>);

// SAFETY: It may be dropped by any thread. What it points to is `Send` and `Sync`.
unsafe impl<T: Probe> Send for Registration<T> {}
// SAFETY: There is nothing to do with a reference.
unsafe impl<T: Probe> Sync for Registration<T> {}

impl<T: Probe> Registration<T> {
    /// Registers a probe. May sleep.
    pub(crate) fn new(probe: Arc<T>) -> Result<Self> {
        let data = probe.into_foreign().cast::<c_void>();

        // SAFETY: The function takes such a pointer, which stays valid until `drop()` has
        // unregistered the probe.
        let registered =
            to_result(unsafe { bindings::pci_audit_start_keeping(Some(call::<T>), data) });
        if let Err(err) = registered {
            // SAFETY: It is from `into_foreign()`, and not in use.
            drop(unsafe { Arc::<T>::from_foreign(data.cast()) });
            return Err(err);
        }
        // INVARIANT: As was just done.
        Ok(Self(data, PhantomData))
    }
}

impl<T: Probe> Drop for Registration<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the probe is registered with this. When the function
        // returns, no call of it runs.
        unsafe { bindings::pci_audit_stop_keeping(self.0) };
        // SAFETY: By the type invariant it is from `into_foreign()`; it is not in use any more.
        drop(unsafe { Arc::<T>::from_foreign(self.0.cast()) });
    }
}

/// Has a probe see an access.
///
/// # Safety
///
/// `data` is what a [`Registration`] of a `T` registered, and `seen` is valid.
unsafe extern "C" fn call<T: Probe>(data: *mut c_void, seen: *const Seen) {
    // SAFETY: By the safety requirement, it is the pointer of an `Arc` that the registration owns.
    let probe = unsafe { Arc::<T>::borrow(data.cast()) };

    // SAFETY: By the safety requirement.
    probe.seen(unsafe { &*seen });
}
