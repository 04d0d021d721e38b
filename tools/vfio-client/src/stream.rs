// SPDX-License-Identifier: GPL-2.0

//! Random accesses from several threads, reproducible by a seed.

use std::thread;

pub use pci_audit_core::access::Op;

use crate::{ConfigMap, Device, Digest, Error, Rng};

/// The kinds of accesses in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mix {
    /// Reads and writes, half of each.
    Both,
    /// Reads only.
    Reads,
    /// Writes only.
    Writes,
}

/// A stream of accesses.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// The number of system calls of all threads.
    pub count: u64,
    /// The number of threads.
    pub threads: u64,
    /// Reads, writes or both.
    pub mix: Mix,
    /// Maximum number of bytes per system call.
    pub max_size: usize,
    /// Access only unassigned bytes.
    pub unassigned_only: bool,
    /// Allow writes to assigned bytes, which may reset or suspend the device.
    pub write_assigned: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            seed: 1,
            count: 1000,
            threads: 1,
            mix: Mix::Both,
            max_size: 64,
            unassigned_only: false,
            write_assigned: false,
        }
    }
}

/// One system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The operation.
    pub op: Op,
    /// The first byte.
    pub offset: usize,
    /// The number of bytes.
    pub size: usize,
}

/// The accesses of one thread, or of all threads.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// System calls that read.
    pub reads: u64,
    /// System calls that wrote.
    pub writes: u64,
    /// Unassigned runs that were read: accesses, in the kernel's terms.
    pub read_runs: u64,
    /// Unassigned runs that were written.
    pub write_runs: u64,
    /// Bytes that were read.
    pub bytes_read: u64,
    /// Bytes that were written.
    pub bytes_written: u64,
    /// A digest of everything that was read.
    pub digest: Digest,
    /// The unassigned bytes that were read.
    pub read_bytes: Touched,
    /// The unassigned bytes that were written.
    pub written_bytes: Touched,
}

/// A set of offsets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched(Vec<bool>);

impl Touched {
    /// Adds a range.
    pub fn add(&mut self, range: std::ops::Range<usize>) {
        if self.0.len() < range.end {
            self.0.resize(range.end, false);
        }
        self.0[range].fill(true);
    }

    /// Adds another set.
    pub fn merge(&mut self, other: &Self) {
        other.iter().for_each(|offset| self.add(offset..offset + 1));
    }

    /// Whether an offset is in the set.
    pub fn contains(&self, offset: usize) -> bool {
        self.0.get(offset).copied().unwrap_or(false)
    }

    /// The offsets, in order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.0.len()).filter(|offset| self.0[*offset])
    }

    /// The first offset that is in this set and not in `other`.
    pub fn missing_from(&self, other: &Self) -> Option<usize> {
        self.iter().find(|offset| !other.contains(*offset))
    }
}

impl Totals {
    /// Counts an access.
    pub fn count(&mut self, access: Access, map: &ConfigMap) {
        let runs = map.runs(access.offset..access.offset + access.size);
        let (calls, accesses, bytes, touched) = match access.op {
            Op::Read => (
                &mut self.reads,
                &mut self.read_runs,
                &mut self.bytes_read,
                &mut self.read_bytes,
            ),
            Op::Write => (
                &mut self.writes,
                &mut self.write_runs,
                &mut self.bytes_written,
                &mut self.written_bytes,
            ),
        };
        *calls += 1;
        *accesses += runs.len() as u64;
        *bytes += access.size as u64;
        runs.into_iter().for_each(|run| touched.add(run));
    }

    /// Adds the totals of another thread.
    pub fn merge(&mut self, other: &Self) {
        self.reads += other.reads;
        self.writes += other.writes;
        self.read_runs += other.read_runs;
        self.write_runs += other.write_runs;
        self.bytes_read += other.bytes_read;
        self.bytes_written += other.bytes_written;
        self.digest.add(other.digest.to_string().as_bytes());
        self.read_bytes.merge(&other.read_bytes);
        self.written_bytes.merge(&other.written_bytes);
    }

    /// The totals as JSON, without the sets.
    pub fn json(&self) -> String {
        format!(
            "{{\"reads\":{},\"writes\":{},\"read_runs\":{},\"write_runs\":{},\
             \"bytes_read\":{},\"bytes_written\":{},\"digest\":\"{}\"}}",
            self.reads,
            self.writes,
            self.read_runs,
            self.write_runs,
            self.bytes_read,
            self.bytes_written,
            self.digest
        )
    }
}

/// The accesses of one thread of a plan: an endless sequence that depends only on the config map.
pub struct Generator {
    rng: Rng,
    plan: Plan,
    size: usize,
    runs: Vec<std::ops::Range<usize>>,
}

impl Generator {
    /// Creates the generator of thread number `thread`.
    pub fn new(plan: &Plan, thread: u64, map: &ConfigMap) -> Self {
        Self {
            rng: Rng::new(plan.seed, thread),
            plan: plan.clone(),
            size: map.size(),
            runs: map.all_runs(),
        }
    }

    /// The next access, or `None` if no byte may be accessed.
    pub fn access(&mut self) -> Option<Access> {
        let op = match self.plan.mix {
            Mix::Reads => Op::Read,
            Mix::Writes => Op::Write,
            Mix::Both if self.rng.next() & 1 == 0 => Op::Read,
            Mix::Both => Op::Write,
        };
        let confined = self.plan.unassigned_only || (op == Op::Write && !self.plan.write_assigned);
        let within = match (confined, self.runs.len()) {
            (true, 0) => return None,
            (true, runs) => self.runs[self.rng.below(runs)].clone(),
            (false, _) => 0..self.size,
        };
        let size = 1 + self.rng.below(self.plan.max_size.clamp(1, within.len()));
        let offset = within.start + self.rng.below(within.len() - size + 1);
        Some(Access { op, offset, size })
    }

    /// Makes an access. Writes random bytes.
    pub fn perform(
        &mut self,
        device: &Device,
        access: Access,
        buffer: &mut Vec<u8>,
    ) -> Result<(), Error> {
        buffer.resize(access.size, 0);
        match access.op {
            Op::Read => device.read(access.offset as u64, buffer),
            Op::Write => {
                self.rng.fill(buffer);
                device.write(access.offset as u64, buffer)
            }
        }
    }
}

/// Runs a plan. Returns the totals of each thread.
pub fn run(device: &Device, plan: &Plan) -> Result<Vec<Totals>, Error> {
    let threads = plan.threads.max(1);
    thread::scope(|scope| {
        let started: Vec<_> = (0..threads)
            .map(|number| {
                let share = plan.count / threads + u64::from(number < plan.count % threads);
                scope.spawn(move || run_thread(device, plan, number, share))
            })
            .collect();
        started
            .into_iter()
            .map(|thread| match thread.join() {
                Ok(totals) => totals,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    })
}

fn run_thread(device: &Device, plan: &Plan, number: u64, count: u64) -> Result<Totals, Error> {
    let mut generator = Generator::new(plan, number, device.map());
    let mut totals = Totals::default();
    let mut buffer = Vec::with_capacity(plan.max_size);
    for _ in 0..count {
        let Some(access) = generator.access() else {
            break;
        };
        generator.perform(device, access, &mut buffer)?;
        totals.count(access, device.map());
        if access.op == Op::Read {
            totals.digest.add(&buffer);
        }
    }
    Ok(totals)
}

/// The sum of all threads.
pub fn sum(threads: &[Totals]) -> Totals {
    threads.iter().fold(Totals::default(), |mut sum, totals| {
        sum.merge(totals);
        sum
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map() -> ConfigMap {
        let mut owners = vec![0xff; 4096];
        owners[..0x48].fill(0);
        owners[0x80..0xc1].fill(1);
        ConfigMap::from_owners(owners)
    }

    proptest! {
        #[test]
        fn accesses_stay_where_they_may(
            seed: u64,
            max_size in 1usize..=4096,
            mix in prop_oneof![Just(Mix::Both), Just(Mix::Reads), Just(Mix::Writes)],
            unassigned_only: bool,
            write_assigned: bool,
        ) {
            let map = map();
            let plan = Plan {
                seed,
                mix,
                max_size,
                unassigned_only,
                write_assigned,
                ..Plan::default()
            };
            let mut generator = Generator::new(&plan, 3, &map);
            for _ in 0..64 {
                let access = generator.access().unwrap();
                let range = access.offset..access.offset + access.size;
                prop_assert!((1..=max_size).contains(&access.size));
                prop_assert!(range.end <= map.size());
                match access.op {
                    Op::Read => prop_assert!(mix != Mix::Writes),
                    Op::Write => prop_assert!(mix != Mix::Reads),
                }
                if unassigned_only || (access.op == Op::Write && !write_assigned) {
                    prop_assert_eq!(map.runs(range.clone()), vec![range]);
                }
            }
        }
    }

    #[test]
    fn nothing_to_touch_is_no_access() {
        let map = ConfigMap::from_owners(vec![0; 256]);
        let plan = Plan {
            unassigned_only: true,
            ..Plan::default()
        };
        assert_eq!(Generator::new(&plan, 0, &map).access(), None);
    }

    #[test]
    fn counts_runs_not_calls() {
        let mut totals = Totals::default();
        totals.count(
            Access {
                op: Op::Read,
                offset: 0,
                size: 4096,
            },
            &map(),
        );
        totals.count(
            Access {
                op: Op::Write,
                offset: 0x7f,
                size: 2,
            },
            &map(),
        );
        totals.count(
            Access {
                op: Op::Read,
                offset: 0,
                size: 4,
            },
            &map(),
        );
        assert_eq!((totals.reads, totals.read_runs), (2, 2));
        assert_eq!((totals.writes, totals.write_runs), (1, 1));
        assert_eq!(totals.written_bytes.iter().collect::<Vec<_>>(), [0x7f]);
        assert_eq!(
            totals.read_bytes.missing_from(&totals.written_bytes),
            Some(0x48)
        );
        assert_eq!(totals.written_bytes.missing_from(&totals.read_bytes), None);
    }
}
