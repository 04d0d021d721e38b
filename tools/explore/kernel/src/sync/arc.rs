// SPDX-License-Identifier: GPL-2.0

//! Counted references. The count is the host's: the kernel's is not what is explored.

use crate::{alloc::flags::Flags, error::Result};
use core::ops::Deref;

/// A counted reference.
pub struct Arc<T>(std::sync::Arc<T>);

impl<T> Arc<T> {
    /// A reference on `value`.
    pub fn new(value: T, _flags: Flags) -> Result<Self> {
        Ok(Self(std::sync::Arc::new(value)))
    }

    /// A reference on `value`, which may move here.
    pub fn pin_init(value: T, flags: Flags) -> Result<Self> {
        Self::new(value, flags)
    }

    /// Gives the reference away.
    pub fn into_raw(this: Self) -> *const T {
        std::sync::Arc::into_raw(this.0)
    }

    /// Takes a reference back.
    ///
    /// # Safety
    ///
    /// `raw` is from [`Arc::into_raw`], and taken back once.
    pub unsafe fn from_raw(raw: *const T) -> Self {
        // SAFETY: By the safety requirement.
        Self(unsafe { std::sync::Arc::from_raw(raw) })
    }

    /// Where the value is.
    pub fn as_ptr(this: &Self) -> *const T {
        std::sync::Arc::as_ptr(&this.0)
    }

    /// Number of references.
    pub fn count(this: &Self) -> usize {
        std::sync::Arc::strong_count(&this.0)
    }
}

impl<T> Clone for Arc<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Deref for Arc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// References on values that count them by themselves.
pub mod aref {
    use core::ops::Deref;

    /// A reference on a value that counts its references; here, its clone is one.
    #[derive(Clone)]
    pub struct ARef<T>(T);

    impl<T: Clone> From<&T> for ARef<T> {
        fn from(value: &T) -> Self {
            Self(value.clone())
        }
    }

    impl<T> Deref for ARef<T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.0
        }
    }
}
