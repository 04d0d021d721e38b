// SPDX-License-Identifier: GPL-2.0

//! Serves one system call on configuration space.
//!
//! The call falls into stretches. Assigned bytes are VFIO's. Each unassigned run is decided upon and
//! recorded, and then either left to VFIO too, or served from here without the device.

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
#[inline]
pub(crate) fn op(iswrite: bool) -> Op {
    if iswrite {
        Op::Write
    } else {
        Op::Read
    }
}

/// What a front end returns: a length or a negative errno.
#[inline]
pub(crate) fn into_ssize(result: Result<usize>) -> isize {
    match result {
        Ok(done) => done as isize,
        Err(err) => err.to_errno() as isize,
    }
}

/// One system call, or the part of it that a caller hands over.
pub(crate) struct ConfigRw<'a> {
    device: &'a VfioDevice<'a>,
    /// Where accesses are recorded; `None` when auditing is off.
    session: Option<ArcBorrow<'a, Session>>,
    policy: Snapshot,
    op: Op,
    user: UserPtr,
    start: usize,
    map: &'a [u8],
}

impl<'a> ConfigRw<'a> {
    /// A call that reads or writes `count` bytes at `pos`. Takes the policy as it is now, for the
    /// whole call.
    ///
    /// [`EFAULT`] when the range is not inside configuration space, as VFIO has it.
    #[inline]
    pub(crate) fn new(
        device: &'a VfioDevice<'a>,
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
            session: session.filter(|_| pci_audit::enabled()),
            policy: POLICY.snapshot(op, id(device.pci())),
            op,
            user,
            start,
            map: map
                .get(start..end)
                .filter(|map| !map.is_empty())
                .ok_or(EFAULT)?,
        })
    }

    /// Serves the whole call and returns its length in bytes.
    #[inline]
    pub(crate) fn serve(&self) -> Result<usize> {
        let mut done = 0;

        while let Some(stretch) = run::first(&self.map[done..]) {
            done += match stretch {
                Stretch::Assigned(size) => self.pass(done, size)?,
                Stretch::Unassigned(size) => self.serve_unassigned(done, size)?,
            };
        }
        Ok(done)
    }

    /// Serves the start of the call, an unassigned run or as many assigned bytes as VFIO serves at
    /// once, and returns its length in bytes.
    #[cfg(not(CONFIG_VFIO_PCI_AUDIT_LIVEPATCH))]
    pub(crate) fn serve_first(&self) -> Result<usize> {
        match run::first(self.map) {
            Some(Stretch::Unassigned(size)) => self.serve_unassigned(0, size),
            Some(Stretch::Assigned(size)) => self.device.rw(self.op, self.user, self.start, size),
            None => Err(EFAULT),
        }
    }

    fn user_at(&self, done: usize) -> UserPtr {
        self.user.wrapping_byte_add(done)
    }

    /// Lets VFIO serve `size` bytes, `done` bytes into the call.
    fn pass(&self, done: usize, size: usize) -> Result<usize> {
        let mut at = done;
        let end = done + size;

        while at < end {
            at += self
                .device
                .rw(self.op, self.user_at(at), self.start + at, end - at)?;
        }
        Ok(size)
    }

    /// Decides upon `size` unassigned bytes, `done` bytes into the call, and serves the run that
    /// the decision is for. Returns the run's length.
    #[inline]
    fn serve_unassigned(&self, done: usize, size: usize) -> Result<usize> {
        let range = Range::new(self.start + done, size, usize::MAX).map_err(|_| EFAULT)?;
        let (outcome, range) = self.policy.decide(range);

        // The record comes first: the access may be the last thing that this machine does.
        match self.session {
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
