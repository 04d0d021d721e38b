// SPDX-License-Identifier: GPL-2.0

//! Shadow variables: what a livepatch hangs on objects whose structures it cannot change.
//!
//! C header: [`include/linux/livepatch.h`](srctree/include/linux/livepatch.h)

use crate::bindings;
use core::{
    marker::PhantomData,
    mem::size_of,
    ptr, //
};
use kernel::{
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    },
    types::ForeignOwnable, //
};

/// A value that can be taken off its object.
pub(crate) trait Detach: Sync + Send + 'static {
    /// The object has the value no more. Must not sleep, nor come back to the shadow variables.
    fn detached(self: Arc<Self>);

    /// The object never had the value. May sleep.
    fn rejected(self: Arc<Self>);
}

/// One `Arc<T>` or none for each object, whatever the object is.
///
/// # Invariants
///
/// Every shadow variable with this id holds a pointer from [`Arc::into_foreign`].
pub(crate) struct Shadows<T> {
    id: c_ulong,
    _holds: PhantomData<Arc<T>>,
}

// SAFETY: The livepatch core serializes changes; `Arc<T>` may be shared and sent.
unsafe impl<T: Sync + Send> Sync for Shadows<T> {}

/// # Safety
///
/// `data` is a new shadow variable with room for a pointer.
unsafe extern "C" fn store(_object: *mut c_void, data: *mut c_void, value: *mut c_void) -> c_int {
    // SAFETY: By the safety requirement.
    unsafe { data.cast::<*mut c_void>().write(value) };
    0
}

/// # Safety
///
/// `data` is the shadow variable of a [`Shadows<T>`] that is being freed.
unsafe extern "C" fn detach<T: Detach>(_object: *mut c_void, data: *mut c_void) {
    // SAFETY: By the type invariant the variable holds an `Arc`, which nobody else takes out.
    unsafe { Arc::<T>::from_foreign(data.cast::<*mut c_void>().read()) }.detached();
}

impl<T: Detach> Shadows<T> {
    /// The shadow variables with this id.
    ///
    /// # Safety
    ///
    /// No other code uses `id`.
    pub(crate) const unsafe fn new(id: c_ulong) -> Self {
        // INVARIANT: By the safety requirement only `get_or_attach()` makes such variables.
        Self {
            id,
            _holds: PhantomData,
        }
    }

    /// The value of `object`. Does not sleep.
    ///
    /// # Safety
    ///
    /// The value is not detached during `'a`.
    #[inline]
    pub(crate) unsafe fn get<'a, O>(&self, object: *const O) -> Option<ArcBorrow<'a, T>> {
        // SAFETY: The address is a key only.
        let data = unsafe { bindings::klp_shadow_get(object.cast_mut().cast(), self.id) };

        if data.is_null() {
            return None;
        }
        // SAFETY: By the type invariant, and the safety requirement.
        Some(unsafe { Arc::<T>::borrow(data.cast::<*mut c_void>().read()) })
    }

    /// The value of `object`, which is `value` if it had none. May sleep. [`ENOMEM`] for want of
    /// memory.
    ///
    /// # Safety
    ///
    /// The value is not detached during `'a`.
    pub(crate) unsafe fn get_or_attach<'a, O>(
        &self,
        object: *const O,
        value: Arc<T>,
    ) -> Result<ArcBorrow<'a, T>> {
        let value = value.into_foreign().cast::<c_void>();
        // SAFETY: `store()` writes into the new variable the pointer that it has room for.
        let data = unsafe {
            bindings::klp_shadow_get_or_alloc(
                object.cast_mut().cast(),
                self.id,
                size_of::<*mut c_void>(),
                kernel::bindings::GFP_KERNEL,
                Some(store),
                value,
            )
        };
        let kept = if data.is_null() {
            ptr::null_mut()
        } else {
            // SAFETY: By the type invariant, which `store()` upholds.
            unsafe { data.cast::<*mut c_void>().read() }
        };

        if kept != value {
            // SAFETY: It is from `into_foreign()`, and was not stored.
            unsafe { Arc::<T>::from_foreign(value.cast()) }.rejected();
        }
        if kept.is_null() {
            return Err(ENOMEM);
        }
        // SAFETY: By the type invariant, and the safety requirement.
        Ok(unsafe { Arc::<T>::borrow(kept.cast()) })
    }

    /// Detaches the value of `object`, if it has one. Does not sleep.
    pub(crate) fn detach<O>(&self, object: *const O) {
        // SAFETY: By the type invariant `detach()` is what frees such a variable.
        unsafe { bindings::klp_shadow_free(object.cast_mut().cast(), self.id, Some(detach::<T>)) };
    }

    /// Detaches the values of all objects. Does not sleep.
    pub(crate) fn detach_all(&self) {
        // SAFETY: By the type invariant `detach()` is what frees such a variable.
        unsafe { bindings::klp_shadow_free_all(self.id, Some(detach::<T>)) };
    }
}
