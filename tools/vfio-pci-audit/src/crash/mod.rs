// SPDX-License-Identifier: GPL-2.0

//! After a crash: which access it was, and whose.
//!
//! - [`event`]: an access as the tracepoint has it; [`text`](mod@text) reads events from what the
//!   kernel prints.
//! - [`keeper`]: what the module keeps for the next boot; [`saved`]: what is saved of it on disk.
//! - [`ended`]: how a boot ended; [`last_boot`]: what the ring of the last boot tells.
//! - [`moment`]: when something was, by the clocks that there are.
//! - [`error`]: what devices and processors report, as the [`kernel_log`], [`rasdaemon`]'s database
//!   and the files that [`sources`] finds have it.
//! - [`topology`]: which port a device is below; [`blame`](mod@blame) joins errors and accesses.
//!   [`once`](mod@once) leaves each error once, a [`timeline`] finds accesses by time, and
//!   [`history`] counts those that no error followed. [`blame_text`] tells it, and [`setting`] is
//!   what blocks the culprit's bytes.
//! - [`whose`]: whether all of that is of this machine, and its [`devices`].

pub mod accesses;
pub mod blame;
pub mod blame_text;
pub mod devices;
pub mod ended;
pub mod error;
pub mod event;
pub mod history;
pub mod keeper;
pub mod kernel_log;
pub mod last_boot;
pub mod moment;
pub mod once;
pub mod rasdaemon;
pub mod run;
pub mod saved;
pub mod setting;
pub mod sources;
pub mod text;
pub mod timeline;
pub mod topology;
pub mod whose;
