// SPDX-License-Identifier: GPL-2.0

//! Decides which accesses are blocked.

pub mod allow_list;
pub mod bitmap;
pub mod listing;
