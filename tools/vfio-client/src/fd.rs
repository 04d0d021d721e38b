// SPDX-License-Identifier: GPL-2.0

//! System calls for which the standard library has no safe function: the only `unsafe` of this
//! crate.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr;

/// Duplicates the file descriptor of an object that only provides a raw one.
///
/// The access functions of the bindings hide errors and repeat short accesses, and their file is
/// private. A duplicate allows plain system calls.
pub(crate) fn duplicate(owner: &impl AsRawFd) -> io::Result<File> {
    // SAFETY: `owner` is borrowed for the whole of the block, so its descriptor stays open in it.
    let fd = unsafe { BorrowedFd::borrow_raw(owner.as_raw_fd()) };
    Ok(fd.try_clone_to_owned()?.into())
}

/// Opens a descriptor that this process inherited through exec, as a separate file.
///
/// The inherited descriptor stays open too, since other code of the process may use it.
pub(crate) fn inherited(fd: RawFd) -> io::Result<File> {
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: it is not -1. If it is not open, duplicating it fails, and nothing else is done with
    // it.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    Ok(fd.try_clone_to_owned()?.into())
}

/// The result of a system call.
fn result(done: isize) -> io::Result<usize> {
    usize::try_from(done).map_err(|_| io::Error::last_os_error())
}

/// Reads with one system call to an address that is not mapped.
pub(crate) fn read_to_nowhere(fd: BorrowedFd<'_>, at: u64, size: usize) -> io::Result<usize> {
    // SAFETY: the page at address 0 is never mapped, so the kernel writes nothing.
    result(unsafe { libc::pread(fd.as_raw_fd(), ptr::null_mut(), size.min(4096), at as _) })
}

/// Writes with one system call from an address that is not mapped.
pub(crate) fn write_from_nowhere(fd: BorrowedFd<'_>, at: u64, size: usize) -> io::Result<usize> {
    // SAFETY: the page at address 0 is never mapped, and the kernel only reads.
    result(unsafe { libc::pwrite(fd.as_raw_fd(), ptr::null(), size.min(4096), at as _) })
}

/// Forks a child process, runs `act` in it, and waits for it. Returns its process id.
///
/// Fails if the process has several threads, because the child would not have the others.
pub fn in_child(act: impl FnOnce() -> bool) -> io::Result<u32> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("a process with threads is not copied"));
    }
    // SAFETY: The process has a single thread, so the child may do whatever the parent may.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let code = i32::from(!act());
        // SAFETY: The child does not return, and does not flush what the parent has buffered.
        unsafe { libc::_exit(code) }
    }
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut status = 0;
    // SAFETY: the status is this function's own.
    if unsafe { libc::waitpid(pid, &mut status, 0) } != pid {
        return Err(io::Error::last_os_error());
    }
    match status {
        0 => Ok(pid as u32),
        status => Err(io::Error::other(format!(
            "the child ended with {status:#x}"
        ))),
    }
}
