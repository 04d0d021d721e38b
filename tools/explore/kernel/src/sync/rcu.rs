// SPDX-License-Identifier: GPL-2.0

//! RCU. A reader ends before a grace period does, or begins after the grace period began: that is
//! all that is promised, and what a lock for readers and writers gives that the writer holds for a
//! moment.

use crate::execution;
use loom::sync::{RwLock, RwLockReadGuard};

static READERS: u8 = 0;

fn key() -> usize {
    core::ptr::from_ref(&READERS).addr()
}

pub(crate) fn init() {
    execution::put(key(), RwLock::new(()));
}

fn readers() -> &'static RwLock<()> {
    execution::get(key())
}

/// The read side lock is held for as long as this lives.
pub struct Guard(#[allow(dead_code)] RwLockReadGuard<'static, ()>);

/// Takes the read side lock.
pub fn read_lock() -> Guard {
    Guard(readers().read().expect("loom does not poison"))
}

/// Waits for the readers that there are.
///
/// # Safety
///
/// The caller may sleep, and is no reader.
pub unsafe fn synchronize_rcu() {
    drop(readers().write().expect("loom does not poison"));
}
