// SPDX-License-Identifier: GPL-2.0

//! Who may access unassigned bytes: two toggles and a list of devices.

use crate::{
    access::{
        Op,
        Outcome,
        Range, //
    },
    allow_list::{
        self,
        Id,
        ParseError, //
    },
    rcu_box::RcuBox,
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

/// How many reasons there are to look at accesses while auditing is off, for the C code that asks
/// before it calls in here: operations that [`Policy`] may block, and whoever else adds one.
#[no_mangle]
#[allow(non_upper_case_globals)]
pub(crate) static vfio_pci_audit_reasons: Atomic<i32> = Atomic::new(0);

/// Bytes of a bad entry that the log names at most.
const MAX_NAMED: usize = 64;

/// The policy. A change applies to the next system call.
pub(crate) struct Policy {
    block: [Atomic<bool>; 2],
    /// One is added for each of `block` that is set.
    reasons: &'static Atomic<i32>,
    allowed: RcuBox<KVec<Id>>,
    /// Counts the lists that were in force. Goes up when the list behind it is there.
    generation: Atomic<u64>,
}

/// What the last look-up of one device's id said: the list's generation, and in the lowest bit
/// whether the device is listed. One for each session, so that an access need not search the list.
pub(crate) struct Verdict(Atomic<u64>);

impl Verdict {
    /// The id has not been looked up.
    pub(crate) const fn new() -> Self {
        // There is no generation 0.
        Self(Atomic::new(0))
    }
}

/// The policy in force.
pub(crate) static POLICY: Policy = Policy::new(&vfio_pci_audit_reasons);

/// The policy for one device and operation at one moment. Every run of a system call is decided
/// by the same one.
#[derive(Clone, Copy)]
pub(crate) struct Snapshot {
    blocked: bool,
}

impl Snapshot {
    /// The decision for the first bytes of `range`, and how many of them it is for. The decision
    /// for the others may differ.
    #[inline(always)]
    pub(crate) fn decide(&self, range: Range) -> (Outcome, Range) {
        (Outcome::from_allowed(!self.blocked), range)
    }
}

impl Policy {
    /// A policy that blocks nothing, and counts in `reasons` what it blocks.
    pub(crate) const fn new(reasons: &'static Atomic<i32>) -> Self {
        Self {
            block: [Atomic::new(false), Atomic::new(false)],
            reasons,
            allowed: RcuBox::new(),
            generation: Atomic::new(1),
        }
    }

    /// Whether an access by the device `id` that does `op` is blocked.
    #[inline]
    pub(crate) fn blocked(&self, op: Op, id: Id) -> bool {
        self.blocks(op) && !self.allows(id)
    }

    /// The policy for one device and `op` as it is now. The device's `id` is asked for only if
    /// `verdict` does not have it already.
    #[inline(always)]
    pub(crate) fn snapshot(
        &self,
        op: Op,
        verdict: Option<&Verdict>,
        id: impl FnOnce() -> Id,
    ) -> Snapshot {
        Snapshot {
            blocked: match verdict {
                Some(verdict) => self.blocks(op) && !self.allows_again(verdict, id),
                None => self.blocked(op, id()),
            },
        }
    }

    /// Whether the device `id` is listed, by its `verdict` if that is of the list in force.
    #[inline(always)]
    fn allows_again(&self, verdict: &Verdict, id: impl FnOnce() -> Id) -> bool {
        // Pairs with the release in `set_allowed()`: who sees the generation sees its list.
        let generation = self.generation.load(Acquire);
        let known = verdict.0.load(Relaxed);

        if known >> 1 == generation {
            return known & 1 != 0;
        }
        self.look_up(verdict, generation, id())
    }

    /// Looks the device `id` up. Under a list newer than `generation` it will be looked up again.
    #[cold]
    #[inline(never)]
    fn look_up(&self, verdict: &Verdict, generation: u64, id: Id) -> bool {
        let listed = self.allows(id);

        verdict
            .0
            .store(generation << 1 | u64::from(listed), Relaxed);
        listed
    }

    /// Whether `op` is blocked for devices that are not listed.
    #[inline(always)]
    pub(crate) fn blocks(&self, op: Op) -> bool {
        self.block[op as usize].load(Relaxed)
    }

    /// Blocks `op` for devices that are not listed, or stops to. The caller serializes changes.
    pub(crate) fn set_blocks(&self, op: Op, block: bool) {
        let blocked = self.block[op as usize].xchg(block, Relaxed);
        self.reasons
            .add(i32::from(block) - i32::from(blocked), Relaxed);
    }

    /// Whether the device `id` is listed.
    fn allows(&self, id: Id) -> bool {
        self.with_allowed(|ids| allow_list::contains(ids, id))
    }

    /// Calls `f` with the listed ids, sorted. `f` must not sleep.
    pub(crate) fn with_allowed<R>(&self, f: impl FnOnce(&[Id]) -> R) -> R {
        let guard = rcu::read_lock();

        f(self.allowed.read(&guard).map_or(&[], |ids| &ids[..]))
    }

    /// Replaces the list by the one in `text`. May sleep. The caller serializes changes.
    ///
    /// [`EINVAL`] for an entry that is none, and the list in force stays.
    pub(crate) fn set_allowed(&self, text: &[u8]) -> Result {
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
        self.generation
            .store(self.generation.load(Relaxed) + 1, Release);
    }

    /// Frees the list, when the module goes.
    pub(crate) fn clear(&self) {
        self.replace(None);
    }
}
