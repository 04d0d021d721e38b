// SPDX-License-Identifier: GPL-2.0

//! All sessions on one device, whatever order their records come in.
//!
//! Records carry the number of their session, so that an end which comes after the next tenant's
//! start is still booked where it belongs. Records without a number are booked as they come:
//! sessions follow each other.
//!
//! Where a session ends before the log has the end of the one before, the kernel makes one end of
//! both, which has `session=?`. It is told as what it is, and the sessions that it may be of are
//! over.

use std::collections::{BTreeMap, VecDeque};

use crate::holder::Holder;
use crate::record::{Kind, Record, SessionField, Totals};
use crate::session::Session;

/// The most holders that are told apart. A device that many virtual machines had one after the
/// other would have any number of them.
pub const MAX_HELD: usize = 64;

/// The most sessions of a device that more records are expected for. Records overtake each other by
/// no more than audit's queue holds.
const MAX_LIVE: usize = 64;

/// Who held a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The process.
    pub holder: Holder,
    /// How many sessions.
    pub sessions: u64,
    /// How many accesses of those sessions have a record.
    pub recorded: u64,
    /// When the first session began, in milliseconds since 1970.
    pub first: u64,
    /// The time of the last record.
    pub last: u64,
    /// In which boot of the machine.
    pub(crate) boot: u64,
}

/// What is known of all sessions together.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How many there are in the log, with or without their start or end.
    pub count: u64,
    /// How many have both.
    pub complete: u64,
    /// How many have an end.
    pub closed: u64,
    /// How many ends there are that are each of several sessions.
    pub several: u64,
    /// Records of accesses that complete sessions wrote and that the log does not have.
    pub missing: u64,
    /// What sessions said of themselves at their end, added up.
    pub totals: Totals,
    /// Who held them, the first first.
    pub holders: Vec<Held>,
    /// Sessions of holders beyond [`MAX_HELD`].
    pub by_others: u64,
}

impl Summary {
    fn add(&mut self, session: &Session) {
        if let (true, Some(totals)) = (session.several, session.totals) {
            self.several += 1;
            self.add_totals(totals);
            return;
        }
        self.count += 1;
        self.complete += u64::from(session.is_complete());
        self.closed += u64::from(session.is_closed());
        self.missing = self.missing.saturating_add(session.missing());
        if let Some(totals) = session.totals {
            self.add_totals(totals);
        }
        for holder in &session.holders {
            self.hold(holder, session);
        }
        self.by_others = self.by_others.saturating_add(session.more_holders);
    }

    fn add_totals(&mut self, totals: Totals) {
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
    }

    fn hold(&mut self, holder: &Holder, session: &Session) {
        let same = |held: &&mut Held| held.boot == session.boot && held.holder.is_same(holder);
        if let Some(held) = self.holders.iter_mut().find(same) {
            held.sessions += 1;
            held.recorded = held.recorded.saturating_add(session.recorded);
            held.first = held.first.min(session.first);
            held.last = held.last.max(session.last);
        } else if self.holders.len() == MAX_HELD {
            self.by_others = self.by_others.saturating_add(1);
        } else {
            self.holders.push(Held {
                holder: holder.clone(),
                sessions: 1,
                recorded: session.recorded,
                first: session.first,
                last: session.last,
                boot: session.boot,
            });
        }
    }
}

/// All sessions on one device.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    settled: Summary,
    /// Sessions that may get more records.
    live: VecDeque<Session>,
    /// The last sessions that cannot get more records.
    recent: VecDeque<Session>,
    /// For each of the last boots, audit's number of the last end of several sessions.
    several: BTreeMap<u64, u64>,
    keep: usize,
    with_places: bool,
}

impl Sessions {
    /// An empty list, which remembers the last `keep` sessions one by one.
    pub fn new(keep: usize) -> Self {
        Self {
            keep,
            ..Self::default()
        }
    }

    /// The same, with the places that each session accessed.
    pub fn with_places(keep: usize) -> Self {
        Self {
            with_places: true,
            ..Self::new(keep)
        }
    }

    /// What is known of all of them together.
    pub fn summary(&self) -> Summary {
        let mut all = self.settled.clone();
        for session in self.live.iter().filter(|session| session.taken) {
            all.add(session);
        }
        all
    }

    /// The last sessions in the order of their starts. Those that may still be open are among them.
    pub fn recent(&self) -> Vec<&Session> {
        let live = self.live.iter().filter(|session| session.taken);
        let mut all: Vec<&Session> = self.recent.iter().chain(live).collect();
        all.sort_by_key(|session| session.first);
        all.split_off(all.len().saturating_sub(self.keep))
    }

    /// Whether the session that began last has no end in the log.
    pub fn is_open(&self) -> bool {
        let live = self.live.iter().filter(|session| session.taken);
        let last = live.max_by_key(|session| session.first);
        last.is_some_and(|session| !session.is_closed() && !self.ended_with_others(session))
    }

    /// Whether the end of a session is a part of that of several: it has none of its own, and
    /// nothing was heard of it after such an end.
    pub fn ended_with_others(&self, session: &Session) -> bool {
        let several = self.several.get(&session.boot);
        session.number.is_some()
            && !session.is_closed()
            && several.is_some_and(|end| *end > session.serials.1)
    }

    /// The session that a record belongs to which was just added, while it is open.
    pub fn of(&self, record: &Record<'_>, boot: u64) -> Option<&Session> {
        match record.session {
            SessionField::None => None,
            SessionField::Number(number) => {
                let at = self.with_number(number, record.serial, boot)?;
                self.live.get(at)
            }
            SessionField::Unsaid => {
                let mut live = self.live.iter().rev();
                live.find(|session| session.boot == boot && session.number.is_none())
            }
        }
    }

    /// Take a record into account that comes from the given boot of the machine. One that is not
    /// `taken` only tells of the session that others belong to.
    pub fn add(&mut self, record: &Record<'_>, boot: u64, taken: bool) {
        let at = match record.session {
            SessionField::None => {
                if let Kind::Close(totals) = record.kind {
                    self.end_several(record, totals, boot, taken);
                }
                return;
            }
            SessionField::Number(number) => self.numbered(number, record, boot),
            SessionField::Unsaid => self.following(record, boot),
        };
        let session = &mut self.live[at];
        session.at(record.time, record.serial);
        session.taken |= taken;
        session.partial |= !taken;
        if self.with_places && taken {
            session.places.get_or_insert_default().add(record);
        }
        match record.kind {
            Kind::Open => session.hold(Holder::parse(record.text)),
            Kind::Close(totals) => {
                session.totals = Some(totals);
                session.end = Some(record.serial);
                if session.number.is_none() {
                    self.settle(at);
                }
            }
            Kind::Access { .. } => session.recorded += u64::from(taken),
            Kind::Suppressed { .. } | Kind::Touched { .. } => {}
        }
    }

    /// The place of the session that has a number: of several, the last that had begun by an event
    /// of audit's number `serial`.
    fn with_number(&self, number: u64, serial: u64, boot: u64) -> Option<usize> {
        let mut first = None;
        for (at, session) in self.live.iter().enumerate().rev() {
            if session.boot == boot && session.number == Some(number) {
                if session.serials.0 <= serial {
                    return Some(at);
                }
                first = Some(at);
            }
        }
        first
    }

    /// The place of the session that a record with a number belongs to.
    fn numbered(&mut self, number: u64, record: &Record<'_>, boot: u64) -> usize {
        match self.with_number(number, record.serial, boot) {
            Some(at) if !begins_anew(&self.live[at], record) => at,
            _ => self.push(Session::new(Some(number), record, boot)),
        }
    }

    /// The place of the session that a record without a number belongs to.
    fn following(&mut self, record: &Record<'_>, boot: u64) -> usize {
        let current = self
            .live
            .iter()
            .rposition(|session| session.number.is_none());
        if let Some(at) = current {
            let session = &self.live[at];
            // Where audit refused it at first, op=open comes after accesses. A second one is
            // another session's, and the end of the one before is not in the log.
            let second = record.kind == Kind::Open && !session.holders.is_empty();
            if session.boot == boot && !second {
                return at;
            }
            self.settle(at);
        }
        self.push(Session::new(None, record, boot))
    }

    /// Take an end of several sessions into account.
    fn end_several(&mut self, record: &Record<'_>, totals: Totals, boot: u64, taken: bool) {
        let end = self.several.entry(boot).or_default();
        *end = record.serial.max(*end);
        if self.several.len() > MAX_LIVE {
            self.several.pop_first();
        }
        let at = self.push(Session::several(totals, record, boot, taken));
        self.settle(at);
    }

    fn push(&mut self, session: Session) -> usize {
        if self.live.len() == MAX_LIVE {
            let is_over = |live: &Session| live.is_closed() || self.ended_with_others(live);
            let over = self.live.iter().position(is_over);
            self.settle(over.unwrap_or(0));
        }
        self.live.push_back(session);
        self.live.len() - 1
    }

    /// Settle a session, which cannot get more records.
    fn settle(&mut self, at: usize) {
        let Some(session) = self.live.remove(at).filter(|session| session.taken) else {
            return;
        };
        self.settled.add(&session);
        if self.keep > 0 {
            if self.recent.len() == self.keep {
                self.recent.pop_front();
            }
            self.recent.push_back(session);
        }
    }
}

/// Whether a record is of a later session that has the same number: the module was loaded again,
/// and counts anew.
fn begins_anew(session: &Session, record: &Record<'_>) -> bool {
    let after = session
        .end
        .is_some_and(|end| record.serial > end && record.time >= session.last);
    after && matches!(record.kind, Kind::Open | Kind::Close(_))
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;
