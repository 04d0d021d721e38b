// SPDX-License-Identifier: GPL-2.0

//! Errors.

use core::ffi::c_int;

/// A negative error number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Error(c_int);

/// Or an error number.
pub type Result<T = (), E = Error> = core::result::Result<T, E>;

/// Error numbers.
pub mod code {
    use super::Error;

    /// Out of memory.
    pub const ENOMEM: Error = Error(-12);
    /// No such device.
    pub const ENODEV: Error = Error(-19);
    /// Invalid argument.
    pub const EINVAL: Error = Error(-22);
    /// No buffer space available.
    pub const ENOBUFS: Error = Error(-105);
}

impl Error {
    /// The number.
    pub fn to_errno(self) -> c_int {
        self.0
    }
}

/// Turns a result into what C functions return.
pub fn from_result(f: impl FnOnce() -> Result<c_int>) -> c_int {
    f().unwrap_or_else(Error::to_errno)
}
