// SPDX-License-Identifier: GPL-2.0

//! Records the accesses of a session, within the limits of its device.

pub mod account;
pub mod bucket;
pub mod holders;
pub mod ledger;
pub mod pace;
pub mod record;
pub mod totals;
pub mod touched;
