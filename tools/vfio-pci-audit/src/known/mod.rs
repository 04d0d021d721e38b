// SPDX-License-Identifier: GPL-2.0

//! What is known of the unassigned bytes of devices: which registers drivers use there, which
//! belong to capabilities that VFIO hides, and what goes past the hook altogether.
//!
//! - [`data`]: the rows of `data/registers.toml`; [`device`]: whose rows they are.
//! - [`subject`]: a device with its configuration space, as far as it is there; [`machine`] looks
//!   for devices of this machine, or of a dump.
//! - [`knowledge`]: what is known of an access, for a report or for advice; [`marks`]: the same for
//!   all bytes, for a map; [`beyond`]: what no hook sees.
//! - [`print`](mod@print) and [`modprobe`]: what the command `known` prints; [`exceptions`]: the
//!   text of a list.

pub mod beyond;
pub mod data;
pub mod device;
pub mod exceptions;
pub mod knowledge;
#[cfg(test)]
mod list_tests;
pub mod machine;
pub mod marks;
pub mod modprobe;
pub mod print;
pub mod subject;
