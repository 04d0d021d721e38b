// SPDX-License-Identifier: GPL-2.0

//! Sees what processes do to unassigned PCI configuration space through VFIO, on a kernel without
//! the module `vfio_pci_audit`, and writes the records that the module would.
//!
//! A BPF program, `bpf/observe.bpf.c`, sends the system calls. Everything else is done here, by the
//! module's own files: they find the runs, keep the accounts, limit the records and word them.
//!
//! - [`kernel`] says what the running kernel lacks; [`btf`] finds a member of one of its types.
//! - [`probe`] loads and attaches the program; [`event`] reads what it sends.
//! - [`observer`] puts events in order and books them; [`device`] has a device's ledger, and
//!   [`process`] what `op=open` says.
//! - [`log`](mod@log) has the records' file; [`notify`] tells systemd that observing has begun;
//!   [`run`](mod@run) ties everything together.

pub mod btf;
pub mod device;
pub mod event;
pub mod kernel;
pub mod log;
pub mod notify;
pub mod observer;
pub mod probe;
pub mod process;
pub mod run;

pub use run::{run, Options};
