// SPDX-License-Identifier: GPL-2.0

//! Strings.

use crate::error::{code::EINVAL, Result};
use core::{ffi::CStr, fmt};

/// Bytes that are shown as text.
#[repr(transparent)]
pub struct BStr([u8]);

impl BStr {
    /// `bytes` as a string.
    pub const fn from_bytes(bytes: &[u8]) -> &Self {
        // SAFETY: `BStr` is a transparent wrapper of `[u8]`.
        unsafe { &*(core::ptr::from_ref(bytes) as *const Self) }
    }
}

impl fmt::Display for BStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// A C string as a truth value.
pub fn kstrtobool(text: &CStr) -> Result<bool> {
    match text.to_bytes() {
        [b'y' | b'Y' | b't' | b'T' | b'1', ..] => Ok(true),
        [b'n' | b'N' | b'f' | b'F' | b'0', ..] => Ok(false),
        _ => Err(EINVAL),
    }
}

/// Numbers.
pub mod parse_int {
    use super::{BStr, Result, EINVAL};

    /// Numbers that can be parsed.
    pub trait ParseInt: Sized {
        /// Parses `text`, which is decimal here.
        fn from_str(text: &BStr) -> Result<Self>;
    }

    impl ParseInt for u32 {
        fn from_str(text: &BStr) -> Result<Self> {
            core::str::from_utf8(&text.0)
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or(EINVAL)
        }
    }
}
