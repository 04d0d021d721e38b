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
    session::{
        self,
        Session, //
    },
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
/// The id of `device` in the allow list.
fn id(device: &pci::Device) -> Id {
    Id::new(device.vendor_id().as_raw(), device.device_id())
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
    iswrite: bool,
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
        iswrite: bool,
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
            iswrite,
            user,
            start,
            map: map
                .get(start..end)
                .filter(|map| !map.is_empty())
                .ok_or(EFAULT)?,
        })
    }

    /// Whether the call's unassigned bytes are blocked. Decided once in a call.
    #[inline(always)]
    fn is_blocked(&self) -> bool {
        let id = || id(self.device.pci());

        match self.session {
            Some(session) => POLICY.blocked_cached(self.iswrite, session.lookup(), id),
            None => POLICY.blocked(self.iswrite, id()),
        }
    }

    /// Serves the whole call and returns its length in bytes.
    #[inline(always)]
    pub(crate) fn serve(self) -> Result<usize> {
        match run::first(self.map) {
            // Most calls are for a dword.
            Some(Stretch::Unassigned(size)) if size == self.map.len() => {
                self.serve_unassigned(self.is_blocked(), 0, size)
            }
            _ => self.serve_stretches(),
        }
    }

    /// Serves a call of several stretches.
    #[inline(never)]
    fn serve_stretches(self) -> Result<usize> {
        let blocked = self.is_blocked();
        let mut done = 0;

        while let Some(stretch) = self.map.get(done..).and_then(run::first) {
            done += match stretch {
                Stretch::Assigned(size) => self.pass(done, size)?,
                Stretch::Unassigned(size) => self.serve_unassigned(blocked, done, size)?,
            };
        }
        Ok(done)
    }

    /// Serves the start of the call, an unassigned run or as many assigned bytes as VFIO serves at
    /// once, and returns its length in bytes.
    #[inline(always)]
    pub(crate) fn serve_first(&self) -> Result<usize> {
        match run::first(self.map) {
            Some(Stretch::Unassigned(size)) => self.serve_unassigned(self.is_blocked(), 0, size),
            Some(Stretch::Assigned(size)) => {
                self.device.rw(self.iswrite, self.user, self.start, size)
            }
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
            .rw(self.iswrite, self.user_at(done), self.start + done, size)?;

        while at < size {
            at += self.device.rw(
                self.iswrite,
                self.user_at(done + at),
                self.start + done + at,
                size - at,
            )?;
        }
        Ok(size)
    }

    /// Serves `size` unassigned bytes, `done` bytes into the call. Returns their number.
    #[inline(always)]
    fn serve_unassigned(&self, blocked: bool, done: usize, size: usize) -> Result<usize> {
        // The record comes first: the access may bring the machine down.
        session::access(
            self.session,
            self.device.pci(),
            self.iswrite,
            self.start + done,
            size,
            blocked,
        );
        if !blocked {
            return self.pass(done, size);
        }
        if self.iswrite {
            // As without blocking, user memory has to be readable.
            check_user(self.user_at(done), size)?;
        } else {
            clear_user(self.user_at(done), size)?;
        }
        Ok(size)
    }
}
