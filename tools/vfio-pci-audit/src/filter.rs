// SPDX-License-Identifier: GPL-2.0

//! Which records are asked for.

use std::collections::HashSet;

use pci_config::Bdf;

use crate::record::{Kind, Op, Record, SessionField, Totals};

/// What is to be done with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It matches.
    Take,
    /// It does not match, but may name the holder of a session that has matching records.
    Context,
    /// It is irrelevant.
    Drop,
}

/// One session of one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Its number; nothing from kernels that give none.
    pub number: Option<u64>,
    /// In which boot of the machine it was.
    pub boot: u64,
    /// When it began, in milliseconds since 1970; that of sessions with a number does not matter.
    pub first: u64,
    /// When it ended.
    pub last: u64,
}

impl Key {
    /// What two records of one session agree upon.
    fn identity(&self) -> (Option<u64>, u64, u64, u64) {
        match self.number {
            Some(_) => (self.number, self.boot, 0, 0),
            None => (None, self.boot, self.first, self.last),
        }
    }
}

/// The sessions of virtual machines that are asked for.
#[derive(Clone, Debug, Default)]
pub struct Chosen {
    sessions: HashSet<(String, Bdf, Option<u64>, u64, u64, u64)>,
    /// Those without a number, which are told by time.
    spans: Vec<(String, Bdf, Key)>,
}

impl Chosen {
    /// Put a session in.
    pub fn add(&mut self, node: &str, bdf: Bdf, key: Key) {
        let (number, boot, first, last) = key.identity();
        let new = self
            .sessions
            .insert((node.to_owned(), bdf, number, boot, first, last));
        if new && number.is_none() {
            self.spans.push((node.to_owned(), bdf, key));
        }
    }

    fn has(&self, record: &Record<'_>, boot: u64) -> bool {
        let node = record.node.unwrap_or_default();
        match record.session {
            SessionField::None => false,
            SessionField::Number(number) => {
                self.sessions
                    .contains(&(node.to_owned(), record.device, Some(number), boot, 0, 0))
            }
            SessionField::Unsaid => self.spans.iter().any(|(of, bdf, key)| {
                of == node
                    && *bdf == record.device
                    && key.boot == boot
                    && (key.first..=key.last).contains(&record.time)
            }),
        }
    }
}

/// Which records are asked for.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Not those before, in milliseconds since 1970.
    pub since: Option<u64>,
    /// Not those after.
    pub until: Option<u64>,
    /// Only those of these devices, if any are named.
    pub devices: Vec<Bdf>,
    /// Only those of these machines.
    pub nodes: Vec<String>,
    /// Only those of these virtual machines, by name or UUID.
    pub vms: Vec<String>,
    /// Only accesses that were blocked.
    pub blocked: bool,
    /// Only accesses that did this.
    pub op: Option<Op>,
    /// The sessions of `vms`, once they are known.
    pub chosen: Option<Chosen>,
}

impl Filter {
    /// Whether nothing is left out.
    pub fn is_all(&self) -> bool {
        let Self {
            since,
            until,
            devices,
            nodes,
            vms,
            blocked,
            op,
            chosen,
        } = self;
        since.is_none()
            && until.is_none()
            && devices.is_empty()
            && nodes.is_empty()
            && vms.is_empty()
            && !blocked
            && op.is_none()
            && chosen.is_none()
    }

    /// Whether a record of a machine and device may matter at all.
    pub fn knows(&self, node: Option<&str>, bdf: Option<Bdf>) -> bool {
        let node = node.unwrap_or_default();
        let named = self.nodes.is_empty() || self.nodes.iter().any(|name| name == node);
        named && bdf.is_none_or(|bdf| self.devices.is_empty() || self.devices.contains(&bdf))
    }

    /// What is to be done with a record of a machine and device that matter.
    pub fn judge(&self, record: &Record<'_>, boot: u64) -> Verdict {
        if let Some(chosen) = &self.chosen {
            if !chosen.has(record, boot) {
                // An end of several sessions may be that of a chosen one, too.
                return match (record.kind, record.session) {
                    (Kind::Close(_), SessionField::None) => Verdict::Context,
                    _ => Verdict::Drop,
                };
            }
        }
        let within = self.since.is_none_or(|since| record.time >= since)
            && self.until.is_none_or(|until| record.time <= until);
        match within && self.asks_for(record) {
            true => Verdict::Take,
            false => Verdict::Context,
        }
    }

    fn asks_for(&self, record: &Record<'_>) -> bool {
        let any = !self.blocked && self.op.is_none();
        match record.kind {
            _ if any => true,
            Kind::Open => false,
            Kind::Close(totals) => self.has_some(&totals),
            _ => {
                let op = self.op.is_none_or(|op| record.kind.op() == Some(op));
                op && (!self.blocked || record.res == Some(false))
            }
        }
    }

    /// Whether a session's end tells of accesses that are asked for.
    fn has_some(&self, totals: &Totals) -> bool {
        let reads = match self.blocked {
            true => totals.blocked_reads,
            false => totals.reads,
        };
        let writes = match self.blocked {
            true => totals.blocked_writes,
            false => totals.writes,
        };
        match self.op {
            Some(Op::Read) => reads > 0,
            Some(Op::Write) => writes > 0,
            None => reads > 0 || writes > 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record;

    fn judge(filter: &Filter, text: &str) -> Verdict {
        let line = format!("type=PCI msg=audit(5.000:1): device=\"0000:01:00.0\" {text}");
        filter.judge(&record::parse(line.as_bytes()).unwrap().unwrap(), 0)
    }

    const READ: &str = "op=read offset=0x40 size=1 session=1 res=1";
    const WRITE: &str = "op=write offset=0x40 size=1 session=1 res=0";
    const OPEN: &str = "op=open session=1 pid=1 res=1";
    const CLOSE: &str = "op=close session=1 reads=1 writes=0 blocked_reads=0 blocked_writes=0 \
                         records=1 suppressed=0 lost=0 res=1";

    #[test]
    fn times() {
        for (since, until, verdict) in [
            (None, None, Verdict::Take),
            (Some(5000), Some(5000), Verdict::Take),
            (Some(5001), None, Verdict::Context),
            (None, Some(4999), Verdict::Context),
        ] {
            let filter = Filter {
                since,
                until,
                ..Filter::default()
            };
            assert_eq!(judge(&filter, READ), verdict);
            assert_eq!(judge(&filter, OPEN), verdict);
        }
    }

    #[test]
    fn operations_and_results() {
        let verdicts = |op, blocked| {
            let filter = Filter {
                op,
                blocked,
                ..Filter::default()
            };
            [READ, WRITE, OPEN, CLOSE].map(|text| judge(&filter, text))
        };
        use Verdict::{Context, Take};
        assert_eq!(verdicts(None, false), [Take; 4]);
        assert_eq!(
            verdicts(Some(Op::Read), false),
            [Take, Context, Context, Take]
        );
        assert_eq!(
            verdicts(Some(Op::Write), false),
            [Context, Take, Context, Context]
        );
        assert_eq!(verdicts(None, true), [Context, Take, Context, Context]);
        assert_eq!(verdicts(Some(Op::Read), true), [Context; 4]);
    }

    #[test]
    fn machines_and_devices() {
        let bdf: Bdf = "01:00.0".parse().unwrap();
        let filter = Filter {
            devices: vec![bdf],
            nodes: vec!["a".into()],
            ..Filter::default()
        };
        assert!(!filter.is_all());
        assert!(filter.knows(Some("a"), Some(bdf)) && filter.knows(Some("a"), None));
        assert!(!filter.knows(Some("b"), Some(bdf)) && !filter.knows(None, Some(bdf)));
        assert!(!filter.knows(Some("a"), "01:00.1".parse().ok()));
        assert!(Filter::default().knows(None, Some(bdf)));
    }

    #[test]
    fn sessions_that_were_chosen() {
        let bdf: Bdf = "01:00.0".parse().unwrap();
        let key = |number, first, last| Key {
            number,
            boot: 0,
            first,
            last,
        };
        let filter = |key| {
            let mut chosen = Chosen::default();
            chosen.add("", bdf, key);
            Filter {
                chosen: Some(chosen),
                ..Filter::default()
            }
        };
        let unsaid = READ.replace("session=1 ", "");
        let numbered = filter(key(Some(1), 0, 0));
        assert_eq!(judge(&numbered, READ), Verdict::Take);
        assert_eq!(
            judge(&numbered, &READ.replace("=1 res", "=2 res")),
            Verdict::Drop
        );
        assert_eq!(judge(&numbered, &unsaid), Verdict::Drop);
        assert_eq!(
            judge(&filter(key(None, 4000, 6000)), &unsaid),
            Verdict::Take
        );
        assert_eq!(
            judge(&filter(key(None, 6000, 7000)), &unsaid),
            Verdict::Drop
        );
    }
}
