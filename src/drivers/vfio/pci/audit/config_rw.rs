// SPDX-License-Identifier: GPL-2.0

//! Serves one system call on configuration space.
//!
//! The call consists of stretches. VFIO serves assigned bytes. Unassigned bytes fall into runs,
//! with one decision each by the monitor. A run is then either passed to VFIO too, or served here
//! without the device.

use crate::{
    monitor::Monitor,
    policy::{
        bitmap::{
            self,
            BITS,
            EMPTY, //
        },
        Decision, //
    },
    run::{
        self,
        Stretch, //
    },
    vfio::{
        check_user,
        clear_user,
        Device, //
    },
    OpenDevice, //
};
use kernel::{
    prelude::*,
    uaccess::UserPtr, //
};

/// The return value of a hook: a length or a negative errno.
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
    monitor: OpenDevice<'a>,
    iswrite: bool,
    user: UserPtr,
    start: usize,
    map: &'a [u8],
}

impl<'a> ConfigRw<'a> {
    /// A call that reads or writes `count` bytes at `pos`.
    ///
    /// [`EFAULT`] when the range is not inside configuration space, as VFIO has it.
    pub(crate) fn new(
        device: Device<'a>,
        monitor: OpenDevice<'a>,
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
            monitor,
            iswrite,
            user,
            start,
            map: map
                .get(start..end)
                .filter(|map| !map.is_empty())
                .ok_or(EFAULT)?,
        })
    }

    /// Has the monitor decide on the call's unassigned bytes. [`ConfigRw::serve_by_range`] has it
    /// decide anew.
    fn decide(&self) -> Decision {
        self.monitor.decide(self.device.pci(), self.iswrite)
    }

    /// Serves the whole call and returns its length in bytes.
    pub(crate) fn serve(self) -> Result<usize> {
        match self.decide() {
            Decision::Allowed => self.serve_all(true),
            Decision::Blocked => self.serve_all(false),
            Decision::ByRange => self.serve_by_range(false),
        }
    }

    /// Serves the whole call, all of whose runs have the same decision.
    fn serve_all(&self, allowed: bool) -> Result<usize> {
        let mut done = 0;

        while let Some(stretch) = self.map.get(done..).and_then(run::first) {
            done += match stretch {
                Stretch::Assigned(size) => self.pass(done, size)?,
                Stretch::Unassigned(size) => self.serve_unassigned(allowed, done, size)?,
            };
        }
        Ok(done)
    }

    /// Serves the whole call, whose runs are decided by one snapshot of the policy; or only the
    /// first run, with which the call then begins. Returns how many bytes that is.
    #[cold]
    #[inline(never)]
    fn serve_by_range(&self, first_only: bool) -> Result<usize> {
        let words = bitmap::words(self.start, self.map.len());
        let from = words.start * BITS;
        let mut bits = EMPTY;
        let allowed = bits.get_mut(..words.len()).ok_or(EFAULT)?;
        let mut done = 0;

        self.monitor
            .snapshot(self.device.pci(), self.iswrite, words.start, allowed);
        while let Some((stretch, allowed)) = self
            .map
            .get(done..)
            .and_then(|map| run::first_decided(map, allowed, self.start + done - from))
        {
            done += match stretch {
                Stretch::Assigned(size) => self.pass(done, size)?,
                Stretch::Unassigned(size) => self.serve_unassigned(allowed, done, size)?,
            };
            if first_only {
                break;
            }
        }
        Ok(done)
    }

    /// Serves the start of the call, an unassigned run or as many assigned bytes as VFIO serves at
    /// once, and returns its length in bytes.
    pub(crate) fn serve_first(&self) -> Result<usize> {
        match run::first(self.map) {
            Some(Stretch::Unassigned(size)) => match self.decide() {
                Decision::Allowed => self.serve_unassigned(true, 0, size),
                Decision::Blocked => self.serve_unassigned(false, 0, size),
                Decision::ByRange => self.serve_by_range(true),
            },
            Some(Stretch::Assigned(size)) => {
                self.device.rw(self.iswrite, self.user, self.start, size)
            }
            None => Err(EFAULT),
        }
    }

    fn user_at(&self, done: usize) -> UserPtr {
        self.user.wrapping_byte_add(done)
    }

    /// Lets VFIO serve `size` bytes, `done` bytes into the call.
    fn pass(&self, done: usize, size: usize) -> Result<usize> {
        // In registers: VFIO is called for each dword.
        let (device, iswrite) = (self.device, self.iswrite);
        let (user, start) = (self.user_at(done), self.start + done);
        let mut at = 0;

        while at < size {
            at += device.rw(iswrite, user.wrapping_byte_add(at), start + at, size - at)?;
        }
        Ok(size)
    }

    /// Serves `size` unassigned bytes, `done` bytes into the call. Returns their number.
    fn serve_unassigned(&self, allowed: bool, done: usize, size: usize) -> Result<usize> {
        // Before the access, which may bring the machine down.
        self.monitor.access(
            self.device.pci(),
            self.iswrite,
            self.start + done,
            size,
            allowed,
        );
        if allowed {
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
