// SPDX-License-Identifier: GPL-2.0

//! A box that readers see under RCU while a writer replaces it. The `kernel` crate has no pointer
//! that is protected by RCU.

use core::{
    marker::PhantomData,
    ptr, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full, //
        },
        rcu, //
    },
};

/// A `KBox<T>` or nothing, which readers use without waiting for writers.
///
/// # Invariants
///
/// The pointer is null or came from [`KBox::into_raw`], and is freed only after a grace period
/// during which it could no longer be read here.
pub(crate) struct RcuBox<T> {
    ptr: Atomic<*mut T>,
    _owns: PhantomData<KBox<T>>,
}

// SAFETY: `RcuBox` hands out `&T` to any thread, and drops a `T` that any thread put in.
unsafe impl<T: Send + Sync> Sync for RcuBox<T> {}

impl<T> RcuBox<T> {
    /// An empty box.
    pub(crate) const fn new() -> Self {
        // INVARIANT: The pointer is null.
        Self {
            ptr: Atomic::new(ptr::null_mut()),
            _owns: PhantomData,
        }
    }

    /// What is in the box, for as long as the RCU read side lock is held.
    #[inline]
    pub(crate) fn read<'a>(&'a self, _guard: &'a rcu::Guard) -> Option<&'a T> {
        // SAFETY: By the type invariant the pointer is null or valid, and stays valid until a
        // grace period has passed, which the guard holds off.
        unsafe { self.ptr.load(Acquire).as_ref() }
    }

    /// Puts `new` into the box and frees what was there. Sleeps until no reader uses it.
    pub(crate) fn replace(&self, new: Option<KBox<T>>) {
        let new = new.map_or(ptr::null_mut(), KBox::into_raw);
        // INVARIANT: `new` is null or from `KBox::into_raw()`.
        let old = self.ptr.xchg(new, Full);

        if !old.is_null() {
            rcu::synchronize_rcu();
            // SAFETY: By the type invariant `old` came from `KBox::into_raw()`. It was taken out
            // exactly once, and the readers that saw it have gone.
            drop(unsafe { KBox::from_raw(old) });
        }
    }
}
