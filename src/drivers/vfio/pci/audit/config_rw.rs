// SPDX-License-Identifier: GPL-2.0

//! Serves one system call on configuration space.
//!
//! The call consists of stretches. VFIO serves assigned bytes. Each unassigned run is decided and
//! recorded, and then either passed to VFIO too, or served here without the device.

use crate::{
    policy::{
        allow_list::Id,
        POLICY, //
    },
    run::{
        self,
        Stretch, //
    },
    session::Session,
    vfio::{
        check_user,
        clear_user,
        Device, //
    },
};
use kernel::{
    pci,
    prelude::*,
    uaccess::UserPtr, //
};
use pci_audit::{
    Op,
    Outcome,
    Range, //
};

/// The id of `device` in the allow list.
fn id(device: &pci::Device) -> Id {
    Id::new(device.vendor_id().as_raw(), device.device_id())
}

/// The operation of a system call.
#[inline(always)]
pub(crate) fn op(iswrite: bool) -> Op {
    if iswrite {
        Op::Write
    } else {
        Op::Read
    }
}

/// The return value of a hook: a length or a negative errno.
#[inline(always)]
pub(crate) fn into_ssize(result: Result<usize>) -> isize {
    match result {
        Ok(done) => done as isize,
        Err(err) => err.to_errno() as isize,
    }
}

/// One system call, or the rest of one.
#[derive(Clone, Copy)]
pub(crate) struct ConfigRw<'a> {
    device: Device<'a>,
    session: Option<&'a Session>,
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
        device: Device<'a>,
        session: Option<&'a Session>,
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

    /// The decision on the call's unassigned bytes. Taken once in a call.
    #[inline(always)]
    fn decide(&self) -> Outcome {
        POLICY.decide(self.op, self.session.map(Session::lookup), || {
            id(self.device.pci())
        })
    }

    /// Serves the whole call and returns its length in bytes.
    #[inline(always)]
    pub(crate) fn serve(self) -> Result<usize> {
        match run::first(self.map) {
            // Most calls are for a dword.
            Some(Stretch::Unassigned(size)) if size == self.map.len() => {
                self.serve_unassigned(self.decide(), 0, size)
            }
            _ => self.serve_stretches(),
        }
    }

    /// Serves a call of several stretches.
    #[inline(never)]
    fn serve_stretches(self) -> Result<usize> {
        let outcome = self.decide();
        let mut done = 0;

        while let Some(stretch) = self.map.get(done..).and_then(run::first) {
            done += match stretch {
                Stretch::Assigned(size) => self.pass(done, size)?,
                Stretch::Unassigned(size) => self.serve_unassigned(outcome, done, size)?,
            };
        }
        Ok(done)
    }

    /// Serves the start of the call, an unassigned run or as many assigned bytes as VFIO serves at
    /// once, and returns its length in bytes.
    #[inline(always)]
    pub(crate) fn serve_first(&self) -> Result<usize> {
        match run::first(self.map) {
            Some(Stretch::Unassigned(size)) => self.serve_unassigned(self.decide(), 0, size),
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
        // VFIO serves at most a dword at once; most calls are for no more.
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

    /// Serves `size` unassigned bytes, `done` bytes into the call. Returns their number.
    #[inline(always)]
    fn serve_unassigned(&self, outcome: Outcome, done: usize, size: usize) -> Result<usize> {
        let range = Range::new(self.start + done, size, usize::MAX).map_err(|_| EFAULT)?;

        // The record comes first: the access may bring the machine down.
        match self.session.filter(|_| pci_audit::enabled()) {
            Some(session) => session.access(self.op, range, outcome),
            None => pci_audit::trace(self.device.pci(), self.op, range, outcome),
        }
        match (outcome, self.op) {
            (Outcome::Allowed, _) => return self.pass(done, size),
            (Outcome::Blocked, Op::Read) => clear_user(self.user_at(done), size)?,
            // As without blocking, user memory has to be readable.
            (Outcome::Blocked, Op::Write) => check_user(self.user_at(done), size)?,
        }
        Ok(size)
    }
}
