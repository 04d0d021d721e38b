// SPDX-License-Identifier: GPL-2.0

//! Atomics of loom's, which may hold any value that the kernel's memory model allows.

use crate::execution;
use loom::sync::atomic::{fence, AtomicU64};

pub use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use core::sync::atomic::Ordering;

/// Ordered against everything, by fences around the operation.
#[allow(non_upper_case_globals)]
pub const Full: Ordering = Ordering::SeqCst;

/// Runs `operation` with `order`, or with fences around it for [`Full`].
fn ordered<R>(order: Ordering, operation: impl FnOnce(Ordering) -> R) -> R {
    if order != Full {
        return operation(order);
    }
    fence(Ordering::SeqCst);
    let result = operation(Ordering::AcqRel);
    fence(Ordering::SeqCst);
    result
}

/// What an atomic may hold.
pub trait Bits: Copy {
    /// As a number.
    fn into_bits(self) -> u64;
    /// From that number.
    fn from_bits(bits: u64) -> Self;
}

impl Bits for bool {
    fn into_bits(self) -> u64 {
        self.into()
    }

    fn from_bits(bits: u64) -> Self {
        bits != 0
    }
}

impl Bits for i32 {
    fn into_bits(self) -> u64 {
        self as u64
    }

    fn from_bits(bits: u64) -> Self {
        bits as Self
    }
}

impl Bits for u64 {
    fn into_bits(self) -> u64 {
        self
    }

    fn from_bits(bits: u64) -> Self {
        bits
    }
}

impl<T> Bits for *mut T {
    fn into_bits(self) -> u64 {
        self.expose_provenance() as u64
    }

    fn from_bits(bits: u64) -> Self {
        core::ptr::with_exposed_provenance_mut(bits as usize)
    }
}

/// An atomic value. It must not move after its first use.
pub struct Atomic<T: Bits> {
    /// Loom's atomic counts from here.
    initial: T,
}

impl<T: Bits> Atomic<T> {
    /// An atomic with `initial`.
    pub const fn new(initial: T) -> Self {
        Self { initial }
    }

    fn atomic(&self) -> &'static AtomicU64 {
        execution::atomic(core::ptr::from_ref(self).addr())
    }

    fn stored(&self, value: T) -> u64 {
        value.into_bits().wrapping_sub(self.initial.into_bits())
    }

    fn loaded(&self, stored: u64) -> T {
        T::from_bits(stored.wrapping_add(self.initial.into_bits()))
    }

    /// Reads the value.
    pub fn load(&self, order: Ordering) -> T {
        self.loaded(self.atomic().load(order))
    }

    /// Writes the value.
    pub fn store(&self, value: T, order: Ordering) {
        self.atomic().store(self.stored(value), order);
    }

    /// Writes the value, and returns the old one.
    pub fn xchg(&self, value: T, order: Ordering) -> T {
        let stored = self.stored(value);

        self.loaded(ordered(order, |order| self.atomic().swap(stored, order)))
    }

    /// Writes `new` if the value is `old`. Returns the value before.
    pub fn cmpxchg(&self, old: T, new: T, order: Ordering) -> Result<T, T> {
        let (old, new) = (self.stored(old), self.stored(new));

        ordered(order, |order| {
            self.atomic()
                .compare_exchange(old, new, order, Ordering::Relaxed)
        })
        .map(|value| self.loaded(value))
        .map_err(|value| self.loaded(value))
    }

    /// Adds to the value, and returns the old one.
    pub fn fetch_add(&self, value: T, order: Ordering) -> T {
        self.loaded(self.atomic().fetch_add(value.into_bits(), order))
    }

    /// Adds to the value.
    pub fn add(&self, value: T, order: Ordering) {
        self.fetch_add(value, order);
    }
}

impl<T: Bits> Drop for Atomic<T> {
    fn drop(&mut self) {
        execution::forget_atomic(core::ptr::from_ref(self).addr());
    }
}
