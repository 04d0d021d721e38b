// SPDX-License-Identifier: GPL-2.0

//! What threads share.

mod arc;
pub mod atomic;
mod global_lock;
mod lock;
pub mod rcu;

pub use crate::global_lock;
pub use arc::{aref, Arc};
pub use global_lock::GlobalMutex;
pub use lock::{Mutex, SpinLock, SpinLockGuard};
