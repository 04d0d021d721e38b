// SPDX-License-Identifier: GPL-2.0

//! What is fuzzed: one function a target, which takes any bytes and panics when something is wrong.
//!
//! The fuzzer calls them (`libfuzzer/`), and so does a test with every file of `corpus/`, on any
//! toolchain.

#[cfg(feature = "accesses")]
pub mod accesses;
mod allow_list;
#[cfg(feature = "report")]
mod report_log;
mod run_finder;

pub use allow_list::allow_list;
#[cfg(feature = "report")]
pub use report_log::report_log;
pub use run_finder::run_finder;

/// What a target does with some bytes.
pub type Target = fn(&[u8]);

/// Every target by name, which is also the name of its folder in `corpus/`.
pub const TARGETS: &[(&str, Target)] = &[
    ("allow_list", allow_list),
    #[cfg(feature = "report")]
    ("report_log", report_log),
    ("run_finder", run_finder),
];
