// SPDX-License-Identifier: GPL-2.0

//! Decides which accesses to unassigned bytes are blocked.
//!
//! The policy is two toggles, `parameters`, and a list of exceptions, `allow_list`: devices and
//! ranges of bytes that nothing is blocked for. A `bitmap` has the bytes of one device, and
//! `listing` is the list's text in sysfs.

pub mod allow_list;
pub mod bitmap;
pub mod listing;
pub(crate) mod parameters;

use crate::common::rcu_box::RcuBox;
use allow_list::{
    Entry,
    Excepted,
    Id,
    ParseError, //
};
use bitmap::BITS;
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

/// The toggles and the generation of the list at one time, in one word so that they are read at
/// once.
///
/// In the two lowest bits, whether reads and writes are blocked. In the next, whether the list has
/// entries. Above, the generation, which is incremented after the list was replaced.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) struct State(u64);

impl State {
    /// Both toggles.
    const TOGGLES: u64 = 0b11;
    /// The list has entries.
    const EXCEPTS: u64 = 1 << 2;
    /// One generation.
    pub(crate) const GENERATION: u64 = 1 << 3;

    /// Whether reads or writes are blocked where nothing is excepted.
    #[inline(always)]
    pub(crate) fn blocks(self, iswrite: bool) -> bool {
        self.0 & (1 << u32::from(iswrite)) != 0
    }

    /// Whether anything is excepted.
    #[inline(always)]
    fn excepts(self) -> bool {
        self.0 & Self::EXCEPTS != 0
    }

    /// The list's generation, a multiple of [`State::GENERATION`].
    #[inline(always)]
    pub(crate) fn generation(self) -> u64 {
        self.0 & !(Self::GENERATION - 1)
    }

    /// The decision on a device of which the list says `excepted`.
    #[inline]
    pub(crate) fn decide(self, iswrite: bool, excepted: Excepted) -> Decision {
        match excepted {
            _ if !self.blocks(iswrite) => Decision::Allowed,
            Excepted::Everything => Decision::Allowed,
            Excepted::Nothing => Decision::Blocked,
            Excepted::Ranges => Decision::ByRange,
        }
    }
}

/// Exceptions, and their generation.
pub(crate) struct List {
    pub(crate) generation: u64,
    /// Normalized.
    pub(crate) entries: KVVec<Entry>,
}

/// The list before one is set.
static NO_LIST: List = List {
    generation: State::GENERATION,
    entries: KVVec::new(),
};

/// What the policy says of unassigned bytes, all of a device or a few.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decision {
    /// All may be accessed.
    Allowed,
    /// None.
    Blocked,
    /// Some: [`Policy::snapshot`] says which. Nothing is decided yet.
    ByRange,
}

impl Decision {
    /// The decision on the aligned dword at `offset`. In the bitmap of the bytes that may be
    /// accessed, it lies in `word`.
    #[inline(always)]
    pub(crate) fn on_dword(word: u64, offset: usize) -> Self {
        match word >> (offset % BITS) & 0xf {
            0 => Self::Blocked,
            0xf => Self::Allowed,
            _ => Self::ByRange,
        }
    }
}

/// The policy. A change applies to the next system call.
pub struct Policy {
    /// A [`State`].
    state: Atomic<u64>,
    /// Counts the operations that are blocked.
    users: &'static Atomic<i32>,
    list: RcuBox<List>,
}

/// The policy in force.
pub static POLICY: Policy = Policy::new(&vfio_pci_audit_users);

impl Policy {
    /// A policy that blocks nothing, and counts in `users` the operations that it blocks.
    pub const fn new(users: &'static Atomic<i32>) -> Self {
        Self {
            state: Atomic::new(State::GENERATION),
            users,
            list: RcuBox::new(),
        }
    }

    /// The toggles and the generation of the list in force.
    #[inline(always)]
    pub(crate) fn state(&self) -> State {
        // Pairs with the release in `replace()`: a reader of the generation sees its list.
        State(self.state.load(Acquire))
    }

    /// Calls `f` with the list in force, under RCU. `f` must not sleep.
    fn with_list<R>(&self, f: impl FnOnce(&List) -> R) -> R {
        let guard = rcu::read_lock();

        f(self.list.read(&guard).unwrap_or(&NO_LIST))
    }

    /// Calls `look` with toggles and a list that were in force at the same time. While the policy
    /// changes, it may be called several times, and the last call counts. It must not sleep.
    pub(crate) fn look<R>(&self, mut look: impl FnMut(State, &List) -> R) -> R {
        let mut state = self.state();

        loop {
            let result = self.with_list(|list| look(state, list));
            let now = self.state();

            // The list may be newer than the generation, when `replace()` has yet to write that.
            // Then the toggles are those of now, as they do not change meanwhile.
            if now == state {
                return result;
            }
            state = now;
        }
    }

    /// Decides on reads or writes of unassigned bytes of the device `id`.
    pub fn decide(&self, iswrite: bool, id: Id) -> Decision {
        let state = self.state();

        if !state.excepts() {
            return state.decide(iswrite, Excepted::Nothing);
        }
        self.look(|state, list| state.decide(iswrite, allow_list::find(&list.entries, id)))
    }

    /// The same for the aligned dword at `offset`.
    pub fn decide_dword(&self, iswrite: bool, id: Id, offset: usize) -> Decision {
        match self.decide(iswrite, id) {
            Decision::ByRange => {
                let mut allowed = [0];

                self.snapshot(iswrite, id, offset / BITS, &mut allowed);
                Decision::on_dword(allowed[0], offset)
            }
            decision => decision,
        }
    }

    /// Sets `allowed` to the bytes of the device `id` that may be read or written if they are
    /// unassigned, from word `first` of a bitmap on.
    pub fn snapshot(&self, iswrite: bool, id: Id, first: usize, allowed: &mut [u64]) {
        self.look(|state, list| {
            if state.blocks(iswrite) {
                allowed.fill(0);
                allow_list::mark(&list.entries, id, first, allowed);
            } else {
                allowed.fill(u64::MAX);
            }
        });
    }

    /// Whether reads or writes are blocked where nothing is excepted.
    #[inline(always)]
    pub fn blocks(&self, iswrite: bool) -> bool {
        self.state().blocks(iswrite)
    }

    /// Blocks or allows reads or writes where nothing is excepted. Returns whether that is a
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

    /// Calls `f` with the entries of the list, sorted and disjoint. `f` must not sleep.
    pub fn with_entries<R>(&self, f: impl FnOnce(&[Entry]) -> R) -> R {
        self.with_list(|list| f(&list.entries))
    }

    /// Replaces the list by the one in `text`. May sleep. The caller serializes changes.
    ///
    /// [`EINVAL`] for a bad entry; then the list in force stays.
    pub fn set_allowed(&self, text: &[u8]) -> Result {
        let mut entries = KVVec::new();

        allow_list::parse(text, |entry| entries.push(entry, GFP_KERNEL)).map_err(
            |err| match err {
                ParseError::BadEntry(entry) => {
                    pr_err!(
                        "uaccess_allow_ids: bad entry \"{}\", expected VENDOR:DEVICE or VENDOR:*, \
                         with or without @START-END\n",
                        BStr::from_bytes(&entry[..entry.len().min(MAX_NAMED)])
                    );
                    EINVAL
                }
                ParseError::Push(_) => ENOMEM,
            },
        )?;
        let length = allow_list::normalize(&mut entries);
        entries.truncate(length);

        let generation = self.state().generation() + State::GENERATION;
        self.replace(Some(KBox::new(
            List {
                generation,
                entries,
            },
            GFP_KERNEL,
        )?));
        Ok(())
    }

    fn replace(&self, list: Option<KBox<List>>) {
        let state = self.state();
        let next = state.generation() + State::GENERATION;
        let generation = list.as_ref().map_or(next, |list| list.generation);
        let excepts = match &list {
            Some(list) if !list.entries.is_empty() => State::EXCEPTS,
            _ => 0,
        };
        let old = self.list.replace(list);

        self.state
            .store(state.0 & State::TOGGLES | excepts | generation, Release);
        // The new list is in force. Its predecessor may have readers yet.
        drop(old);
    }

    /// Frees the list. Nothing is decided any more.
    pub fn clear(&self) {
        self.replace(None);
    }
}
