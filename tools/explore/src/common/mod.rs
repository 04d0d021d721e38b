// SPDX-License-Identifier: GPL-2.0

//! The module's wrappers: RCU's is the module's own, the others stand in for it.

pub mod clock;
pub mod param;
pub mod process;
pub mod rcu_box;
pub mod workqueue;
