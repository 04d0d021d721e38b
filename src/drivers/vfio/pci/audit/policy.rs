// SPDX-License-Identifier: GPL-2.0

//! Decides which accesses to unassigned bytes are blocked.
//!
//! The policy is two toggles, `parameters`, and a list of devices that nothing is blocked for,
//! `allow_list`.

pub mod allow_list;
pub mod bitmap;
pub(crate) mod parameters;

use crate::common::rcu_box::RcuBox;
use allow_list::{
    Id,
    ParseError, //
};
use kernel::{
    prelude::*,
    str::BStr,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        rcu, //
    },
};

/// Number of users (blocking parameters, tracers) that need the hook while auditing is off. C code
/// reads it before it calls the hook.
#[no_mangle]
#[allow(non_upper_case_globals)]
pub(crate) static vfio_pci_audit_users: Atomic<i32> = Atomic::new(0);

/// Maximum number of bytes of a bad entry in the kernel log.
const MAX_NAMED: usize = 64;

/// One generation in [`Policy::state`].
const GENERATION: u64 = 1 << 2;

/// Whether `state` blocks reads or writes of devices that are not listed.
#[inline(always)]
fn blocks(state: u64, iswrite: bool) -> bool {
    state & (1 << u32::from(iswrite)) != 0
}

/// The policy. A change applies to the next system call.
pub struct Policy {
    /// In the two lowest bits, whether reads and writes are blocked. Above, the generation of the
    /// list in force, which is incremented after the list was replaced. One word, so that an access
    /// reads it once.
    state: Atomic<u64>,
    /// Counts the operations that are blocked.
    users: &'static Atomic<i32>,
    allowed: RcuBox<KVec<Id>>,
}

/// The result of the last look-up of a device's id: the list's generation, and in the lowest bit
/// whether the device is listed. Each session has one, so that an access does not search the list.
pub struct CachedLookup(Atomic<u64>);

impl Default for CachedLookup {
    fn default() -> Self {
        Self::new()
    }
}

impl CachedLookup {
    /// The id has not been looked up.
    pub const fn new() -> Self {
        // There is no generation 0.
        Self(Atomic::new(0))
    }
}

/// The policy in force.
pub static POLICY: Policy = Policy::new(&vfio_pci_audit_users);

impl Policy {
    /// A policy that blocks nothing, and counts in `users` the operations that it blocks.
    pub const fn new(users: &'static Atomic<i32>) -> Self {
        Self {
            state: Atomic::new(GENERATION),
            users,
            allowed: RcuBox::new(),
        }
    }

    /// Whether a read or write of unassigned bytes of the device `id` is blocked.
    #[inline]
    pub fn blocked(&self, iswrite: bool, id: Id) -> bool {
        self.blocks(iswrite) && !self.allows(id)
    }

    /// As [`Policy::blocked`]. The device's `id` is read only if `lookup` is not of the list in
    /// force.
    #[inline(always)]
    pub fn blocked_cached(
        &self,
        iswrite: bool,
        lookup: &CachedLookup,
        id: impl FnOnce() -> Id,
    ) -> bool {
        // Pairs with the release in `replace()`: a reader of the generation sees its list.
        let state = self.state.load(Acquire);
        if !blocks(state, iswrite) {
            return false;
        }

        let cached = lookup.0.load(Relaxed);
        if cached >> 1 == state / GENERATION {
            return cached & 1 == 0;
        }
        !self.look_up(lookup, state / GENERATION, id())
    }

    /// Looks the device `id` up. Under a list newer than `generation` it will be looked up again.
    #[cold]
    #[inline(never)]
    fn look_up(&self, lookup: &CachedLookup, generation: u64, id: Id) -> bool {
        let listed = self.allows(id);

        lookup.0.store(generation << 1 | u64::from(listed), Relaxed);
        listed
    }

    /// Whether reads or writes are blocked for devices that are not listed.
    #[inline(always)]
    pub fn blocks(&self, iswrite: bool) -> bool {
        blocks(self.state.load(Relaxed), iswrite)
    }

    /// Blocks or allows reads or writes for devices that are not listed. Returns whether that is a
    /// change. The caller serializes changes.
    pub fn set_blocks(&self, iswrite: bool, block: bool) -> bool {
        let blocked = self.blocks(iswrite);

        if block != blocked {
            let state = self.state.load(Relaxed) ^ 1 << u32::from(iswrite);

            self.state.store(state, Release);
            self.users.add(if block { 1 } else { -1 }, Relaxed);
        }
        block != blocked
    }

    /// Whether the device `id` is listed.
    fn allows(&self, id: Id) -> bool {
        self.with_allowed(|ids| allow_list::contains(ids, id))
    }

    /// Calls `f` with the listed ids, sorted. `f` must not sleep.
    pub fn with_allowed<R>(&self, f: impl FnOnce(&[Id]) -> R) -> R {
        let guard = rcu::read_lock();

        f(self.allowed.read(&guard).map_or(&[], |ids| &ids[..]))
    }

    /// Replaces the list by the one in `text`. May sleep. The caller serializes changes.
    ///
    /// [`EINVAL`] for a bad entry; then the list in force stays.
    pub fn set_allowed(&self, text: &[u8]) -> Result {
        let mut ids = KVec::new();

        allow_list::parse(text, |id| ids.push(id, GFP_KERNEL)).map_err(|err| match err {
            ParseError::BadEntry(entry) => {
                pr_err!(
                    "uaccess_allow_ids: bad entry \"{}\", expected vendor:device\n",
                    BStr::from_bytes(&entry[..entry.len().min(MAX_NAMED)])
                );
                EINVAL
            }
            ParseError::Push(_) => ENOMEM,
        })?;
        let length = allow_list::normalize(&mut ids);
        ids.truncate(length);

        let ids = if ids.is_empty() {
            None
        } else {
            Some(KBox::new(ids, GFP_KERNEL)?)
        };
        self.replace(ids);
        Ok(())
    }

    fn replace(&self, ids: Option<KBox<KVec<Id>>>) {
        self.allowed.replace(ids);
        self.state
            .store(self.state.load(Relaxed) + GENERATION, Release);
    }

    /// Frees the list.
    pub fn clear(&self) {
        self.replace(None);
    }
}
