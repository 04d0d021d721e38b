// SPDX-License-Identifier: GPL-2.0

use std::collections::VecDeque;
use std::io;

use proptest::prelude::*;

use super::*;
use crate::event;

const SECOND: u64 = 1_000_000_000;
const DEVICE: &str = "0000:01:00.0";
const OTHER: &str = "0000:02:00.0";

/// Two rings and a map, in memory.
#[derive(Default)]
struct Rings {
    /// What one look at the ring of events gives.
    events: VecDeque<Vec<Event>>,
    accesses: Vec<Access>,
    dropped: u64,
    dropped_ends: u64,
    drops: BTreeMap<Dropped, u64>,
    open: Vec<u64>,
    forgotten: Vec<Dropped>,
}

impl Source for Rings {
    fn events(&mut self) -> Vec<Event> {
        self.events.pop_front().unwrap_or_default()
    }

    fn accesses(&mut self, most: usize) -> Vec<Access> {
        let most = most.min(self.accesses.len());
        self.accesses.drain(..most).collect()
    }

    fn dropped(&mut self) -> u64 {
        self.dropped
    }

    fn dropped_ends(&mut self) -> u64 {
        self.dropped_ends
    }

    fn drops(&mut self) -> Vec<(Dropped, u64)> {
        self.drops
            .iter()
            .map(|(key, count)| (*key, *count))
            .collect()
    }

    fn forget(&mut self, keys: &[Dropped]) {
        for key in keys {
            self.drops.remove(key);
            self.forgotten.push(*key);
        }
    }

    fn open(&mut self) -> Vec<u64> {
        self.open.clone()
    }
}

struct NoWorld;

impl World for NoWorld {
    fn map(&mut self, _: &str) -> Option<Vec<u8>> {
        None
    }

    fn fields(&mut self, process: Process, _: &Identity) -> Vec<u8> {
        format!(" pid={}", process.tgid).into_bytes()
    }
}

/// Records, and whether there is room for one more.
#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    full: bool,
}

impl Sink for Lines {
    fn write(&mut self, _: u64, text: &[u8]) -> io::Result<()> {
        if self.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.lines.push(String::from_utf8(text.to_vec()).unwrap());
        Ok(())
    }
}

const PROCESS: Process = Process {
    tgid: 7,
    started: 5,
    executed: 1,
};

/// Of 256 bytes, the header and eight more are assigned.
fn map() -> Vec<u8> {
    let mut map = vec![0xff; 256];
    map[..0x40].fill(0);
    map[0x80..0x88].fill(5);
    map
}

fn begins(session: u64, device: &str) -> Event {
    Event::Session(event::Session {
        session,
        device: device.into(),
        config_size: 256,
        map: Some(map()),
    })
}

fn comes(session: u64, process: Process) -> Event {
    Event::Process {
        session,
        process,
        identity: Identity::default(),
    }
}

fn access(session: u64, op: Op, offset: usize, size: usize) -> Access {
    Access {
        session,
        time: SECOND,
        process: PROCESS,
        offset,
        size,
        op,
    }
}

fn observer() -> Observer {
    Observer::new(Limits::new(1, 24), 6)
}

fn step(observer: &mut Observer, rings: &mut Rings, lines: &mut Lines, now: u64) {
    while observer.step(rings, &mut NoWorld, lines, now) {}
}

fn start(session: u64) -> Vec<Event> {
    vec![begins(session, DEVICE), comes(session, PROCESS)]
}

#[test]
fn a_session_is_told_from_open_to_close() {
    let (mut observer, mut rings, mut lines) = (observer(), Rings::default(), Lines::default());
    rings.events.push_back(start(3));
    rings.accesses = vec![
        access(3, Op::Read, 0x90, 4),
        // Three stretches, two of them runs.
        access(3, Op::Write, 0x7c, 16),
        // Assigned, and not inside configuration space.
        access(3, Op::Read, 0, 4),
        access(3, Op::Read, 0xfe, 4),
    ];
    step(&mut observer, &mut rings, &mut lines, SECOND);
    rings.events.push_back(vec![Event::Close(3)]);
    step(&mut observer, &mut rings, &mut lines, 2 * SECOND);
    let device = |text: &str| format!("device=\"{DEVICE}\" op={text}");
    assert_eq!(
        lines.lines,
        [
            device("open session=7 pid=7 res=1"),
            device("read offset=0x90 size=4 session=7 res=1"),
            device("write offset=0x7c size=4 session=7 res=1"),
            device("write offset=0x88 size=4 session=7 res=1"),
            device(
                "close session=7 reads=1 writes=2 blocked_reads=0 blocked_writes=0 records=3 \
                 suppressed=0 lost=0 res=1"
            ),
        ]
    );
    assert!(rings.forgotten.iter().all(|key| key.session == 3));
    assert_eq!(rings.forgotten.len(), 2);
    assert_eq!(observer.seen().accesses, 3);
}

#[test]
fn an_end_waits_for_accesses_that_a_full_batch_left_behind() {
    let (mut observer, mut rings, mut lines) = (observer(), Rings::default(), Lines::default());
    rings
        .events
        .push_back([start(1), vec![Event::Close(1)]].concat());
    rings.accesses = vec![access(1, Op::Read, 0x90, 4); BATCH + 5];
    step(&mut observer, &mut rings, &mut lines, SECOND);
    observer.finish(&mut rings, &mut NoWorld, &mut lines, SECOND);
    let close = lines.lines.last().unwrap();
    assert!(close.contains(&format!("reads={} ", BATCH + 5)), "{close}");
    assert_eq!(observer.seen().sessions, 1);
}

#[test]
fn an_end_that_comes_behind_the_accesses_waits_for_the_next_look() {
    let (mut observer, mut rings, mut lines) = (observer(), Rings::default(), Lines::default());
    // The second look at events finds the end of a session of which accesses came since.
    rings.events.push_back(start(1));
    rings.events.push_back(vec![Event::Close(1)]);
    rings.accesses = vec![access(1, Op::Read, 0x90, 4)];
    assert!(!observer.step(&mut rings, &mut NoWorld, &mut lines, SECOND));
    assert_eq!(lines.lines.len(), 2);
    rings.accesses = vec![access(1, Op::Read, 0x94, 4)];
    step(&mut observer, &mut rings, &mut lines, SECOND);
    assert!(lines.lines[3].contains(" reads=2 "), "{:?}", lines.lines);
}

#[test]
fn the_next_session_of_a_device_ends_the_one_before() {
    let (mut observer, mut rings, mut lines) = (observer(), Rings::default(), Lines::default());
    rings.events.push_back(
        [
            start(1),
            vec![Event::Close(1)],
            start(2),
            vec![begins(9, OTHER), comes(9, PROCESS)],
        ]
        .concat(),
    );
    rings.accesses = vec![
        access(1, Op::Read, 0x90, 4),
        access(2, Op::Read, 0x94, 4),
        access(9, Op::Write, 0x98, 4),
    ];
    step(&mut observer, &mut rings, &mut lines, SECOND);
    let of = |what: &str| {
        lines
            .lines
            .iter()
            .filter(|line| line.contains(what))
            .count()
    };
    assert_eq!(
        of("op=close session=7 reads=1 writes=0"),
        1,
        "{:?}",
        lines.lines
    );
    assert_eq!(of("offset=0x94 size=4 session=8"), 1);
    assert_eq!(of("offset=0x98 size=4 session=9"), 1);
    observer.finish(&mut rings, &mut NoWorld, &mut lines, SECOND);
    let of = |what: &str| {
        lines
            .lines
            .iter()
            .filter(|line| line.contains(what))
            .count()
    };
    assert_eq!(of("op=close session="), 3);
}

#[test]
fn what_was_dropped_is_counted_with_its_place() {
    let (mut observer, mut rings, mut lines) = (observer(), Rings::default(), Lines::default());
    rings.events.push_back(start(1));
    let key = |offset, size, write| Dropped {
        session: 1,
        offset,
        size,
        write,
    };
    rings.drops.insert(key(0x7c, 16, false), 10);
    rings.drops.insert(key(0, 0, true), 3);
    // Nothing unassigned.
    rings.drops.insert(key(0x80, 8, true), 50);
    rings.dropped = 63;
    step(&mut observer, &mut rings, &mut lines, SECOND);
    // Only what is new.
    *rings.drops.get_mut(&key(0x7c, 16, false)).unwrap() += 1;
    rings.dropped = 64;
    rings.events.push_back(vec![Event::Close(1)]);
    step(&mut observer, &mut rings, &mut lines, 2 * SECOND);
    observer.finish(&mut rings, &mut NoWorld, &mut lines, 3 * SECOND);
    let text = lines.lines.join("\n");
    for part in [
        "op=suppressed access=read session=7 count=0 lost=22 ranges=2",
        "op=touched access=read offset=0x7c size=4 session=7",
        "op=touched access=read offset=0x88 size=4 session=7",
        "op=suppressed access=write session=7 count=0 lost=3 ranges=1",
        "op=touched access=write offset=0x0 size=256 session=7",
        "op=close session=7 reads=22 writes=3 blocked_reads=0 blocked_writes=0 records=0 \
         suppressed=0 lost=25",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    assert_eq!(observer.seen().dropped, 25);
    assert!(rings.drops.is_empty(), "{:?}", rings.drops);
}

#[test]
fn an_end_that_was_dropped_is_missed() {
    let (mut observer, mut rings, mut lines) = (observer(), Rings::default(), Lines::default());
    let both = [start(1), vec![begins(2, OTHER), comes(2, PROCESS)]].concat();
    rings.events.push_back(both);
    rings.accesses = vec![access(1, Op::Read, 0x90, 4), access(2, Op::Read, 0x90, 4)];
    rings.open = vec![2];
    step(&mut observer, &mut rings, &mut lines, SECOND);
    assert_eq!(lines.lines.len(), 4);
    rings.dropped_ends = 1;
    step(&mut observer, &mut rings, &mut lines, SECOND);
    assert_eq!(lines.lines.len(), 5);
    assert!(
        lines.lines[4].contains("op=close session=7 "),
        "{}",
        lines.lines[4]
    );
}

#[test]
fn accesses_wait_for_what_they_refer_to() {
    let (mut observer, mut rings, mut lines) = (observer(), Rings::default(), Lines::default());
    rings.accesses = vec![access(1, Op::Read, 0x90, 4), access(1, Op::Read, 0x94, 4)];
    step(&mut observer, &mut rings, &mut lines, SECOND);
    // The session is there, and who holds it is not.
    rings
        .events
        .push_back(vec![begins(1, DEVICE), Event::Close(1)]);
    step(&mut observer, &mut rings, &mut lines, 2 * SECOND);
    assert!(lines.lines.is_empty(), "{:?}", lines.lines);
    rings.events.push_back(vec![comes(1, PROCESS)]);
    step(&mut observer, &mut rings, &mut lines, 2 * SECOND);
    assert_eq!(lines.lines.len(), 4, "{:?}", lines.lines);
    assert!(
        lines.lines[3].contains(" reads=2 writes=0 "),
        "{:?}",
        lines.lines
    );
    assert_eq!(observer.seen().unattended, 0);
}

#[test]
fn at_the_end_nothing_waits_and_nothing_stays_behind() {
    let (mut observer, mut rings, mut lines) = (observer(), Rings::default(), Lines::default());
    rings.events.push_back(start(1));
    // Its process is not known: all others wait behind it.
    let stranger = Process { tgid: 8, ..PROCESS };
    rings.accesses = vec![access(1, Op::Read, 0x90, 4); 2 * BATCH + 5];
    rings.accesses[0].process = stranger;
    step(&mut observer, &mut rings, &mut lines, SECOND);
    assert_eq!(observer.seen().accesses, 0);
    assert!(observer.finish(&mut rings, &mut NoWorld, &mut lines, SECOND));
    assert_eq!(observer.seen().accesses, 2 * BATCH as u64 + 5);
    let close = lines.lines.last().unwrap();
    assert!(
        close.contains(&format!(" reads={} ", 2 * BATCH + 5)),
        "{close}"
    );
}

#[test]
fn accesses_of_nothing_known_are_counted_apart() {
    let (mut observer, mut rings, mut lines) = (observer(), Rings::default(), Lines::default());
    rings.accesses = vec![access(1, Op::Read, 0x90, 4)];
    step(&mut observer, &mut rings, &mut lines, SECOND);
    assert_eq!(observer.seen().unattended, 0);
    step(&mut observer, &mut rings, &mut lines, 3 * SECOND);
    assert_eq!(observer.seen().unattended, 1);
    // A process that was not introduced: its accesses are counted.
    rings.events.push_back(vec![begins(2, DEVICE)]);
    rings.accesses = vec![access(2, Op::Read, 0x90, 4)];
    step(&mut observer, &mut rings, &mut lines, 4 * SECOND);
    observer.finish(&mut rings, &mut NoWorld, &mut lines, 4 * SECOND);
    assert_eq!(observer.seen().unattended, 1);
    let close = lines.lines.last().unwrap();
    assert!(close.contains(" records=0 suppressed=0 lost=1 "), "{close}");
}

#[test]
fn what_could_not_be_written_is_written_later() {
    let (mut observer, mut rings, mut lines) = (observer(), Rings::default(), Lines::default());
    rings.events.push_back(start(1));
    rings.accesses = vec![access(1, Op::Read, 0x90, 4); 3];
    lines.full = true;
    step(&mut observer, &mut rings, &mut lines, SECOND);
    step(&mut observer, &mut rings, &mut lines, 5 * SECOND);
    assert!(lines.lines.is_empty());
    lines.full = false;
    rings.events.push_back(vec![Event::Close(1)]);
    step(&mut observer, &mut rings, &mut lines, 60 * SECOND);
    let text = lines.lines.join("\n");
    assert!(
        text.contains("op=suppressed access=read session=7 count=0 lost=3 ranges=1"),
        "{text}"
    );
    assert!(text.contains("op=close session=7 reads=3 "), "{text}");
}

#[test]
fn without_a_map_all_but_the_header_counts() {
    let (mut observer, mut rings, mut lines) = (observer(), Rings::default(), Lines::default());
    let Event::Session(mut session) = begins(1, DEVICE) else {
        unreachable!()
    };
    session.map = None;
    rings
        .events
        .push_back(vec![Event::Session(session), comes(1, PROCESS)]);
    rings.accesses = vec![access(1, Op::Read, 0x3c, 8), access(1, Op::Read, 0x80, 4)];
    step(&mut observer, &mut rings, &mut lines, SECOND);
    assert!(
        lines.lines[1].contains("offset=0x40 size=4 "),
        "{:?}",
        lines.lines
    );
    assert!(
        lines.lines[2].contains("offset=0x80 size=4 "),
        "{:?}",
        lines.lines
    );
}

/// The runs of a map, byte by byte.
fn slow_runs(map: &[u8], offset: usize, size: usize) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    if offset + size > map.len() {
        return runs;
    }
    for (at, id) in map.iter().enumerate().skip(offset).take(size) {
        match runs.last_mut() {
            _ if *id != 0xff => {}
            Some((start, size)) if *start + *size == at => *size += 1,
            _ => runs.push((at, 1)),
        }
    }
    runs
}

proptest! {
    #[test]
    fn every_access_is_accounted_for(
        map in proptest::collection::vec(prop_oneof![Just(0xffu8), Just(5u8)], 256),
        calls in proptest::collection::vec((0usize..260, 1usize..40, any::<bool>()), 1..200),
    ) {
        let (mut observer, mut rings, mut lines) = (observer(), Rings::default(), Lines::default());
        rings.events.push_back(vec![
            Event::Session(event::Session {
                session: 1,
                device: DEVICE.into(),
                config_size: 256,
                map: Some(map.clone()),
            }),
            comes(1, PROCESS),
        ]);
        let mut expected = [0u64; 2];
        for (offset, size, write) in calls {
            let op = if write { Op::Write } else { Op::Read };
            rings.accesses.push(access(1, op, offset, size));
            expected[usize::from(write)] += slow_runs(&map, offset, size).len() as u64;
        }
        step(&mut observer, &mut rings, &mut lines, SECOND);
        prop_assert!(observer.finish(&mut rings, &mut NoWorld, &mut lines, SECOND));
        let [reads, writes] = expected;
        prop_assert_eq!(observer.seen().accesses, reads + writes);
        if reads + writes > 0 {
            let totals = format!(" reads={reads} writes={writes} ");
            prop_assert!(lines.lines.last().unwrap().contains(&totals), "{:?}", lines.lines.last());
        }
    }
}
