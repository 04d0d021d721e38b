// SPDX-License-Identifier: GPL-2.0

//! User memory of a blocked access. `kernel::uaccess` does not clear user memory.
//!
//! C header: [`include/linux/uaccess.h`](srctree/include/linux/uaccess.h)

use super::bindings;
use kernel::{
    prelude::*,
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};

/// Fills `size` bytes of user memory with zeros. May sleep. [`EFAULT`] if it cannot be written.
pub(crate) fn clear_user(user: UserPtr, size: usize) -> Result {
    // SAFETY: `clear_user()` checks the range as every access to user memory does.
    if unsafe { bindings::vfio_pci_audit_clear_user(user.as_mut_ptr().cast(), size) } == 0 {
        Ok(())
    } else {
        Err(EFAULT)
    }
}

/// Checks that `size` bytes of user memory can be read. May sleep. [`EFAULT`] if not.
pub(crate) fn check_user(user: UserPtr, size: usize) -> Result {
    let mut reader = UserSlice::new(user, size).reader();
    let mut bytes = [0; 64];

    while !reader.is_empty() {
        let part = reader.len().min(bytes.len());
        reader.read_slice(&mut bytes[..part])?;
    }
    Ok(())
}
