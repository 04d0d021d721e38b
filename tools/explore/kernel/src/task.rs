// SPDX-License-Identifier: GPL-2.0

//! Processes.

/// A process's number.
pub type Pid = i32;
