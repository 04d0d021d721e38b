// SPDX-License-Identifier: GPL-2.0

//! What the modules are tried, tested and measured with, on the host and in the virtual machine.
//!
//! On the host:
//!
//! - [`vm`] boots a kernel and runs a command in it; [`complaints`] judges what that kernel said.
//! - [`guest`] makes the guest that runs inside the virtual machine; [`initramfs`] packs what it
//!   boots with.
//! - [`progress`] runs long steps, and says what runs; [`ktap`] counts the results of tests.
//! - [`paths`] knows where things are, [`files`] finds and copies them; [`shell`] calls what
//!   scripts/lib.sh knows.
//!
//! Kernels:
//!
//! - [`kernels`] knows their versions and names; [`series`] what goes into a tree, and [`graft`]
//!   puts it there.
//! - [`fits`] says whether series and livepatch fit one; [`stock`] builds the modules for one of
//!   Debian's.
//!
//! In the virtual machine:
//!
//! - [`modules`] and [`livepatch`] load and unload modules, [`kernel`] reads and sets what the
//!   kernel shows, [`trace`] its events.
//! - [`auditd`] starts and stops audit daemons.
//! - [`guest`] goes on with the guest, and plugs a device into it.
//! - [`ktap`] writes the results of tests; a [`share`] of them runs where several machines do.

pub mod auditd;
pub mod command;
pub mod complaints;
pub mod files;
pub mod fits;
pub mod graft;
pub mod guest;
pub mod initramfs;
pub mod insmod;
pub mod kernel;
pub mod kernels;
pub mod ktap;
pub mod livepatch;
pub mod modules;
pub mod paths;
pub mod progress;
pub mod series;
pub mod share;
pub mod shell;
pub mod stock;
pub mod trace;
pub mod vm;
mod wait;

pub use wait::wait_until;
