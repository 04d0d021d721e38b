// SPDX-License-Identifier: GPL-2.0

//! What the list of exceptions says of a session's device, so that an access does not search it.
//!
//! An access looks the device up when the list is another than the last time. Accesses on other
//! CPUs do not wait for that: they look for themselves, and keep nothing.

use crate::policy::{
    allow_list::{
        self,
        Excepted,
        Id, //
    },
    bitmap::{
        Bitmap,
        BITS,
        EMPTY,
        WORDS, //
    },
    Decision,
    Policy,
    State, //
};
use kernel::{
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Full,
        Relaxed,
        Release, //
    },
};

/// The tag before the first look-up: there is no generation 0.
const NEVER: u64 = 0;

/// The tag while the bitmap is written.
const BUSY: u64 = 1;

/// The tag of what was found in the list of a generation, whose lowest bits are clear.
#[inline(always)]
const fn tag(generation: u64, excepted: Excepted) -> u64 {
    generation | excepted as u64
}

/// The result of the last look-up. One for each session.
pub(crate) struct CachedLookup {
    /// [`NEVER`], [`BUSY`] or the [`tag()`] of what was found. A generation never comes again, nor
    /// does its tag once the bitmap is that of another.
    tag: Atomic<u64>,
    /// The excepted bytes, as long as the tag is one of [`Excepted::Ranges`].
    excepted: KBox<[Atomic<u64>; WORDS]>,
}

impl CachedLookup {
    /// The device has not been looked up. May sleep. [`ENOMEM`] when memory is short.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            tag: Atomic::new(NEVER),
            excepted: KBox::new([const { Atomic::new(0) }; WORDS], GFP_KERNEL)?,
        })
    }

    /// As [`Policy::decide`]. The device's `id` is read only if it has to be looked up.
    #[inline(always)]
    pub(crate) fn decide(
        &self,
        policy: &Policy,
        iswrite: bool,
        id: impl FnOnce() -> Id,
    ) -> Decision {
        let state = policy.state();

        if !state.blocks(iswrite) {
            return Decision::Allowed;
        }
        let found = self.tag.load(Relaxed);
        // The usual case first.
        for excepted in [Excepted::Nothing, Excepted::Ranges, Excepted::Everything] {
            if found == tag(state.generation(), excepted) {
                return state.decide(iswrite, excepted);
            }
        }
        self.look_up(policy, iswrite, id())
    }

    /// As [`Policy::decide_dword`], which most accesses come to.
    #[inline(always)]
    pub(crate) fn decide_dword(
        &self,
        policy: &Policy,
        iswrite: bool,
        id: impl Fn() -> Id,
        offset: usize,
    ) -> Decision {
        let state = policy.state();

        if !state.blocks(iswrite) {
            return Decision::Allowed;
        }
        // Pairs with the release in `keep()`.
        let found = self.tag.load(Acquire);
        if found == tag(state.generation(), Excepted::Nothing) {
            return Decision::Blocked;
        }
        if found == tag(state.generation(), Excepted::Ranges) {
            // As in `snapshot()`.
            let excepted = self.excepted[offset / BITS].load(Acquire);
            if self.tag.load(Relaxed) == found {
                return Decision::on_dword(excepted, offset);
            }
        }
        match self.decide(policy, iswrite, &id) {
            Decision::ByRange => policy.decide_dword(iswrite, id(), offset),
            decision => decision,
        }
    }

    /// As [`Policy::snapshot`].
    pub(crate) fn snapshot(
        &self,
        policy: &Policy,
        iswrite: bool,
        id: impl FnOnce() -> Id,
        first: usize,
        allowed: &mut [u64],
    ) {
        let state = policy.state();
        // Pairs with the release in `keep()`.
        let found = self.tag.load(Acquire);

        if state.blocks(iswrite) && found == tag(state.generation(), Excepted::Ranges) {
            for (allowed, excepted) in allowed.iter_mut().zip(self.excepted.iter().skip(first)) {
                // Pairs with the cmpxchg in `keep()`: with a word that it wrote comes its tag.
                *allowed = excepted.load(Acquire);
            }
            if self.tag.load(Relaxed) == found {
                return;
            }
        }
        policy.snapshot(iswrite, id(), first, allowed);
    }

    #[cold]
    #[inline(never)]
    fn look_up(&self, policy: &Policy, iswrite: bool, id: Id) -> Decision {
        // Before the list: what was found in a newer one is not replaced.
        let before = self.tag.load(Acquire);
        let mut bits = EMPTY;

        let (decision, found) = policy.look(|state: State, list| {
            let excepted = allow_list::find(&list.entries, id);

            bits = EMPTY;
            if excepted == Excepted::Ranges {
                allow_list::mark(&list.entries, id, 0, &mut bits);
            }
            (
                state.decide(iswrite, excepted),
                tag(list.generation, excepted),
            )
        });
        self.keep(before, found, &bits);
        decision
    }

    /// Replaces what was found when the tag was `before`, unless it was replaced since.
    fn keep(&self, before: u64, found: u64, bits: &Bitmap) {
        if before == BUSY || before == found {
            return;
        }
        // A full barrier: the tag is seen before any word of the bitmap.
        if self.tag.cmpxchg(before, BUSY, Full).is_err() {
            return;
        }
        for (kept, &bits) in self.excepted.iter().zip(bits) {
            kept.store(bits, Relaxed);
        }
        self.tag.store(found, Release);
    }
}
