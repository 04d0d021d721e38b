// SPDX-License-Identifier: GPL-2.0

//! Keeps the last accesses for the next boot.
//!
//! When the kernel's command line reserves memory by the name of `pci_audit`, every traced access
//! is written there before it reaches the device, whether or not auditing is on. Whatever then
//! brings the host down, the next boot finds it: `/sys/kernel/debug/pci_audit/last_boot`. The ring
//! buffer of the kernel's own tracing outlives a boot, too, and costs an access nearly twice as
//! much; what it has cannot be read before the ids of events are known, and is not written back
//! from the caches of CPUs that a reset empties.

use crate::{
    access::{
        Op,
        Outcome,
        Range,
        CONFIG_SPACE_SIZE, //
    },
    bindings::keep::{
        self,
        Memory,
        Probe,
        Registration,
        Seen, //
    },
    kept::{
        Choice,
        Head,
        Kept,
        Line,
        Slot,
        LINE,
        RINGS,
        WORDS, //
    },
};
use kernel::{
    debugfs::{
        BinaryWriter,
        Dir,
        File, //
    },
    fs::file,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
    uaccess::UserSliceWriter,
};

/// The name of the memory.
const NAME: &CStr = c"pci_audit";

fn read(line: &Memory) -> Line {
    core::array::from_fn(|word| line[word].load(Relaxed))
}

/// The line at a word of memory that has room for it.
#[inline]
fn line(memory: &Memory, at: usize) -> Option<&[Atomic<u64>; WORDS]> {
    memory.get(at..)?.first_chunk()
}

/// Writes a line so that it is not taken for one before it is whole.
#[inline]
fn write(to: &[Atomic<u64>; WORDS], line: &Line) {
    keep::store(&to[0], 0);
    keep::write_barrier();
    for word in 1..WORDS {
        keep::store(&to[word], line[word]);
    }
    keep::write_barrier();
    keep::store(&to[0], line[0]);
    keep::write_back(to);
}

/// A half of the memory: a head, and rings of accesses.
#[derive(Clone, Copy)]
struct Half(&'static Memory);

impl Half {
    fn head(self) -> Option<Head> {
        Head::from_line(&read(&self.0[..WORDS]))
    }

    /// Lines of a ring.
    fn capacity(self) -> usize {
        (self.0.len() / WORDS).saturating_sub(1) / RINGS
    }

    /// The rings.
    fn rings(self) -> [&'static Memory; RINGS] {
        let words = self.capacity() * WORDS;
        core::array::from_fn(|ring| &self.0[WORDS + ring * words..][..words])
    }

    /// Forgets all accesses, and begins with a head.
    fn begin(self, head: Head) {
        for word in self.0 {
            keep::store(word, 0);
        }
        keep::write_back(self.0);
        if let Some(first) = line(self.0, 0) {
            write(first, &head.to_line());
        }
    }
}

/// The number of the last access of a ring; 0 if it is empty.
fn last_number(ring: &Memory) -> u64 {
    let lines = ring.chunks_exact(WORDS);
    let number = |line| match Slot::from_line(&read(line)) {
        Slot::Kept(number, _) => number,
        Slot::Empty | Slot::Damaged => 0,
    };
    lines.map(number).max().unwrap_or(0)
}

/// The half as it is in memory, a line at a time: it may change while it is read.
impl BinaryWriter for Half {
    fn write_to_slice(
        &self,
        writer: &mut UserSliceWriter,
        offset: &mut file::Offset,
    ) -> Result<usize> {
        let mut written = 0;

        while let Ok(at) = usize::try_from(*offset) {
            let Some(line) = self.0.chunks_exact(WORDS).nth(at / LINE) else {
                break;
            };
            let mut bytes = [0; LINE];
            for (bytes, word) in bytes.chunks_exact_mut(size_of::<u64>()).zip(read(line)) {
                bytes.copy_from_slice(&word.to_ne_bytes());
            }
            let mut within = (at % LINE) as file::Offset;
            let more = writer.write_slice_file(&bytes, &mut within)?;
            if more == 0 {
                break;
            }
            *offset += more as file::Offset;
            written += more;
        }
        Ok(written)
    }
}

/// A ring, and the number of its next access.
struct Ring {
    lines: &'static Memory,
    next: Atomic<u64>,
}

/// Writes accesses into rings.
struct Keeper {
    rings: [Ring; RINGS],
    /// How many lines each has, at least one.
    capacity: u64,
}

impl Probe for Keeper {
    #[inline]
    fn seen(&self, seen: &Seen) {
        let Ok(range) = Range::new(seen.offset as usize, seen.size as usize, CONFIG_SPACE_SIZE)
        else {
            return;
        };
        let kept = Kept {
            log_ns: seen.log_ns,
            real_ns: seen.real_ns,
            domain: seen.domain,
            bus: seen.bus,
            devfn: seen.devfn,
            op: if seen.write { Op::Write } else { Op::Read },
            range,
            outcome: Outcome::from_allowed(seen.allowed),
            session: seen.session,
            pid: seen.pid,
            comm: seen.comm,
        };
        let ring = &self.rings[kept.ring()];
        let number = ring.next.fetch_add(1, Relaxed);
        let at = (number % self.capacity) as usize * WORDS;

        if let Some(line) = line(ring.lines, at) {
            write(line, &kept.to_line(number));
        }
    }
}

/// Keeps accesses for as long as it lives.
pub(crate) struct Keeping {
    // Dropped first.
    _registration: Registration<Keeper>,
    _files: [Option<Pin<KBox<File<Half>>>>; 2],
    _dir: Dir,
}

impl Keeping {
    /// Begins to keep accesses. `None` if no memory is reserved. May sleep.
    pub(crate) fn new() -> Result<Option<Self>> {
        let Some(memory) = keep::reserved(NAME).filter(|_| keep::is_wanted()) else {
            return Ok(None);
        };
        let words = memory.len() / (2 * WORDS) * WORDS;
        let halves = [Half(&memory[..words]), Half(&memory[words..2 * words])];
        let capacity = halves[0].capacity();
        if capacity == 0 {
            return Err(EINVAL);
        }
        let choice = Choice::new(halves.map(Half::head), keep::boot_token());
        let half = halves[choice.half];
        let last = halves[1 - choice.half];

        if !choice.goes_on {
            half.begin(choice.head);
        }
        let keeper = Arc::new(
            Keeper {
                rings: half.rings().map(|lines| Ring {
                    lines,
                    next: Atomic::new(last_number(lines) + 1),
                }),
                capacity: capacity as u64,
            },
            GFP_KERNEL,
        )?;
        let registration = Registration::new(keeper)?;
        let dir = Dir::new(NAME);
        let file = |name, half| KBox::pin_init(dir.read_binary_file(name, half), GFP_KERNEL);
        let files = [
            Some(file(c"this_boot", half)?),
            choice.last.then(|| file(c"last_boot", last)).transpose()?,
        ];

        pr_info!(
            "keeping the last {} accesses for the next boot\n",
            RINGS * capacity
        );
        Ok(Some(Self {
            _registration: registration,
            _files: files,
            _dir: dir,
        }))
    }
}
