// SPDX-License-Identifier: GPL-2.0

//! What happened to the unassigned bytes of PCI devices, and what would break if accesses to them were blocked.
//!
//! - [`record`]: one line of an audit log, and the [`holder`] that it names; [`input`] and [`lines`]: the lines of
//!   any number of logs, whatever they are packed in.
//! - [`scan`] puts all lines into a [`tally`]: what is known of every device, in bounded memory; its [`session`]s,
//!   and, as [`heat`] and as [`touched`] bytes, where accesses went.
//! - [`report`], [`report_text`] and [`advise`]: what of it is told, as text, JSON or CSV.
//! - [`map`]: a device's configuration space; [`picture`] draws it, and where accesses went, in a terminal, and
//!   [`svg`] for a report.
//! - [`status`]: what the running kernel has and does.
//! - [`known`]: what is known of unassigned bytes: registers that drivers use, and capabilities that VFIO hides.
//! - [`cli`]: the command line, from which the manual and the completions are made, too; [`run`](mod@run) obeys it.

pub mod advise;
pub mod cli;
pub mod heat;
pub mod holder;
pub mod input;
pub mod known;
pub mod lines;
pub mod map;
pub mod picture;
pub mod record;
pub mod report;
pub mod report_text;
pub mod run;
pub mod scan;
pub mod session;
pub mod status;
pub mod svg;
pub mod tally;
pub mod time;
pub mod touched;
pub mod words;

pub use pci_audit_core::allow_list::Id;
pub use pci_config::Bdf;
