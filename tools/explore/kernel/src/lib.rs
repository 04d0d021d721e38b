// SPDX-License-Identifier: GPL-2.0

//! A stand-in for the parts of the `kernel` crate that sessions and policy use.
//!
//! Locks, atomics, RCU and work queues are made of loom's types, so that loom explores how threads
//! may interleave and which values an atomic may have. The rest is what the host has. Nothing here
//! is a fast or complete implementation; where the kernel promises an order, so does the stand-in,
//! and where the kernel promises less, the stand-in promises no more.
//!
//! `static` items outlive an execution of loom, whose objects do not: see [`execution`].

pub mod alloc;
pub mod bindings;
pub mod device;
pub mod error;
pub mod execution;
pub mod page;
pub mod pci;
pub mod prelude;
pub mod rbtree;
pub mod seq_file;
pub mod str;
pub mod sync;
pub mod task;
pub mod time;
pub mod workqueue;
