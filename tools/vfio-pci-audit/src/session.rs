// SPDX-License-Identifier: GPL-2.0

//! One session on a device, and who held it.

use pci_config::Bdf;

use crate::holder::Holder;
use crate::places::Places;
use crate::record::{Record, Totals};
use crate::vms::{Vm, Vms};

/// The most holders of one session that are named. A process that forks again and again has any
/// number of them.
pub const MAX_HOLDERS: usize = 16;

/// One session, as far as the log tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// Its number; nothing in records of a kernel that gives none.
    pub number: Option<u64>,
    /// The processes that made its accesses, the first first; none if its start is not in the log.
    pub holders: Vec<Holder>,
    /// Holders beyond [`MAX_HOLDERS`].
    pub more_holders: u64,
    /// When the first record came, in milliseconds since 1970.
    pub first: u64,
    /// When the last one did.
    pub last: u64,
    /// How many accesses have a record in the log.
    pub recorded: u64,
    /// What the session says of itself at its end; nothing if that is not in the log.
    pub totals: Option<Totals>,
    /// Whether this is the end of several sessions in one: one ended before the log had the end of
    /// the one before.
    pub several: bool,
    /// Where its accesses went, if that is kept.
    pub places: Option<Places>,
    /// Audit's number of the record of its end.
    pub(crate) end: Option<u64>,
    /// The lowest and the highest of audit's numbers of its records.
    pub(crate) serials: (u64, u64),
    /// In which boot of the machine it was.
    pub(crate) boot: u64,
    /// Whether it has records that are asked for.
    pub(crate) taken: bool,
    /// Whether it has others, too.
    pub(crate) partial: bool,
}

impl Session {
    /// One that begins with a record.
    pub(crate) fn new(number: Option<u64>, record: &Record<'_>, boot: u64) -> Self {
        Self {
            number,
            boot,
            first: record.time,
            last: record.time,
            serials: (record.serial, record.serial),
            ..Self::default()
        }
    }

    /// The end of several sessions in one.
    pub(crate) fn several(totals: Totals, record: &Record<'_>, boot: u64, taken: bool) -> Self {
        Self {
            several: true,
            totals: Some(totals),
            taken,
            ..Self::new(None, record, boot)
        }
    }

    /// Note the time of a record and audit's number of it.
    pub(crate) fn at(&mut self, time: u64, serial: u64) {
        self.first = self.first.min(time);
        self.last = self.last.max(time);
        let (lowest, highest) = self.serials;
        self.serials = (lowest.min(serial), highest.max(serial));
    }

    /// Note a process that makes accesses.
    pub(crate) fn hold(&mut self, holder: Holder) {
        if self.holders.iter().any(|known| known.is_same(&holder)) {
            return;
        }
        if self.holders.len() == MAX_HOLDERS {
            self.more_holders += 1;
        } else {
            self.holders.push(holder);
        }
    }

    /// The virtual machine that held the device, if it was one.
    pub fn vm(&self, vms: &Vms, bdf: Bdf) -> Option<Vm> {
        if self.several {
            return None;
        }
        let by_holder = |holder| vms.find(holder, self.first, self.boot);
        match self.holders.is_empty() {
            true => vms.of_device(bdf, self.first, self.boot),
            false => self.holders.iter().find_map(by_holder),
        }
    }

    /// Whether the log has its end.
    pub fn is_closed(&self) -> bool {
        self.totals.is_some()
    }

    /// Whether the log has its start and its end.
    pub fn is_complete(&self) -> bool {
        !self.holders.is_empty() && self.totals.is_some()
    }

    /// How many records of accesses are not in the log though they were written. Only a complete
    /// session of which all records were asked for can tell.
    pub fn missing(&self) -> u64 {
        match self.totals {
            Some(totals) if self.is_complete() && !self.partial => {
                totals.records.saturating_sub(self.recorded)
            }
            _ => 0,
        }
    }
}
