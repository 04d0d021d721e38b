// SPDX-License-Identifier: GPL-2.0

//! What is known of sessions, by the records that belong to them.
//!
//! A number alone does not tell a session: a module that is loaded again in one boot counts anew,
//! and kernels of old give none. Audit numbers all events of a boot, so that a session has those
//! from its first to its last record.

use std::collections::HashMap;

use pci_config::Bdf;

use crate::record::{Record, SessionField};
use crate::session::Session;

/// Sessions that have the machine, the device, the boot and the number, if any, in common.
type Alike = (String, Bdf, u64, Option<u64>);

/// Audit's numbers of the first and of the last record of a session, and what is known of it.
type Known<T> = (u64, u64, T);

/// What is known of sessions, by the records that belong to them.
#[derive(Clone, Debug)]
pub struct BySession<T> {
    /// In the order of their first records.
    sessions: HashMap<Alike, Vec<Known<T>>>,
}

impl<T> Default for BySession<T> {
    fn default() -> Self {
        Self {
            sessions: HashMap::new(),
        }
    }
}

fn alike(node: Option<&str>, bdf: Bdf, boot: u64, number: Option<u64>) -> Alike {
    (node.unwrap_or_default().to_owned(), bdf, boot, number)
}

impl<T> BySession<T> {
    /// Note what is known of a session of which all records were read. The end of several sessions
    /// is none.
    pub fn add(&mut self, node: Option<&str>, bdf: Bdf, session: &Session, known: T) {
        if session.several {
            return;
        }
        let (first, last) = session.serials;
        let key = alike(node, bdf, session.boot, session.number);
        let all = self.sessions.entry(key).or_default();
        let at = all.partition_point(|(other, ..)| *other <= first);
        all.insert(at, (first, last, known));
    }

    /// What is known of the session that a record of a boot belongs to.
    pub fn of(&self, record: &Record<'_>, boot: u64) -> Option<&T> {
        let number = match record.session {
            SessionField::None => return None,
            SessionField::Number(number) => Some(number),
            SessionField::Unsaid => None,
        };
        self.find(
            &alike(record.node, record.device, boot, number),
            record.serial,
        )
    }

    /// What is known of a session of which some records were read again.
    pub fn of_session(&self, node: Option<&str>, bdf: Bdf, session: &Session) -> Option<&T> {
        if session.several {
            return None;
        }
        let key = alike(node, bdf, session.boot, session.number);
        self.find(&key, session.serials.0)
    }

    fn find(&self, key: &Alike, serial: u64) -> Option<&T> {
        let all = self.sessions.get(key)?;
        let begun = all.partition_point(|(first, ..)| *first <= serial);
        let (_, last, known) = all[..begun].last()?;
        (serial <= *last).then_some(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record;
    use crate::sessions::Sessions;

    /// Records of one device, told apart by audit's numbers.
    fn lines(session: &str) -> Vec<String> {
        [
            (1, "op=open pid=1 res=1"),
            (2, "op=read offset=0x40 size=1 res=1"),
            (
                3,
                "op=close reads=1 writes=0 blocked_reads=0 blocked_writes=0 records=1 \
                 suppressed=0 lost=0 res=1",
            ),
            (5, "op=open pid=2 res=1"),
            (6, "op=read offset=0x40 size=1 res=1"),
        ]
        .map(|(serial, text)| {
            format!("type=PCI msg=audit(5.000:{serial}): device=\"0000:01:00.0\"{session} {text}")
        })
        .into()
    }

    #[test]
    fn a_record_finds_its_session() {
        let bdf: Bdf = "01:00.0".parse().unwrap();
        for session in [" session=1", ""] {
            let mut sessions = Sessions::new(9);
            for line in lines(session) {
                sessions.add(&record::parse(line.as_bytes()).unwrap().unwrap(), 7, true);
            }
            let mut known = BySession::default();
            for session in sessions.recent() {
                known.add(None, bdf, session, session.holders[0].pid);
            }
            let find = |serial: u64, boot: u64, session: &str| {
                let line = format!(
                    "type=PCI msg=audit(5.000:{serial}): device=\"0000:01:00.0\"{session} \
                     op=read offset=0x40 size=1 res=1"
                );
                let record = record::parse(line.as_bytes()).unwrap().unwrap();
                known.of(&record, boot).copied().flatten()
            };
            let found: Vec<_> = (0..8).map(|serial| find(serial, 7, session)).collect();
            let (one, two) = (Some(1), Some(2));
            let expected = [None, one, one, one, None, two, two, None];
            assert_eq!(found, expected, "{session:?}");
            assert_eq!(find(2, 6, session), None);
            assert_eq!(find(2, 7, " session=2"), None);
            assert_eq!(find(2, 7, " session=?"), None);
            for (session, pid) in sessions.recent().into_iter().zip([one, two]) {
                assert_eq!(known.of_session(None, bdf, session), Some(&pid));
            }
        }
    }
}
