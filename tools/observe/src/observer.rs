// SPDX-License-Identifier: GPL-2.0

//! Puts events in order, and books the accesses of each session.
//!
//! There are two rings, so that accesses are not in the order of other events. The start of a
//! session and the first access of a process are in their ring before any access that refers to
//! them is in the other one; the end of a session comes after all of its accesses. Yet a ring shows
//! nothing behind an event that another processor has not finished: then accesses wait.

use std::collections::{BTreeMap, HashMap, VecDeque};

use pci_audit::access::CONFIG_SPACE_SIZE;
use pci_audit::{Op, Range};
use pci_audit_core::holders::Process;
use pci_audit_core::ledger::Limits;
use pci_audit_core::run::{self, Stretch};

use crate::device::{Device, Run, Sink};
use crate::event::{Access, Dropped, Event, Identity};

/// The most accesses that are booked before events are looked at again.
pub const BATCH: usize = 1 << 16;

/// The most processes of a session that are remembered.
const MANY: usize = 256;

/// Nanoseconds that accesses wait for what they refer to.
const PATIENCE: u64 = 2_000_000_000;

/// Where events come from.
pub trait Source {
    /// The next events, at once.
    fn events(&mut self) -> Vec<Event>;
    /// The next accesses, at most `most`, at once.
    fn accesses(&mut self, most: usize) -> Vec<Access>;
    /// How many system calls were dropped.
    fn dropped(&mut self) -> u64;
    /// How many ends of sessions were dropped.
    fn dropped_ends(&mut self) -> u64;
    /// Which system calls were dropped, and how many of each kind.
    fn drops(&mut self) -> Vec<(Dropped, u64)>;
    /// Forgets some of these.
    fn forget(&mut self, keys: &[Dropped]);
    /// The sessions that are open.
    fn open(&mut self) -> Vec<u64>;
}

/// Knows what events do not say.
pub trait World {
    /// VFIO's config map of a device, worked out.
    fn map(&mut self, device: &str) -> Option<Vec<u8>>;
    /// What `op=open` says of a process.
    fn fields(&mut self, process: Process, identity: &Identity) -> Vec<u8>;
}

/// What is known of a session.
struct Known {
    device: String,
    /// Nothing if there is none: then all bytes count as unassigned that have no standard use.
    map: Vec<u8>,
    processes: BTreeMap<(u64, u64, i32), Identity>,
    /// The number in records; nothing before the first access to unassigned bytes.
    number: Option<u64>,
}

/// What is done with an access that refers to something that is not known yet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unknown {
    /// It waits for a while.
    Wait,
    /// It is booked as it is.
    Book,
}

/// What was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Sessions with accesses to unassigned bytes.
    pub sessions: u64,
    /// Accesses to unassigned bytes.
    pub accesses: u64,
    /// Those of them that found no room in the ring.
    pub dropped: u64,
    /// System calls of sessions that nothing is known of.
    pub unattended: u64,
}

/// Books accesses.
pub struct Observer {
    limits: Limits,
    last_session: u64,
    sessions: HashMap<u64, Known>,
    devices: BTreeMap<String, Device>,
    /// Ends of which not all accesses were booked.
    ends: Vec<u64>,
    /// How many drops are booked, of all and of each kind.
    dropped: u64,
    dropped_ends: u64,
    drops: HashMap<Dropped, u64>,
    latest: u64,
    /// Accesses of which the first refers to something that is not known yet, and since when.
    waiting: VecDeque<Access>,
    waiting_since: Option<u64>,
    seen: Seen,
}

impl Observer {
    /// An observer that writes within `limits`. Sessions are numbered from the next number on.
    pub fn new(limits: Limits, last_session: u64) -> Self {
        Self {
            limits,
            last_session,
            sessions: HashMap::new(),
            devices: BTreeMap::new(),
            ends: Vec::new(),
            dropped: 0,
            dropped_ends: 0,
            drops: HashMap::new(),
            latest: 0,
            waiting: VecDeque::new(),
            waiting_since: None,
            seen: Seen::default(),
        }
    }

    /// What was seen until now.
    pub fn seen(&self) -> Seen {
        self.seen
    }

    /// The number of the last session in records.
    pub fn last_session(&self) -> u64 {
        self.last_session
    }

    /// Takes what there is, books it, and writes what is due. Whether there may be more.
    pub fn step(
        &mut self,
        source: &mut impl Source,
        world: &mut impl World,
        sink: &mut impl Sink,
        now: u64,
    ) -> bool {
        self.take_events(source, world);
        // Those that have all of their accesses in the ring, or booked.
        let due = std::mem::take(&mut self.ends);
        let more = self.take_accesses(source, world, sink, (now, Unknown::Wait));
        if more {
            self.ends.extend(due);
        } else {
            for session in due {
                self.end(session, source, now);
            }
            self.book_dropped_ends(source, now);
        }
        for device in self.devices.values_mut() {
            device.work(self.limits, now, sink);
        }
        more && self.waiting.is_empty()
    }

    /// Whether all is known that an access refers to, or will ever be.
    fn knows(&mut self, access: &Access) -> bool {
        let known = self.sessions.get(&access.session).is_some_and(|known| {
            known.processes.len() >= MANY || known.processes.contains_key(&key(access.process))
        });
        if known {
            self.waiting_since = None;
        }
        known
    }

    /// Whether the first of the accesses has waited for long enough.
    fn is_late(&mut self, now: u64) -> bool {
        now >= *self.waiting_since.get_or_insert(now) + PATIENCE
    }

    /// Takes the next accesses and books them, until one has to wait. Whether there may be more.
    fn take_accesses(
        &mut self,
        source: &mut impl Source,
        world: &mut impl World,
        sink: &mut impl Sink,
        (now, unknown): (u64, Unknown),
    ) -> bool {
        let batch = source.accesses(BATCH);
        let mut more = batch.len() == BATCH;
        self.waiting.extend(batch);
        // What they refer to was sent before them.
        self.take_events(source, world);
        while let Some(access) = self.waiting.pop_front() {
            if unknown == Unknown::Wait && !self.knows(&access) && !self.is_late(now) {
                self.waiting.push_front(access);
                more = true;
                break;
            }
            self.access(&access, world, sink);
        }
        self.book_drops(source, now);
        more
    }

    /// Ends all sessions, and writes all that was not written. Whether it could be. The source
    /// gets nothing new.
    pub fn finish(
        &mut self,
        source: &mut impl Source,
        world: &mut impl World,
        sink: &mut impl Sink,
        now: u64,
    ) -> bool {
        self.take_events(source, world);
        while self.take_accesses(source, world, sink, (now, Unknown::Book)) {}
        let mut written = true;
        for device in self.devices.values_mut() {
            written &= device.finish(now, sink);
        }
        written
    }

    fn take_events(&mut self, source: &mut impl Source, world: &mut impl World) {
        for event in source.events() {
            match event {
                Event::Session(session) => {
                    let map = session.map.or_else(|| world.map(&session.device));
                    let known = Known {
                        device: session.device,
                        map: map.unwrap_or_else(|| header_only(session.config_size)),
                        processes: BTreeMap::new(),
                        number: None,
                    };
                    self.sessions.insert(session.session, known);
                }
                Event::Process {
                    session,
                    process,
                    identity,
                } => {
                    if let Some(known) = self.sessions.get_mut(&session) {
                        // The oldest process goes.
                        if known.processes.len() >= MANY {
                            known.processes.pop_first();
                        }
                        known.processes.insert(key(process), identity);
                    }
                }
                Event::Close(session) => self.ends.push(session),
            }
        }
    }

    /// Begins the session in the log if that was not done. Nothing if nothing is known of it.
    fn begin(&mut self, session: u64, now: u64) -> Option<(&mut Known, &mut Device)> {
        let known = self.sessions.get_mut(&session)?;
        let device = self
            .devices
            .entry(known.device.clone())
            .or_insert_with(|| Device::new(&known.device));
        if known.number.is_none() {
            self.last_session += 1;
            self.seen.sessions += 1;
            known.number = Some(self.last_session);
            // Its end may be in the ring still.
            device.end(now);
            device.begin(self.last_session);
        }
        // A session that ended has no more accesses.
        (device.session() == known.number).then_some((known, device))
    }

    fn access(&mut self, access: &Access, world: &mut impl World, sink: &mut impl Sink) {
        // The clock is read before the place in the ring is taken.
        self.latest = self.latest.max(access.time);
        let (time, limits) = (self.latest, self.limits);
        let Some(known) = self.sessions.get(&access.session) else {
            self.seen.unattended += 1;
            return;
        };
        let runs = runs(&known.map, access.offset, access.size);
        if runs.is_empty() {
            return;
        }
        self.seen.accesses += runs.len() as u64;
        let Some((known, device)) = self.begin(access.session, time) else {
            self.seen.unattended += 1;
            return;
        };
        for range in runs {
            let run = Run {
                op: access.op,
                range,
                process: access.process,
                time,
            };
            let identity = known.processes.get(&key(access.process));
            let fields = || identity.map(|identity| world.fields(access.process, identity));
            device.access(run, limits, fields, sink);
        }
    }

    fn book_drops(&mut self, source: &mut impl Source, now: u64) {
        let dropped = source.dropped();
        if dropped == self.dropped {
            return;
        }
        self.dropped = dropped;
        for (key, count) in source.drops() {
            let booked = self.drops.entry(key).or_default();
            let new = count - *booked;
            *booked = count;
            if new > 0 {
                self.drop(key, new, now);
            }
        }
    }

    /// Accounts for `count` system calls that were dropped.
    fn drop(&mut self, key: Dropped, count: u64, now: u64) {
        let Some(known) = self.sessions.get(&key.session) else {
            self.seen.unattended += count;
            return;
        };
        let runs = match key.size {
            // It is not known where they were.
            0 => Range::new(0, known.map.len(), CONFIG_SPACE_SIZE)
                .into_iter()
                .collect(),
            size => runs(&known.map, key.offset.into(), size.into()),
        };
        if runs.is_empty() {
            return;
        }
        self.seen.accesses += runs.len() as u64 * count;
        self.seen.dropped += runs.len() as u64 * count;
        let op: Op = key.op();
        if let Some((_, device)) = self.begin(key.session, now) {
            for range in runs {
                device.lost(op, range, count, now);
            }
        }
    }

    fn end(&mut self, session: u64, source: &mut impl Source, now: u64) {
        self.book_drops(source, now);
        let mut over = vec![session];
        if let Some(known) = self.sessions.remove(&session) {
            let device = self.devices.get_mut(&known.device);
            if let Some(device) = device.filter(|device| device.session() == known.number) {
                device.end(now);
            }
            // A session may have begun twice, on two CPUs: one of them never had an access.
            over.extend(self.sessions.iter().filter_map(|(other, other_known)| {
                (*other < session && other_known.device == known.device).then_some(*other)
            }));
        }
        let of_these = |key: &&Dropped| over.contains(&key.session);
        let mut keys: Vec<Dropped> = self.drops.keys().filter(of_these).copied().collect();
        // These were made when the session began.
        for session in &over {
            keys.extend([false, true].map(|write| Dropped::anywhere(*session, write)));
        }
        self.sessions.retain(|other, _| !over.contains(other));
        self.drops.retain(|key, _| !over.contains(&key.session));
        source.forget(&keys);
    }

    /// Where the ring had no room for the end of a session: it is open no more.
    fn book_dropped_ends(&mut self, source: &mut impl Source, now: u64) {
        let dropped = source.dropped_ends();
        if dropped == self.dropped_ends {
            return;
        }
        self.dropped_ends = dropped;
        let open = source.open();
        let latest = self.sessions.keys().max().copied().unwrap_or_default();
        let over: Vec<u64> = self
            .sessions
            .keys()
            // The latest may be about to open.
            .filter(|session| !open.contains(session) && **session < latest)
            .copied()
            .collect();
        for session in over {
            self.end(session, source, now);
        }
    }
}

fn key(process: Process) -> (u64, u64, i32) {
    (process.started, process.executed, process.tgid)
}

/// The map of a device of which only the header that all have is known.
fn header_only(size: usize) -> Vec<u8> {
    let mut map = vec![run::UNASSIGNED; size];
    map.iter_mut()
        .take(pci_config::STANDARD_HEADER)
        .for_each(|entry| *entry = 0);
    map
}

/// The unassigned runs of a system call. None if VFIO refuses it, since it is not inside the map.
fn runs(map: &[u8], offset: usize, size: usize) -> Vec<Range> {
    let mut runs = Vec::new();
    let Some(map) = map.get(offset..offset + size) else {
        return runs;
    };
    let mut done = 0;
    while let Some(stretch) = map.get(done..).and_then(run::first) {
        if let Stretch::Unassigned(size) = stretch {
            runs.extend(Range::new(offset + done, size, CONFIG_SPACE_SIZE));
        }
        done += stretch.size();
    }
    runs
}

#[cfg(test)]
#[path = "observer_tests.rs"]
mod tests;
