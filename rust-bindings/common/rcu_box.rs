// SPDX-License-Identifier: GPL-2.0

//! A box that readers see under RCU while a writer replaces it. The `kernel` crate has no pointer
//! that is protected by RCU.

use core::{
    marker::PhantomData,
    ptr, //
};
use kernel::{
    bindings,
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

    /// Puts `new` into the box, where readers see it at once, and returns what was there.
    pub(crate) fn replace(&self, new: Option<KBox<T>>) -> Old<T> {
        let new = new.map_or(ptr::null_mut(), KBox::into_raw);

        // INVARIANT: `new` is null or from `KBox::into_raw()`. So is the pointer that was in the
        // box, which is taken out exactly once.
        Old(self.ptr.xchg(new, Full))
    }
}

/// What was in an [`RcuBox`]. To drop it sleeps until no reader uses it, and frees it.
///
/// # Invariants
///
/// The pointer is null or came from [`KBox::into_raw`], and is in no box any more.
#[must_use]
pub(crate) struct Old<T>(*mut T);

impl<T> Drop for Old<T> {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // The `kernel` crate of Linux 7.2 does not wrap it.
            //
            // SAFETY: It may be called wherever sleeping is allowed, as dropping this is.
            unsafe { bindings::synchronize_rcu() };
            // SAFETY: By the type invariant the pointer came from `KBox::into_raw()` and nothing
            // else frees it. The readers that saw it have gone.
            drop(unsafe { KBox::from_raw(self.0) });
        }
    }
}
