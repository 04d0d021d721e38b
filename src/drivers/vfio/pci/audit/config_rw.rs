// SPDX-License-Identifier: GPL-2.0

//! Serves one system call on configuration space.
//!
//! The call falls into stretches. Assigned bytes are VFIO's. Each unassigned run is decided upon
//! and recorded, and then either left to VFIO too, or served from here without the device.

use crate::{
    access::{
        Op,
        Outcome,
        Range, //
    },
    allow_list::Id,
    pci_audit,
    policy::{
        Snapshot,
        POLICY, //
    },
    run::{
        self,
        Stretch, //
    },
    session::Session,
    vfio::{
        self,
        VfioDevice, //
    },
};
use kernel::{
    pci,
    prelude::*,
    sync::ArcBorrow,
    uaccess::UserPtr, //
};

/// The id by which the allow list knows `device`.
fn id(device: &pci::Device) -> Id {
    Id::new(device.vendor_id().as_raw(), device.device_id())
}

/// What a front end was called for.
#[inline(always)]
pub(crate) fn op(iswrite: bool) -> Op {
    if iswrite {
        Op::Write
    } else {
        Op::Read
    }
}

/// What a front end returns: a length or a negative errno.
#[inline(always)]
pub(crate) fn into_ssize(result: Result<usize>) -> isize {
    match result {
        Ok(done) => done as isize,
        Err(err) => err.to_errno() as isize,
    }
}

/// One system call, or the part of it that a caller hands over.
#[derive(Clone, Copy)]
pub(crate) struct ConfigRw<'a> {
    device: VfioDevice<'a>,
    session: Option<ArcBorrow<'a, Session>>,
    op: Op,
    user: UserPtr,
    start: usize,
    map: &'a [u8],
}

impl<'a> ConfigRw<'a> {
    /// A call that reads or writes `count` bytes at `pos`.
    ///
    /// [`EFAULT`] when the range is not inside configuration space, as VFIO has it.
    #[inline(always)]
    pub(crate) fn new(
        device: VfioDevice<'a>,
        session: Option<ArcBorrow<'a, Session>>,
        op: Op,
        user: UserPtr,
        pos: i64,
        count: usize,
    ) -> Result<Self> {
        let map = device.config_map();
        let start = usize::try_from(pos).map_err(|_| EFAULT)?;
        let end = start.checked_add(count).ok_or(EFAULT)?;

        Ok(Self {
            device,
            session,
            op,
            user,
            start,
            map: map
                .get(start..end)
                .filter(|map| !map.is_empty())
                .ok_or(EFAULT)?,
        })
    }

    /// The policy as it is now. Taken once in a call, when that comes to its first unassigned byte.
    #[inline(always)]
    fn policy(&self) -> Snapshot {
        POLICY.snapshot(
            self.op,
            self.session.as_deref().map(Session::verdict),
            || id(self.device.pci()),
        )
    }

    /// Serves the whole call and returns its length in bytes.
    #[inline(always)]
    pub(crate) fn serve(self) -> Result<usize> {
        match run::first(self.map) {
            // What most calls are.
            Some(Stretch::Assigned(size)) if size == self.map.len() => self.pass(0, size),
            Some(Stretch::Unassigned(size)) if size == self.map.len() => {
                self.serve_unassigned(self.policy(), 0, size)
            }
            _ => Self::serve_stretches(
                self.device,
                self.session,
                self.op,
                self.user,
                self.start,
                self.map,
            ),
        }
    }

    /// Serves a call of several stretches. Takes the call in its parts, so that only such calls
    /// pay for having it in memory.
    #[inline(never)]
    fn serve_stretches(
        device: VfioDevice<'a>,
        session: Option<ArcBorrow<'a, Session>>,
        op: Op,
        user: UserPtr,
        start: usize,
        map: &'a [u8],
    ) -> Result<usize> {
        let call = Self {
            device,
            session,
            op,
            user,
            start,
            map,
        };
        let policy = call.policy();
        let mut done = 0;

        while let Some(stretch) = map.get(done..).and_then(run::first) {
            done += match stretch {
                Stretch::Assigned(size) => call.pass(done, size)?,
                Stretch::Unassigned(size) => call.serve_unassigned(policy, done, size)?,
            };
        }
        Ok(done)
    }

    /// Serves the start of the call, an unassigned run or as many assigned bytes as VFIO serves at
    /// once, and returns its length in bytes.
    #[inline(always)]
    pub(crate) fn serve_first(&self) -> Result<usize> {
        match run::first(self.map) {
            Some(Stretch::Unassigned(size)) => self.serve_unassigned(self.policy(), 0, size),
            Some(Stretch::Assigned(size)) => self.device.rw(self.op, self.user, self.start, size),
            None => Err(EFAULT),
        }
    }

    #[inline(always)]
    fn user_at(&self, done: usize) -> UserPtr {
        self.user.wrapping_byte_add(done)
    }

    /// Lets VFIO serve `size` bytes, `done` bytes into the call.
    #[inline(always)]
    fn pass(&self, done: usize, size: usize) -> Result<usize> {
        // VFIO serves a dword at once, which is all that most calls want.
        let mut at = self
            .device
            .rw(self.op, self.user_at(done), self.start + done, size)?;

        while at < size {
            at += self.device.rw(
                self.op,
                self.user_at(done + at),
                self.start + done + at,
                size - at,
            )?;
        }
        Ok(size)
    }

    /// Has `policy` decide upon `size` unassigned bytes, `done` bytes into the call, and serves the
    /// run that the decision is for. Returns the run's length.
    #[inline(always)]
    fn serve_unassigned(&self, policy: Snapshot, done: usize, size: usize) -> Result<usize> {
        let range = Range::new(self.start + done, size, usize::MAX).map_err(|_| EFAULT)?;
        let (outcome, range) = policy.decide(range);

        // The record comes first: the access may be the last thing that this machine does.
        match self.session.filter(|_| pci_audit::enabled()) {
            Some(session) => session.access(self.op, range, outcome),
            None => pci_audit::unrecorded(self.device.pci(), self.op, range, outcome),
        }
        match (outcome, self.op) {
            (Outcome::Allowed, _) => self.pass(done, range.size()),
            (Outcome::Blocked, Op::Read) => {
                vfio::clear_user(self.user_at(done), range.size())?;
                Ok(range.size())
            }
            (Outcome::Blocked, Op::Write) => Ok(range.size()),
        }
    }
}
