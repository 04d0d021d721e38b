// SPDX-License-Identifier: GPL-2.0

//! Locks in `static` items.

use crate::execution;
use loom::sync::{Mutex, MutexGuard};

/// A lock in a `static` item. Its value is that of one execution.
pub struct GlobalMutex<T: 'static> {
    value: fn() -> T,
}

impl<T> GlobalMutex<T> {
    /// A lock around what `value` returns.
    pub const fn new(value: fn() -> T) -> Self {
        Self { value }
    }

    fn key(&'static self) -> usize {
        core::ptr::from_ref(self).addr()
    }

    /// Makes the lock ready.
    ///
    /// # Safety
    ///
    /// None here. In the kernel, it must be called once.
    pub unsafe fn init(&'static self) {
        execution::put(self.key(), Mutex::new((self.value)()));
    }

    /// Takes the lock. Panics if [`GlobalMutex::init`] was not called.
    pub fn lock(&'static self) -> MutexGuard<'static, T> {
        let lock: &'static Mutex<T> = execution::get(self.key());

        lock.lock().expect("loom does not poison")
    }
}

#[doc(hidden)]
#[macro_export]
macro_rules! global_lock {
    ($(#[$attribute:meta])* unsafe(uninit) static $name:ident: Mutex<$type:ty> = $value:expr;) => {
        $(#[$attribute])*
        static $name: $crate::sync::GlobalMutex<$type> =
            $crate::sync::GlobalMutex::new(|| $value);
    };
}
