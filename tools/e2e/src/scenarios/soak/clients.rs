// SPDX-License-Identifier: GPL-2.0

//! The clients: each works on a device of its own until it is told to stop, and knows what it did.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use vfio_client::stream::{self, Op, Plan};
use vfio_client::{sysfs, Bdf, Device, Error, Rng};

use super::super::spot;
use crate::account::Truth;
use crate::audit::wait_until;
use crate::holder::{self, Holder};
use crate::kernel;
use crate::lab::Lab;
use crate::seen;

/// What clients share with those who disturb them.
pub(super) struct Shared {
    stop: AtomicBool,
    /// Whether auditing is on. Clients read-lock it while they do anything that makes records, so
    /// that it is known of each access whether it counts.
    auditing: RwLock<bool>,
    /// After some accesses, clients give way to others for this long.
    pause: Duration,
}

impl Shared {
    pub(super) fn new(pause: Duration) -> Self {
        Self {
            stop: AtomicBool::new(false),
            auditing: RwLock::new(true),
            pause,
        }
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(super) fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// Keeps all clients from their devices until this is dropped. The value may be changed to say
    /// whether auditing is on.
    pub(super) fn hold_all(&self) -> RwLockWriteGuard<'_, bool> {
        self.auditing
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with a device. The argument says whether it will be counted.
    fn act<T>(&self, act: impl FnOnce(bool) -> Result<T>) -> Result<T> {
        let auditing = self.auditing.read().unwrap_or_else(PoisonError::into_inner);
        act(*auditing)
    }

    fn give_way(&self) {
        thread::sleep(self.pause);
    }
}

/// What a client did.
#[derive(Default)]
pub(super) struct Done {
    pub(super) truth: Truth,
    pub(super) sessions: u64,
}

/// The devices, by how they are used.
pub(super) struct Devices {
    /// Open all the time, used by several threads. The list of exceptions has ranges of it.
    pub(super) long: Bdf,
    /// Opened and closed with resets between, or given to a guest.
    pub(super) reset: Bdf,
    /// Opened and closed as fast as it goes. The list has ranges of it, too.
    pub(super) short: Bdf,
    /// Streams of random accesses. It is always in the list.
    pub(super) stream: Bdf,
    /// Held by processes that fork, pass the descriptor on and are killed. It is always in the
    /// list.
    pub(super) held: Bdf,
}

/// The entries of the list for the devices that are always in it.
pub(super) const ALWAYS: &str = "1b36:0010,1234:*";

impl Devices {
    pub(super) fn of(lab: &Lab) -> Result<Self> {
        Ok(Self {
            long: lab.express()?,
            reset: lab.second_express()?,
            short: lab.conventional()?,
            stream: lab.nvme()?,
            held: lab.edu()?,
        })
    }

    pub(super) fn all(&self) -> [Bdf; 5] {
        [self.long, self.reset, self.short, self.stream, self.held]
    }

    /// The first bytes that the clients use of the devices of which the list has ranges.
    pub(super) fn places(&self) -> Result<Vec<usize>> {
        [self.long, self.reset, self.short]
            .into_iter()
            .map(|bdf| spot(&sysfs::config_map(bdf)?))
            .collect()
    }

    /// Starts all clients, and calls `disturb` meanwhile. Returns what they did, by device. Without
    /// `reset`, leaves that device to others.
    pub(super) fn work<T>(
        &self,
        shared: &Shared,
        seed: u64,
        reset: bool,
        disturb: impl FnOnce() -> Result<T>,
    ) -> Result<(T, BTreeMap<Bdf, Done>)> {
        type Client = fn(&Shared, Bdf, Rng) -> Result<Done>;
        let mut clients: Vec<(Bdf, Client)> = vec![
            (self.long, long_session),
            (self.short, short_sessions),
            (self.stream, streams),
            (self.held, holders),
        ];
        if reset {
            clients.push((self.reset, resets));
        }
        thread::scope(|scope| {
            let running: Vec<_> = clients
                .into_iter()
                .enumerate()
                .map(|(number, (bdf, client))| {
                    let rng = Rng::new(seed, number as u64);
                    (bdf, scope.spawn(move || client(shared, bdf, rng)))
                })
                .collect();
            let disturbed = disturb();
            shared.stop();
            let done = running
                .into_iter()
                .map(|(bdf, client)| {
                    let done = client.join().expect("a client does not panic");
                    Ok((bdf, done.map_err(|error| error.context(bdf.to_string()))?))
                })
                .collect::<Result<_>>();
            // If both failed, the disturbance did first.
            Ok((disturbed?, done?))
        })
    }
}

/// Number of bytes that a watcher reads, and that it writes.
const AREA: usize = 16;

/// Accesses between two pauses.
const BATCH: usize = 32;

/// Accesses of which it is seen what was decided, so that toggles and list may change meanwhile:
/// what is read is zero if it is blocked, and what is written is looked at on another path.
struct Watcher<'a> {
    shared: &'a Shared,
    device: &'a Device,
    /// What is read starts here, and what is written follows.
    at: usize,
    holds: [u8; AREA],
    rng: Rng,
    truth: Truth,
}

const PATTERN: [u8; AREA] = [0xa5; AREA];

impl<'a> Watcher<'a> {
    fn new(shared: &'a Shared, device: &'a Device, at: usize, rng: Rng) -> Result<Self> {
        sysfs::write_config_at(device.bdf(), at as u64, &[0xa5; 2 * AREA])?;
        Ok(Self {
            shared,
            device,
            at,
            holds: PATTERN,
            rng,
            truth: Truth::default(),
        })
    }

    fn accesses(&mut self, times: usize) -> Result<()> {
        for number in 0..times {
            if !self.shared.goes_on() {
                break;
            }
            self.shared.act(|counts| self.access(counts))?;
            if number % BATCH == BATCH - 1 {
                self.shared.give_way();
            }
        }
        Ok(())
    }

    fn access(&mut self, counts: bool) -> Result<()> {
        let size = 1 + self.rng.below(8);
        let first = self.rng.below(AREA + 1 - size);
        let (op, at, allowed) = match self.rng.below(2) {
            0 => (Op::Read, self.at + first, self.read(first, size)?),
            _ => (Op::Write, self.at + AREA + first, self.write(first, size)?),
        };
        if counts {
            for (run, allowed) in seen::runs(at, size, allowed) {
                self.truth.add(op, allowed, run);
            }
        }
        Ok(())
    }

    fn read(&self, first: usize, size: usize) -> Result<u8> {
        let seen = self.device.read_vec((self.at + first) as u64, size)?;
        seen::compare(&seen, &PATTERN, &[0; AREA])
    }

    fn write(&mut self, first: usize, size: usize) -> Result<u8> {
        let at = (self.at + AREA + first) as u64;
        // A value that no byte holds.
        let value = loop {
            let value = self.rng.below(256) as u8;
            if !self.holds.contains(&value) {
                break value;
            }
        };
        let bytes = [value; AREA];
        self.device.write(at, &bytes[..size])?;
        let now = sysfs::config_at(self.device.bdf(), at, size)?;
        let allowed = seen::compare(&now, &bytes, &self.holds[first..])?;
        self.holds[first..first + size].copy_from_slice(&now);
        Ok(allowed)
    }
}

/// One session until the end, with two threads.
fn long_session(shared: &Shared, bdf: Bdf, mut rng: Rng) -> Result<Done> {
    let device = &Device::open(bdf)?;
    let at = spot(device.map())?;
    let seeds = [rng.next(), rng.next()];
    let mut done = Done {
        sessions: 1,
        ..Done::default()
    };
    thread::scope(|scope| {
        let running: Vec<_> = (0..)
            .zip(seeds)
            .map(|(number, seed)| {
                scope.spawn(move || -> Result<Truth> {
                    let at = at + number * 2 * AREA;
                    let mut watcher = Watcher::new(shared, device, at, Rng::new(seed, 0))?;
                    watcher.accesses(usize::MAX)?;
                    Ok(watcher.truth)
                })
            })
            .collect();
        running.into_iter().try_for_each(|thread| {
            let truth = thread.join().expect("a watcher does not panic")?;
            done.truth.merge(&truth);
            Ok(())
        })
    })
    .map(|()| done)
}

/// Opens a device that was just closed. A process that another client starts has copies of all
/// descriptors for a moment, so that the device may still be in use.
fn open_again(bdf: Bdf) -> Result<Device> {
    let mut device = Device::open(bdf);
    wait_until(Duration::from_secs(10), || {
        let busy = matches!(device, Err(Error::Busy { .. }));
        if busy {
            device = Device::open(bdf);
        }
        Ok(!busy)
    })?;
    Ok(device?)
}

/// Opens the device, makes accesses and closes it, again and again.
fn sessions(
    shared: &Shared,
    bdf: Bdf,
    mut rng: Rng,
    mut between: impl FnMut(&mut Rng) -> Result<()>,
    mut session: impl FnMut(&Device, &mut Rng, &mut Truth) -> Result<()>,
) -> Result<Done> {
    let mut done = Done::default();
    while shared.goes_on() {
        let device = shared.act(|_| open_again(bdf))?;
        done.sessions += 1;
        session(&device, &mut rng, &mut done.truth)?;
        shared.act(|_| {
            drop(device);
            between(&mut rng)
        })?;
        shared.give_way();
    }
    Ok(done)
}

/// Watches a few accesses.
fn watch(
    shared: &Shared,
    device: &Device,
    rng: &mut Rng,
    truth: &mut Truth,
    times: usize,
) -> Result<()> {
    let at = spot(device.map())?;
    let seed = rng.next();
    let mut watcher = Watcher::new(shared, device, at, Rng::new(seed, 0))?;
    watcher.accesses(times)?;
    truth.merge(&watcher.truth);
    Ok(())
}

/// Short sessions. Sometimes the driver leaves the device and comes back.
fn short_sessions(shared: &Shared, bdf: Bdf, rng: Rng) -> Result<Done> {
    let rebind = |rng: &mut Rng| match rng.below(16) {
        0 => kernel::unbind(bdf).and_then(|()| kernel::bind(bdf)),
        _ => Ok(()),
    };
    sessions(shared, bdf, rng, rebind, |device, rng, truth| {
        let times = rng.below(40);
        watch(shared, device, rng, truth, times)
    })
}

/// Sessions in which the device is reset.
fn resets(shared: &Shared, bdf: Bdf, rng: Rng) -> Result<Done> {
    let nothing = |_: &mut Rng| Ok(());
    sessions(shared, bdf, rng, nothing, |device, rng, truth| {
        for _ in 0..2 {
            let times = rng.below(400);
            watch(shared, device, rng, truth, times)?;
            shared.act(|_| {
                device.reset();
                Ok(())
            })?;
        }
        Ok(())
    })
}

/// Sessions of streams from several threads, anywhere in the device, which is always in the list.
fn streams(shared: &Shared, bdf: Bdf, rng: Rng) -> Result<Done> {
    let nothing = |_: &mut Rng| Ok(());
    sessions(shared, bdf, rng, nothing, |device, rng, truth| {
        for _ in 0..1 + rng.below(8) {
            if !shared.goes_on() {
                break;
            }
            let plan = Plan {
                seed: rng.next(),
                count: 1 + rng.below(200) as u64,
                threads: 2,
                max_size: 1 << rng.below(9),
                ..Plan::default()
            };
            shared.act(|counts| {
                let done = stream::sum(&stream::run(device, &plan)?);
                if counts {
                    truth.add_stream(&done, true, true);
                }
                Ok(())
            })?;
            shared.give_way();
        }
        shared.act(|_| {
            device.reset();
            Ok(())
        })
    })
}

/// The socket by which a descriptor is passed on.
const SOCKET: &str = "/run/e2e-soak";

/// Processes that hold the device, which is always in the list.
fn holders(shared: &Shared, bdf: Bdf, mut rng: Rng) -> Result<Done> {
    let at = spot(&sysfs::config_map(bdf)?)?;
    let mut done = Done::default();
    while shared.goes_on() {
        let mut holder = shared.act(|_| Holder::start(bdf))?;
        done.sessions += 1;
        for _ in 0..rng.below(12) {
            if !shared.goes_on() {
                break;
            }
            let choice = rng.below(8);
            let (op, times) = shared.act(|counts| {
                let (op, times) = match choice {
                    0 => {
                        let times = 1 + rng.below(4) as u64;
                        holder.read_in_children(times, at)?;
                        (Op::Read, times)
                    }
                    1 => {
                        let socket = Path::new(SOCKET);
                        let mut other = Holder::receiver(&holder::program()?, socket)?;
                        holder.pass(&mut other, socket)?;
                        holder.kill()?;
                        fs::remove_file(socket)?;
                        holder = other;
                        holder.read(at)?;
                        (Op::Read, 1)
                    }
                    2..5 => {
                        holder.write(at)?;
                        (Op::Write, 1)
                    }
                    _ => {
                        holder.read(at)?;
                        (Op::Read, 1)
                    }
                };
                Ok((op, if counts { times } else { 0 }))
            })?;
            (0..times).for_each(|_| done.truth.add(op, true, at..at + 4));
            shared.give_way();
        }
        shared.act(|_| holder.kill())?;
        shared.give_way();
    }
    Ok(done)
}
