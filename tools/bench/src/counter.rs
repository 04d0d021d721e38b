// SPDX-License-Identifier: GPL-2.0

//! Counts the instructions of one system call.
//!
//! Under `-icount shift=0` the time-stamp counter of the emulated processor counts instructions. It
//! is read right before and right after the `syscall` instruction, without a library in between,
//! and the cost of the same code without that instruction is subtracted. A figure thus covers the
//! kernel, from its first instruction to its last, and `syscall` itself.

#![allow(unsafe_code)]

use std::arch::asm;
use std::os::fd::{AsRawFd, BorrowedFd};

use anyhow::{ensure, Result};

/// The operation on configuration space.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Op {
    /// pread64(2)
    Read,
    /// pwrite64(2)
    Write,
}

impl Op {
    /// The number of the system call.
    fn number(self) -> u64 {
        match self {
            Op::Read => 17,
            Op::Write => 18,
        }
    }
}

/// A counted system call: the number of instructions, and the return value.
macro_rules! counted {
    ($instruction:literal, $fd:expr, $op:expr, $bytes:expr, $pos:expr) => {{
        let (ticks, done): (u64, i64);
        // SAFETY: The descriptor is open, and the buffer is borrowed for as long as the call takes.
        unsafe {
            asm!(
                "rdtsc",
                "shl rdx, 32",
                "or rax, rdx",
                "mov r12, rax",
                "mov rdx, r13",
                "mov eax, r14d",
                $instruction,
                "mov r13, rax",
                "rdtsc",
                "shl rdx, 32",
                "or rax, rdx",
                "sub rax, r12",
                in("rdi") i64::from($fd.as_raw_fd()),
                in("rsi") $bytes.as_mut_ptr(),
                inout("r13") $bytes.len() as i64 => done,
                in("r10") $pos,
                in("r14") $op.number(),
                out("rax") ticks,
                out("rdx") _,
                out("r12") _,
                out("rcx") _,
                out("r11") _,
                options(nostack),
            );
        }
        (ticks, done)
    }};
}

/// The instructions of reading or writing `bytes` at `pos`. Fails if the system call fails.
pub(crate) fn count(fd: BorrowedFd<'_>, op: Op, bytes: &mut [u8], pos: u64) -> Result<u64> {
    let (empty, _) = counted!("", fd, op, bytes, pos);
    let (ticks, done) = counted!("syscall", fd, op, bytes, pos);
    ensure!(
        done == bytes.len() as i64,
        "{op:?} of {} bytes at {pos:#x} returned {done}",
        bytes.len()
    );
    Ok(ticks - empty)
}

/// Reads or writes between two markers, for a plugin of the emulator.
pub(crate) fn mark(fd: BorrowedFd<'_>, op: Op, bytes: &mut [u8], pos: u64) {
    // SAFETY: As above. The markers are instructions without effect.
    unsafe {
        asm!(
            "nop dword ptr [rax + 0x12345678]",
            "syscall",
            "nop dword ptr [rax + 0x12345678]",
            in("rdi") i64::from(fd.as_raw_fd()),
            in("rsi") bytes.as_mut_ptr(),
            in("rdx") bytes.len(),
            in("r10") pos,
            inout("rax") op.number() => _,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
}
