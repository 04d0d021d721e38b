// SPDX-License-Identifier: GPL-2.0

//! What happened to the unassigned bytes of PCI devices, and what would break if accesses to them
//! were blocked.
//!
//! - [`record`]: one line of an audit log, and the [`holder`] that it names; [`input`] and
//!   [`lines`]: the lines of any number of logs, whatever they are packed in; [`prefix`]: what is
//!   written in front of a line.
//! - [`scan`] puts all lines into a [`tally`]: what is known of every device, in bounded memory;
//!   its [`sessions`], each a [`session`], and, as [`heat`] and as [`touched`] bytes, where
//!   accesses went. What is known of sessions is found [`by_session`] where logs are read again.
//! - [`report`], [`report_text`] and [`advise`]: what of it is told, as text, JSON or CSV;
//!   [`export`] tells it as [`rows`] of tables, [`watch`] as it happens.
//! - [`origin`]: which machines logs are of, and [`ways`]: which way to blocking a kernel offers.
//! - [`space`]: a device's configuration space, and where it is read from; [`map`]: what is in it;
//!   [`picture`] draws it, and where accesses went, in a terminal, and [`svg`] for a report.
//! - [`status`]: what the running kernel has and does.
//! - [`known`]: what is known of unassigned bytes: registers that drivers use, and capabilities
//!   that VFIO hides.
//! - [`crash`]: after a crash, which access it was, and whose.
//! - [`cli`]: the command line, from which the manual and the completions are made, too;
//!   [`run`](mod@run) obeys it.

pub mod advise;
pub mod boots;
pub mod by_session;
pub mod cell;
pub mod cli;
pub mod cli_crash;
pub mod cli_logs;
#[cfg(feature = "observe")]
pub mod cli_observe;
pub mod cli_watch;
pub mod compare;
pub mod copies;
pub mod crash;
pub mod device;
pub mod drawing;
pub mod export;
mod fields;
pub mod filter;
pub mod forms;
pub mod guess;
pub mod heat;
pub mod holder;
pub mod html;
pub mod input;
pub mod inventory;
mod journalctl;
pub mod known;
pub mod lines;
pub mod log;
pub mod manual;
pub mod map;
pub mod merge;
pub mod metrics;
pub mod order;
pub mod origin;
pub mod pci_ids;
pub mod picture;
pub mod places;
pub mod prefix;
mod printable;
pub mod process;
pub mod record;
pub mod registers;
pub mod report;
pub mod report_text;
pub mod rows;
pub mod run;
pub mod scan;
pub mod session;
pub mod sessions;
pub mod shade;
pub mod space;
pub mod status;
pub mod svg;
pub mod tally;
pub mod terminal;
pub mod time;
pub mod touched;
pub mod virt;
pub mod vms;
pub mod watch;
pub mod ways;
pub mod when;
pub mod words;

pub use pci_config::{Bdf, Id};
