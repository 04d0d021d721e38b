// SPDX-License-Identifier: GPL-2.0

//! What most files import.

pub use crate::{
    alloc::{flags::GFP_KERNEL, KBox, KVVec, KVec},
    dev_warn,
    error::{code::*, Error, Result},
    pin_init, pr_err, pr_warn,
};
pub use core::ffi::{c_char, c_int, c_uint, c_ulong, c_void, CStr};
pub use explore_macros::pin_data;

/// Initializers.
pub mod pin_init {
    /// Types of which a value may be all zeros.
    pub trait Zeroable: Copy {
        /// That value.
        const ZERO: Self;
    }

    impl Zeroable for u64 {
        const ZERO: Self = 0;
    }

    impl<T: Zeroable, const N: usize> Zeroable for [T; N] {
        const ZERO: Self = [T::ZERO; N];
    }

    /// Makes a value that is all zeros.
    pub fn init_zeroed<T: Zeroable>() -> impl FnOnce() -> T {
        || T::ZERO
    }
}

/// A value whose fields are initialized in place. Here, they may be moved.
#[macro_export]
macro_rules! pin_init {
    ($type:ident { $($field:ident <- $value:expr),* $(,)? }) => {
        $type { $($field: $value),* }
    };
}

/// Adds an error to the kernel log.
#[macro_export]
macro_rules! pr_err {
    ($($arguments:tt)+) => { $crate::execution::log(::std::format!($($arguments)+)) };
}

/// Adds a warning to the kernel log.
#[macro_export]
macro_rules! pr_warn {
    ($($arguments:tt)+) => { $crate::execution::log(::std::format!($($arguments)+)) };
}
