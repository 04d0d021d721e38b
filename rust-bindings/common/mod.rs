// SPDX-License-Identifier: GPL-2.0

//! General kernel interfaces that the `kernel` crate does not wrap, or not in this way.

pub(crate) mod clock;
pub(crate) mod param;
pub(crate) mod process;
pub(crate) mod rcu_box;
pub(crate) mod workqueue;
