// SPDX-License-Identifier: GPL-2.0

//! The places in the kernel that a thread has passed: Documentation/dev-tools/kcov.rst.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};

const FILE: &str = "/sys/kernel/debug/kcov";

/// Words of the buffer: the count, and the places.
const WORDS: usize = 1 << 18;

/// `KCOV_INIT_TRACE`, `_IOR('c', 1, unsigned long)`.
const INIT_TRACE: libc::c_ulong = 0x8008_6301;
/// `KCOV_ENABLE`, `_IO('c', 100)`, and its argument `KCOV_TRACE_PC`.
const ENABLE: libc::c_ulong = 0x6364;
const TRACE_PC: libc::c_ulong = 0;

/// What the thread that made this has passed since. Lives as long as the process.
pub struct Kcov {
    words: &'static [AtomicUsize],
    // Tracing ends when it is closed.
    _file: File,
}

impl Kcov {
    /// Whether this kernel has it.
    pub fn is_there() -> bool {
        Path::new(FILE).exists()
    }

    /// Starts to trace this thread.
    pub fn start() -> Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .open(FILE)
            .context(FILE)?;
        let call = |request, argument: libc::c_ulong| -> io::Result<()> {
            // SAFETY: Both requests take a number, and keep no pointer.
            match unsafe { libc::ioctl(file.as_raw_fd(), request, argument) } {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        };
        call(INIT_TRACE, WORDS as libc::c_ulong).context("KCOV_INIT_TRACE")?;
        // SAFETY: It is a new mapping, of the size that the kernel was told.
        let memory = unsafe {
            libc::mmap(
                ptr::null_mut(),
                WORDS * size_of::<usize>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error()).context("mapping the buffer of kcov");
        }
        // SAFETY: The mapping is aligned to a page, has `WORDS` words and is never unmapped. The
        // kernel writes to it whenever this thread is in a system call, which atomic words allow.
        let words = unsafe { slice::from_raw_parts(memory.cast::<AtomicUsize>(), WORDS) };
        call(ENABLE, TRACE_PC).context("KCOV_ENABLE")?;
        Ok(Self { words, _file: file })
    }

    /// Forgets what was passed.
    pub fn clear(&self) {
        self.words[0].store(0, Ordering::Relaxed);
    }

    /// The addresses of what was passed since, in order.
    pub fn passed(&self) -> impl Iterator<Item = usize> + '_ {
        let count = self.words[0].load(Ordering::Relaxed).min(WORDS - 1);
        self.words[1..=count]
            .iter()
            .map(|word| word.load(Ordering::Relaxed))
    }
}
