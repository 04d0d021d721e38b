// SPDX-License-Identifier: GPL-2.0

//! Accesses from wherever they are recorded: what the kernel keeps, a trace, and audit logs.

use std::collections::HashMap;
use std::ops::Range;

use pci_config::Bdf;

use super::event::Event;
use super::moment::{Boot, Moment};
use super::saved::Ring;
use crate::by_session::BySession;
use crate::export::holders;
use crate::record::{Kind, Op, Record, SessionField};
use crate::rows::Who;
use crate::scan::{Logs, Options, Scan};
use crate::vms::{Vm, Vms};

/// One access, or a range of those that have no record of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// When. Of a range, when it was reported.
    pub moment: Moment,
    /// The device.
    pub device: Bdf,
    /// What it did.
    pub op: Op,
    /// The bytes.
    pub range: Range<usize>,
    /// Its session.
    pub session: Option<u64>,
    /// Who made it.
    pub who: Who,
    /// Whether it reached the device.
    pub allowed: bool,
    /// Whether the moment is that of the access.
    pub exact: bool,
}

/// What audit logs tell, for the names of virtual machines.
#[derive(Default)]
pub struct Names<'a> {
    /// The virtual machines of each machine.
    vms: Vec<&'a Vms>,
    /// When each session with this number and process began, and which virtual machine it was of.
    sessions: HashMap<Session, Vec<(u64, Option<Vm>)>>,
}

/// A device, the number of a session and a process.
type Session = (Bdf, Option<u64>, Option<u64>);

impl<'a> Names<'a> {
    /// Those of a scan that remembers all sessions.
    pub fn new(scan: &'a Scan) -> Self {
        let mut names = Self::default();
        let mut nodes: Vec<_> = scan.tally.devices().map(|(node, ..)| node).collect();
        nodes.push(None);
        nodes.dedup();
        names.vms = nodes.iter().map(|node| scan.tally.vms(*node)).collect();
        for (node, bdf, device) in scan.tally.devices() {
            let vms = scan.tally.vms(node);
            for session in device.sessions.recent() {
                let mut pids: Vec<_> = session.holders.iter().map(|holder| holder.pid).collect();
                pids.sort_unstable();
                pids.dedup();
                for pid in pids {
                    let known = names.sessions.entry((bdf, session.number, pid));
                    known
                        .or_default()
                        .push((session.first, session.vm(vms, bdf)));
                }
            }
        }
        for known in names.sessions.values_mut() {
            known.sort_by_key(|(first, _)| *first);
        }
        names
    }

    /// Who made an access of a session and a process, around a time in milliseconds.
    pub fn of(&self, event: &Event, wall: Option<u64>) -> Who {
        let mut who = Who {
            program: Some(event.comm.clone()).filter(|comm| !comm.is_empty()),
            pid: event.pid,
            ..Who::default()
        };
        if let Some(vm) = self
            .session(event, wall)
            .or_else(|| self.process(event, wall))
        {
            who.vm = vm.name;
            who.uuid = vm.uuid;
        }
        who
    }

    /// By the session: that of the number and the process which is nearest in time.
    fn session(&self, event: &Event, wall: Option<u64>) -> Option<Vm> {
        let known = self
            .sessions
            .get(&(event.device, event.session, event.pid))?;
        // Without a time, the last one in the log.
        let wall = wall.unwrap_or(u64::MAX);
        let after = known.partition_point(|(first, _)| *first <= wall);
        let near = &known[after.saturating_sub(1)..known.len().min(after + 1)];
        let (_, vm) = near
            .iter()
            .rev()
            .min_by_key(|(first, _)| first.abs_diff(wall))?;
        vm.clone()
    }

    /// By the process alone: libvirt's own records.
    fn process(&self, event: &Event, wall: Option<u64>) -> Option<Vm> {
        let pid = event.pid?;
        self.vms.iter().find_map(|vms| vms.of_process(pid, wall))
    }
}

/// The accesses of a ring.
pub fn of_ring(ring: &Ring, boot: Option<Boot>, names: &Names<'_>) -> Vec<Access> {
    ring.events
        .iter()
        .map(|event| {
            let moment = Moment {
                boot,
                within: ring.skew,
                ..Moment::up(event.ns / 1000)
            }
            .booted_at(ring.booted);
            Access {
                moment,
                device: event.device,
                op: event.op,
                range: event.range(),
                session: event.session,
                who: names.of(event, moment.stamp().map(|stamp| stamp.0)),
                allowed: event.allowed,
                exact: true,
            }
        })
        .collect()
}

/// The accesses of audit logs, of which `all` was told by a scan that remembers all sessions.
pub fn of_logs(logs: &Logs, options: &Options, all: &Scan) -> Vec<Access> {
    let holders = holders(all);
    let mut found = Vec::new();
    logs.scan(options, &mut |record, boot| {
        found.extend(of_record(record, boot, &holders));
    });
    found
}

fn of_record(record: &Record<'_>, boot: u64, holders: &BySession<Who>) -> Option<Access> {
    let (op, offset, size, exact) = match record.kind {
        Kind::Access { op, offset, size } => (op, offset, size, true),
        Kind::Touched { op, offset, size } => (op, offset, size, false),
        _ => return None,
    };
    Some(Access {
        moment: Moment::milliseconds(record.time),
        device: record.device,
        op,
        range: offset..offset + size,
        session: match record.session {
            SessionField::Number(number) => Some(number),
            _ => None,
        },
        who: holders.of(record, boot).cloned().unwrap_or_default(),
        allowed: record.res?,
        exact,
    })
}

/// What accesses of a ring and of a log have in common.
type Key = (Bdf, bool, usize, usize, Option<u64>, bool);

fn key(access: &Access) -> Key {
    (
        access.device,
        access.op == Op::Write,
        access.range.start,
        access.range.end,
        access.session,
        access.allowed,
    )
}

/// Put accesses together: one that a ring and a log have counts once, as the ring has it.
pub fn join(ring: Vec<Access>, log: Vec<Access>) -> Vec<Access> {
    /// A record is made right after the event; a clock that was set since makes that uncertain.
    const CLOSE: u64 = 2_000_000;

    // The times of day; nothing stands for those that are not known.
    let mut known: HashMap<Key, Vec<Option<u64>>> = HashMap::new();
    for access in &ring {
        let walls = known.entry(key(access)).or_default();
        walls.push(access.moment.wall);
    }
    known.values_mut().for_each(|walls| walls.sort_unstable());
    let is_known = |access: &Access| {
        let Some(walls) = known.get(&key(access)) else {
            return false;
        };
        // Without a clock in common the number of the session has to do.
        let Some(wall) = access.moment.wall else {
            return true;
        };
        if walls.first() == Some(&None) {
            return true;
        }
        let from = walls.partition_point(|known| *known < Some(wall.saturating_sub(CLOSE)));
        let next = walls.get(from).copied().flatten();
        next.is_some_and(|next| next <= wall.saturating_add(CLOSE))
    };
    let mut all = ring;
    let new = log
        .into_iter()
        .filter(|access| !access.exact || access.session.is_none() || !is_known(access));
    all.extend(new);
    all
}

#[cfg(test)]
mod tests {
    use rustix::time::{clock_gettime, ClockId};
    use std::fs;

    use super::super::keeper::tests::event;
    use super::*;
    use crate::input::Source;
    use crate::scan::MANY;

    const START: u64 = 1_747_758_000_000;
    /// From the start of a session to that of the next, in milliseconds.
    const EACH: u64 = 1000;

    /// The log of sessions of a device, one after the other, each of a virtual machine of its own.
    fn scan(sessions: u64) -> Scan {
        let mut text = String::new();
        for number in 0..sessions {
            let at = START + number * EACH;
            let stamp = format!("audit({}.{:03}:{number}):", at / 1000, at % 1000);
            let pid = 5000 + number;
            text += &format!(
                "type=UNKNOWN[1340] msg={stamp} device=\"0000:01:00.0\" op=open session={number} \
                 ppid=1 pid={pid} subj=libvirt-00000000-0000-0000-0000-{number:012} \
                 comm=\"x\" res=1\n"
            );
        }
        let log = tempfile::NamedTempFile::new().unwrap();
        fs::write(log.path(), text).unwrap();
        let scan = Scan::read(&[Source::File(log.path().to_owned())], MANY);
        assert_eq!(scan.broken, 0, "{:?}", scan.named);
        scan
    }

    /// The ring of a machine that was booted when the log begins, with an access of each session.
    fn ring(sessions: u64) -> Ring {
        let of = |number| Event {
            device: "01:00.0".parse().unwrap(),
            session: Some(number),
            pid: Some(5000 + number),
            ..event((number * EACH + 10) * 1_000_000, 0x298)
        };
        Ring {
            events: (0..sessions).map(of).collect(),
            booted: Some(START * 1000),
            ..Ring::default()
        }
    }

    #[test]
    fn many_sessions_take_less_time_to_find_than_to_read() {
        const SESSIONS: u64 = 20_000;

        // Of the processor: other programs may get as much of the time that passes as they want.
        let time = || clock_gettime(ClockId::ThreadCPUTime);
        let start = time();
        let scan = scan(SESSIONS);
        let read = time() - start;
        let ring = ring(SESSIONS);
        let start = time();
        let accesses = of_ring(&ring, None, &Names::new(&scan));
        let found = time() - start;
        for (number, access) in accesses.iter().enumerate() {
            let uuid = format!("00000000-0000-0000-0000-{number:012}");
            assert_eq!(access.who.uuid, Some(uuid));
        }
        assert!(found < read, "read in {read:?}, found in {found:?}");
    }

    #[test]
    fn the_nearest_session_of_a_number_and_process_is_the_one() {
        let vm = |name: &str| {
            Some(Vm {
                name: Some(name.to_owned()),
                uuid: None,
            })
        };
        let event = event(0, 0x298);
        let known = vec![(1000, vm("a")), (2000, vm("b")), (9000, None)];
        let names = Names {
            sessions: [((event.device, event.session, event.pid), known)].into(),
            ..Names::default()
        };
        for (wall, name) in [
            (Some(0), vm("a")),
            (Some(1499), vm("a")),
            (Some(1501), vm("b")),
            (Some(5000), vm("b")),
            (Some(6000), None),
            (Some(9000), None),
            (None, None),
        ] {
            assert_eq!(names.session(&event, wall), name, "{wall:?}");
        }
    }
}
