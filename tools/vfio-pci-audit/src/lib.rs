// SPDX-License-Identifier: GPL-2.0

//! What happened to the unassigned bytes of PCI devices, and what would break if accesses to them were blocked.
//!
//! - [`record`]: one line of an audit log; [`input`]: the lines of any number of logs, whatever they are packed in.
//! - [`tally`]: what is known of every device after all lines were seen, in bounded memory; [`heat`]: where.
//! - [`report`] and [`advise`]: what of it is told, as text, JSON or CSV.
//! - [`map`]: a device's configuration space; [`picture`] draws it, and where accesses went, in a terminal or as SVG.
//! - [`status`]: what the running kernel has and does.
//! - [`cli`]: the command line, from which the manual and the completions are made, too.

pub mod advise;
pub mod cli;
pub mod heat;
pub mod input;
pub mod lines;
pub mod map;
pub mod picture;
pub mod record;
pub mod report;
pub mod run;
pub mod scan;
pub mod session;
pub mod status;
pub mod svg;
pub mod tally;
pub mod time;
pub mod touched;

pub use pci_audit_core::allow_list::Id;
pub use pci_config::Bdf;
