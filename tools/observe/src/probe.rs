// SPDX-License-Identifier: GPL-2.0

//! The BPF program in the kernel: how it is attached, and what it sends.

use std::cell::RefCell;
use std::fmt;
use std::mem::MaybeUninit;
use std::rc::Rc;
use std::time::Duration;

use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{
    set_print, Link, MapCore, MapFlags, OpenObject, PrintLevel, RingBuffer, RingBufferBuilder,
};

use crate::event::{Access, Dropped, Event};
use crate::observer::Source;

#[allow(
    missing_docs,
    unreachable_pub,
    unsafe_code,
    unsafe_op_in_unsafe_fn,
    clippy::all,
    clippy::undocumented_unsafe_blocks
)]
mod skeleton {
    include!(concat!(env!("OUT_DIR"), "/observe.skel.rs"));
}

use skeleton::{ObserveSkel, ObserveSkelBuilder};

const CONFIG_RW: &str = "vfio_pci_config_rw";
const CONFIG_FREE: &str = "vfio_config_free";

/// The counters of `bpf/event.h`.
const COUNT_DROPPED: u32 = 0;
const COUNT_UNATTENDED: u32 = 1;
const COUNT_CLOSED: u32 = 2;

/// How the program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By fentry, where the kernel has the module's type information, and shows it. The cheapest.
    Fentry,
    /// By kprobe, with the config map at this offset of `struct vfio_pci_core_device`.
    Kprobe(usize),
    /// By kprobe, on a kernel that does not say where the config map is.
    KprobeWithoutMap,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Fentry => "fentry",
            Mode::Kprobe(_) => "kprobe",
            Mode::KprobeWithoutMap => {
                "kprobe, with config maps worked out from configuration space"
            }
        })
    }
}

/// The program could not be attached.
#[derive(Debug, thiserror::Error)]
#[error("{mode}: {error}{}", because(.said))]
pub struct NotAttached {
    mode: Mode,
    error: libbpf_rs::Error,
    /// What libbpf said of it.
    said: Vec<String>,
}

fn because(said: &[String]) -> String {
    said.iter().map(|line| format!("\n    {line}")).collect()
}

/// What libbpf said last.
static SAID: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());

fn listen(_: PrintLevel, text: String) {
    /// The verifier says at the end what it does not like.
    const LAST: usize = 6;
    const MANY: usize = 24;

    let Ok(mut said) = SAID.lock() else {
        return;
    };
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines[lines.len().saturating_sub(LAST)..] {
        if said.len() < MANY {
            said.push((*line).to_owned());
        }
    }
}

/// The attached program. It is gone when this is dropped.
pub struct Probe {
    links: Vec<Link>,
    events_ring: RingBuffer<'static>,
    accesses_ring: RingBuffer<'static>,
    events: Rc<RefCell<Vec<Event>>>,
    accesses: Rc<RefCell<Vec<Access>>>,
    skeleton: ObserveSkel<'static>,
}

impl Probe {
    /// Loads the program, and attaches it.
    pub fn attach(mode: Mode) -> Result<Self, NotAttached> {
        set_print(Some((PrintLevel::Warn, listen)));
        if let Ok(mut said) = SAID.lock() {
            said.clear();
        }
        Self::try_attach(mode).map_err(|error| NotAttached {
            mode,
            error,
            said: SAID.lock().map(|said| said.clone()).unwrap_or_default(),
        })
    }

    fn try_attach(mode: Mode) -> libbpf_rs::Result<Self> {
        // It lives as long as the process: there is one of it, and two while fentry fails.
        let object: &'static mut MaybeUninit<OpenObject> =
            Box::leak(Box::new(MaybeUninit::uninit()));
        let mut open = ObserveSkelBuilder::default().open(object)?;
        let by_fentry = mode == Mode::Fentry;
        open.progs.rw_fentry.set_autoload(by_fentry);
        open.progs.free_fentry.set_autoload(by_fentry);
        open.progs.rw_kprobe.set_autoload(!by_fentry);
        open.progs.free_kprobe.set_autoload(!by_fentry);
        if let (Mode::Kprobe(offset), Some(rodata)) = (mode, &mut open.maps.rodata_data) {
            rodata.map_offset = offset as u32;
        }
        let skeleton = open.load()?;
        let (events, accesses) = (Rc::default(), Rc::default());
        let events_ring = ring(&skeleton.maps.events, &events, Event::parse)?;
        let accesses_ring = ring(&skeleton.maps.accesses, &accesses, Access::parse)?;
        let programs = &skeleton.progs;
        // Ends first: a session that is seen to begin is seen to end.
        let links = if by_fentry {
            vec![programs.free_fentry.attach()?, programs.rw_fentry.attach()?]
        } else {
            vec![
                programs.free_kprobe.attach_kprobe(false, CONFIG_FREE)?,
                programs.rw_kprobe.attach_kprobe(false, CONFIG_RW)?,
            ]
        };
        Ok(Self {
            links,
            events_ring,
            accesses_ring,
            events,
            accesses,
            skeleton,
        })
    }

    /// Sleeps until a session begins or ends, or a new process comes, or the time is over.
    pub fn wait(&self, time: Duration) {
        let result = self.events_ring.poll_raw(time);
        // Not even an error has this called again at once, unless it is a signal.
        if result < 0 && result != -libc::EINTR {
            std::thread::sleep(time);
        }
    }

    /// Detaches the program. What it sent is still there.
    pub fn detach(&mut self) {
        self.links.clear();
    }

    /// How many system calls no session could be made for.
    pub fn unattended(&self) -> u64 {
        self.counter(COUNT_UNATTENDED)
    }

    fn counter(&self, index: u32) -> u64 {
        let key = index.to_ne_bytes();
        let value = self.skeleton.maps.counters.lookup(&key, MapFlags::ANY);
        number(&value.ok().flatten().unwrap_or_default())
    }
}

/// A native number of 64 bits at the start of a value; 0 if there is none.
fn number(value: &[u8]) -> u64 {
    value.first_chunk().copied().map_or(0, u64::from_ne_bytes)
}

fn ring<T: 'static>(
    map: &impl MapCore,
    to: &Rc<RefCell<Vec<T>>>,
    parse: fn(&[u8]) -> Option<T>,
) -> libbpf_rs::Result<RingBuffer<'static>> {
    let to = Rc::clone(to);
    let mut builder = RingBufferBuilder::new();
    builder.add(map, move |bytes| {
        to.borrow_mut().extend(parse(bytes));
        0
    })?;
    builder.build()
}

impl Source for Probe {
    fn events(&mut self) -> Vec<Event> {
        let _ = self.events_ring.consume_raw();
        self.events.take()
    }

    fn accesses(&mut self, most: usize) -> Vec<Access> {
        let _ = self.accesses_ring.consume_raw_n(most);
        self.accesses.take()
    }

    fn dropped(&mut self) -> u64 {
        self.counter(COUNT_DROPPED)
    }

    fn dropped_ends(&mut self) -> u64 {
        self.counter(COUNT_CLOSED)
    }

    fn drops(&mut self) -> Vec<(Dropped, u64)> {
        let map = &self.skeleton.maps.drops;
        map.keys()
            .filter_map(|key| {
                let value = map.lookup(&key, MapFlags::ANY).ok().flatten()?;
                Some((Dropped::parse(&key), number(&value)))
            })
            .collect()
    }

    fn forget(&mut self, keys: &[Dropped]) {
        for key in keys {
            // It may never have been made.
            let _ = self.skeleton.maps.drops.delete(&key.key());
        }
    }

    fn open(&mut self) -> Vec<u64> {
        let map = &self.skeleton.maps.sessions;
        map.keys()
            .filter_map(|key| Some(number(&map.lookup(&key, MapFlags::ANY).ok().flatten()?)))
            .collect()
    }
}
