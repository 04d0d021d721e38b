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
use crate::holder::Holder;
use crate::record::{Kind, Op, Record, SessionField};
use crate::rows::Who;
use crate::scan::{Logs, Options, Scan};
use crate::vms::Vm;

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
pub struct Names {
    scan: Scan,
}

impl Names {
    /// Nothing is known.
    pub fn none() -> Self {
        Self {
            scan: Scan::default(),
        }
    }

    /// Those of a scan that remembers all sessions.
    pub fn new(scan: Scan) -> Self {
        Self { scan }
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
        let mut found: Option<(u64, Option<Vm>)> = None;
        for (node, bdf, device) in self.scan.tally.devices() {
            if bdf != event.device {
                continue;
            }
            let vms = self.scan.tally.vms(node);
            for session in device.sessions.recent() {
                let by = |holder: &Holder| holder.pid == event.pid;
                if session.number != event.session || !session.holders.iter().any(by) {
                    continue;
                }
                // Without a time, the last one in the log.
                let distance = wall.map_or(u64::MAX - session.first, |wall| {
                    wall.abs_diff(session.first)
                });
                if found
                    .as_ref()
                    .is_none_or(|(nearest, _)| distance <= *nearest)
                {
                    found = Some((distance, session.vm(vms, bdf)));
                }
            }
        }
        found?.1
    }

    /// By the process alone: libvirt's own records.
    fn process(&self, event: &Event, wall: Option<u64>) -> Option<Vm> {
        let pid = event.pid?;
        let mut nodes: Vec<_> = self.scan.tally.devices().map(|(node, ..)| node).collect();
        nodes.push(None);
        nodes.dedup();
        nodes
            .iter()
            .find_map(|node| self.scan.tally.vms(*node).of_process(pid, wall))
    }
}

/// The accesses of a ring.
pub fn of_ring(ring: &Ring, boot: Option<Boot>, names: &Names) -> Vec<Access> {
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

/// The accesses of audit logs, and what there is to complain of.
pub fn of_logs(logs: &Logs, options: &Options) -> (Vec<Access>, Scan) {
    let holders = holders(&logs.scan_all(options));
    let options = logs.chosen(options);
    let mut found = Vec::new();
    let scan = logs.scan(&options, &mut |record, boot| {
        found.extend(of_record(record, boot, &holders));
    });
    (found, scan)
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
