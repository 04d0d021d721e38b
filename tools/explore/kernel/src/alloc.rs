// SPDX-License-Identifier: GPL-2.0

//! Memory. Allocations succeed.

use crate::{error::Result, execution};
use std::{
    alloc::Layout,
    mem::ManuallyDrop,
    ops::{Deref, DerefMut},
};

/// Allocation flags.
pub mod flags {
    /// What an allocation may do.
    #[derive(Clone, Copy, Debug)]
    pub struct Flags(());

    /// May sleep.
    pub const GFP_KERNEL: Flags = Flags(());
    /// May sleep, and is charged to the current process.
    pub const GFP_KERNEL_ACCOUNT: Flags = Flags(());
}

use flags::Flags;

/// A value in memory of its own. What was freed is kept until the execution ends.
pub struct KBox<T>(ManuallyDrop<Box<T>>);

impl<T> KBox<T> {
    /// A box with `value`.
    pub fn new(value: T, _flags: Flags) -> Result<Self> {
        Ok(Self(ManuallyDrop::new(Box::new(value))))
    }

    /// A box with what `init` makes.
    pub fn init(init: impl FnOnce() -> T, flags: Flags) -> Result<Self> {
        Self::new(init(), flags)
    }

    /// Gives the value away.
    pub fn into_raw(this: Self) -> *mut T {
        let mut this = ManuallyDrop::new(this);

        // SAFETY: `this` is not used or dropped any more.
        Box::into_raw(unsafe { ManuallyDrop::take(&mut this.0) })
    }

    /// Takes a value back.
    ///
    /// # Safety
    ///
    /// `raw` is from [`KBox::into_raw`], and taken back once.
    pub unsafe fn from_raw(raw: *mut T) -> Self {
        // SAFETY: By the safety requirement.
        Self(ManuallyDrop::new(unsafe { Box::from_raw(raw) }))
    }
}

impl<T> Deref for KBox<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for KBox<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> Drop for KBox<T> {
    fn drop(&mut self) {
        // SAFETY: `self` is not used after this.
        let raw = Box::into_raw(unsafe { ManuallyDrop::take(&mut self.0) });

        // SAFETY: The value is dropped once, and its memory is given away.
        unsafe {
            raw.drop_in_place();
            execution::quarantine(raw.cast(), Layout::new::<T>());
        }
    }
}

/// A growing array. Panics if it is used after it was freed.
pub struct KVec<T>(Vec<T>);

impl<T> KVec<T> {
    /// An empty array.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Appends `value`.
    pub fn push(&mut self, value: T, _flags: Flags) -> Result {
        self.0.push(value);
        Ok(())
    }

    /// Drops what is behind the first `length` values.
    pub fn truncate(&mut self, length: usize) {
        self.0.truncate(length);
    }
}

/// The same in memory that need not be contiguous.
pub type KVVec<T> = KVec<T>;

impl<T> Default for KVec<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Deref for KVec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        assert!(
            !execution::is_freed(core::ptr::from_ref(self).addr()),
            "used after it was freed"
        );
        &self.0
    }
}

impl<T> DerefMut for KVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}
