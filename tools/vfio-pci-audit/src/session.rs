// SPDX-License-Identifier: GPL-2.0

//! Sessions on one device, and who held them.

use std::collections::VecDeque;

use crate::holder::Holder;
use crate::record::{Kind, Record, Totals};

/// The most holders that are told apart. A device that many virtual machines had one after the other, each with
/// a security context of its own, would have any number of them.
pub const MAX_HOLDERS: usize = 64;

/// Somebody who held a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Who; the process is that of the last session.
    pub holder: Holder,
    /// How many sessions.
    pub sessions: u64,
    /// How many accesses of theirs have a record.
    pub recorded: u64,
    /// When the first session began, in milliseconds since 1970.
    pub first: u64,
    /// The time of the last record.
    pub last: u64,
}

/// One session, as far as the log tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// Who held the device; nobody knows if its start is not in the log.
    pub holder: Option<Holder>,
    /// When the first record came, in milliseconds since 1970.
    pub first: u64,
    /// When the last one did.
    pub last: u64,
    /// How many accesses have a record in the log.
    pub recorded: u64,
    /// What the session says of itself at its end; nothing if that is not in the log.
    pub totals: Option<Totals>,
}

impl Session {
    /// Whether the log has its start and its end.
    pub fn is_complete(&self) -> bool {
        self.holder.is_some() && self.totals.is_some()
    }

    /// How many records of accesses are not in the log though they were written. Only a complete session can tell.
    pub fn missing(&self) -> u64 {
        match (&self.holder, self.totals) {
            (Some(_), Some(totals)) => totals.records.saturating_sub(self.recorded),
            _ => 0,
        }
    }
}

/// All sessions on one device.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    /// How many there are in the log, with or without their start or end.
    pub count: u64,
    /// How many have both.
    pub complete: u64,
    /// How many have an end.
    pub closed: u64,
    /// Records of accesses that complete sessions wrote and that the log does not have.
    pub missing: u64,
    /// What sessions said of themselves at their end, added up.
    pub totals: Totals,
    /// Who held them, the first first.
    pub holders: Vec<Held>,
    /// Sessions of holders beyond [`MAX_HOLDERS`].
    pub by_others: u64,
    recent: VecDeque<Session>,
    keep: usize,
    current: Option<Session>,
    /// The current session's place in `holders`.
    holding: Option<usize>,
}

impl Sessions {
    /// None yet. The last `keep` will be remembered one by one.
    pub fn new(keep: usize) -> Self {
        Self {
            keep,
            ..Self::default()
        }
    }

    /// The last sessions, the latest last. The one that may still be open is among them.
    pub fn recent(&self) -> impl Iterator<Item = &Session> {
        let room = self.keep - usize::from(self.current.is_some()).min(self.keep);
        let skip = self.recent.len().saturating_sub(room);
        let current = self.current.iter().take(self.keep);
        self.recent.iter().skip(skip).chain(current)
    }

    /// Whether the last session has no end in the log.
    pub fn is_open(&self) -> bool {
        self.current.is_some()
    }

    /// Take a record into account.
    pub fn add(&mut self, record: &Record<'_>) {
        match record.kind {
            Kind::Open => self.open(record),
            Kind::Close(totals) => self.close(record, totals),
            Kind::Access { .. } => {
                self.current(record.time).recorded += 1;
                if let Some(held) = self.holding.and_then(|at| self.holders.get_mut(at)) {
                    held.recorded += 1;
                    held.last = held.last.max(record.time);
                }
            }
            Kind::Suppressed { .. } | Kind::Touched { .. } => {
                self.current(record.time);
            }
        }
    }

    /// The session that a record of this time belongs to.
    fn current(&mut self, time: u64) -> &mut Session {
        let session = match self.current.take() {
            Some(session) => session,
            None => {
                self.count += 1;
                Session {
                    first: time,
                    ..Session::default()
                }
            }
        };
        let session = self.current.insert(session);
        session.last = session.last.max(time);
        session
    }

    fn open(&mut self, record: &Record<'_>) {
        // Where audit refused it at first, it comes after accesses. A second one is another session's, and the
        // end of the one before is not in the log.
        if self
            .current
            .as_ref()
            .is_some_and(|session| session.holder.is_some())
        {
            self.settle();
        }
        let holder = Holder::parse(record.text);
        let recorded = {
            let session = self.current(record.time);
            session.holder = Some(holder.clone());
            session.recorded
        };
        self.holding = self.hold(holder, record.time, recorded);
    }

    /// Find or make a holder's place.
    fn hold(&mut self, holder: Holder, time: u64, recorded: u64) -> Option<usize> {
        let same = |held: &Held| {
            let (a, b) = (&held.holder, &holder);
            (a.uid, a.auid, &a.comm, &a.exe, &a.subj) == (b.uid, b.auid, &b.comm, &b.exe, &b.subj)
        };
        if let Some(at) = self.holders.iter().position(same) {
            let held = &mut self.holders[at];
            held.sessions += 1;
            held.recorded += recorded;
            held.last = held.last.max(time);
            held.holder.pid = holder.pid;
            return Some(at);
        }
        if self.holders.len() == MAX_HOLDERS {
            self.by_others += 1;
            return None;
        }
        self.holders.push(Held {
            holder,
            sessions: 1,
            recorded,
            first: time,
            last: time,
        });
        Some(self.holders.len() - 1)
    }

    fn close(&mut self, record: &Record<'_>, totals: Totals) {
        self.current(record.time).totals = Some(totals);
        self.closed += 1;
        let sum = &mut self.totals;
        for (sum, more) in [
            (&mut sum.reads, totals.reads),
            (&mut sum.writes, totals.writes),
            (&mut sum.blocked_reads, totals.blocked_reads),
            (&mut sum.blocked_writes, totals.blocked_writes),
            (&mut sum.records, totals.records),
            (&mut sum.suppressed, totals.suppressed),
            (&mut sum.lost, totals.lost),
        ] {
            *sum = sum.saturating_add(more);
        }
        self.settle();
    }

    /// Nothing more will be heard of the current session.
    fn settle(&mut self) {
        self.holding = None;
        let Some(session) = self.current.take() else {
            return;
        };
        self.complete += u64::from(session.is_complete());
        self.missing = self.missing.saturating_add(session.missing());
        if self.keep > 0 {
            if self.recent.len() == self.keep {
                self.recent.pop_front();
            }
            self.recent.push_back(session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record;

    const DEVICE: &str = r#"device="0000:01:00.0""#;

    fn open(comm: &str, pid: u64) -> String {
        format!("{DEVICE} op=open pid={pid} uid=0 comm=\"{comm}\" exe=\"/x\" res=1")
    }

    fn access() -> String {
        format!("{DEVICE} op=read offset=0x40 size=1 res=1")
    }

    fn close(records: u64) -> String {
        format!("{DEVICE} op=close reads={records} writes=0 blocked_reads=0 blocked_writes=0 records={records} suppressed=0 lost=0 res=1")
    }

    fn sessions(keep: usize, texts: &[String]) -> Sessions {
        let mut sessions = Sessions::new(keep);
        for (number, text) in texts.iter().enumerate() {
            let line = format!("type=PCI msg=audit({number}.000:1): {text}");
            sessions.add(&record::parse(line.as_bytes()).unwrap().unwrap());
        }
        sessions
    }

    #[test]
    fn one_after_the_other() {
        let sessions = sessions(
            9,
            &[
                open("a", 1),
                access(),
                access(),
                close(2),
                open("a", 2),
                access(),
                close(3),
                open("b", 3),
                access(),
            ],
        );
        assert_eq!(
            (sessions.count, sessions.complete, sessions.closed),
            (3, 2, 2)
        );
        assert_eq!(sessions.missing, 2);
        assert!(sessions.is_open());
        let held: Vec<_> = sessions
            .holders
            .iter()
            .map(|h| {
                (
                    &*h.holder.comm,
                    h.holder.pid,
                    h.sessions,
                    h.recorded,
                    h.first,
                    h.last,
                )
            })
            .collect();
        assert_eq!(
            held,
            [
                ("a", Some(2), 2, 3, 0, 5000),
                ("b", Some(3), 1, 1, 7000, 8000)
            ]
        );
        assert_eq!(sessions.recent().count(), 3);
    }

    #[test]
    fn starts_and_ends_that_are_not_in_the_log() {
        // The end of one, all of one whose start was refused at first, the start of one, the start of another.
        let sessions = sessions(
            2,
            &[
                access(),
                close(9),
                access(),
                open("a", 1),
                close(1),
                open("a", 2),
                open("a", 3),
            ],
        );
        assert_eq!(
            (sessions.count, sessions.complete, sessions.closed),
            (4, 1, 2)
        );
        // It is not known how much of the first one is gone.
        assert_eq!(sessions.missing, 0);
        assert_eq!(sessions.holders[0].recorded, 1);
        let recent: Vec<_> = sessions
            .recent()
            .map(|s| (s.first, s.is_complete()))
            .collect();
        assert_eq!(recent, [(5000, false), (6000, false)]);
    }

    #[test]
    fn no_session_is_remembered_if_none_should_be() {
        let sessions = sessions(0, &[open("a", 1), close(0), open("a", 1)]);
        assert_eq!(sessions.recent().count(), 0);
        assert_eq!(sessions.count, 2);
    }

    #[test]
    fn holders_are_bounded() {
        let texts: Vec<_> = (0..=MAX_HOLDERS)
            .map(|n| open(&format!("h{n}"), 1))
            .collect();
        let sessions = sessions(1, &texts);
        assert_eq!(sessions.holders.len(), MAX_HOLDERS);
        assert_eq!(sessions.by_others, 1);
    }
}
