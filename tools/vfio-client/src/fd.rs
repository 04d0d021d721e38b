// SPDX-License-Identifier: GPL-2.0

//! The only `unsafe` of this crate.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Duplicate the file descriptor of something that hands it out raw only.
///
/// The bindings' own access functions swallow errors and repeat short accesses, and their file
/// is private; a duplicate gives us the plain system call.
pub(crate) fn duplicate(owner: &impl AsRawFd) -> io::Result<File> {
    // SAFETY: `owner` is borrowed for the whole of the block, so its descriptor stays open in it.
    let fd = unsafe { BorrowedFd::borrow_raw(owner.as_raw_fd()) };
    Ok(fd.try_clone_to_owned()?.into())
}
