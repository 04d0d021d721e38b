// SPDX-License-Identifier: GPL-2.0

//! User memory of a blocked access. `kernel::uaccess` neither clears user memory nor checks it
//! without a buffer of that size.
//!
//! C header: [`include/linux/uaccess.h`](srctree/include/linux/uaccess.h)

use super::bindings;
use kernel::{
    error::to_result,
    prelude::*,
    uaccess::UserPtr, //
};

/// Fills `size` bytes of user memory with zeros. May sleep. [`EFAULT`] if it cannot be written.
#[inline(always)]
pub(crate) fn clear_user(user: UserPtr, size: usize) -> Result {
    // SAFETY: `clear_user()` checks the range as every access to user memory does.
    if unsafe { bindings::vfio_pci_audit_clear_user(user.as_mut_ptr().cast(), size) } == 0 {
        Ok(())
    } else {
        Err(EFAULT)
    }
}

/// Checks that `size` bytes of user memory can be read. May sleep. [`EFAULT`] if not.
#[inline(always)]
pub(crate) fn check_user(user: UserPtr, size: usize) -> Result {
    // SAFETY: `copy_from_user()` checks the range as every access to user memory does.
    to_result(unsafe { bindings::vfio_pci_audit_check_user(user.as_const_ptr().cast(), size) })
}
