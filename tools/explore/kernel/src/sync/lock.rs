// SPDX-License-Identifier: GPL-2.0

//! Locks of loom's.

use loom::sync::MutexGuard;

/// A lock that spins.
pub struct SpinLock<T>(loom::sync::Mutex<T>);

/// A lock that sleeps.
pub type Mutex<T> = SpinLock<T>;

/// The lock is held for as long as this lives.
pub type SpinLockGuard<'a, T> = MutexGuard<'a, T>;

impl<T> SpinLock<T> {
    /// A lock around `value`.
    pub fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    /// Takes the lock.
    pub fn lock(&self) -> SpinLockGuard<'_, T> {
        self.0.lock().expect("loom does not poison")
    }
}

/// A spinlock with a name for lockdep.
#[macro_export]
macro_rules! new_spinlock {
    ($value:expr, $name:literal $(,)?) => {
        $crate::sync::SpinLock::new($value)
    };
}

/// A mutex with a name for lockdep.
#[macro_export]
macro_rules! new_mutex {
    ($value:expr, $name:literal $(,)?) => {
        $crate::sync::Mutex::new($value)
    };
}
