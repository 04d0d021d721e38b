// SPDX-License-Identifier: GPL-2.0

//! Which records are asked for.

use pci_config::Bdf;

use crate::by_session::BySession;
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
    pub chosen: Option<BySession<()>>,
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
            if chosen.of(record, boot).is_none() {
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
    use crate::sessions::Sessions;

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
        let line = |serial: u64, session: &str| {
            let text = READ.replace("session=1 ", session);
            format!("type=PCI msg=audit(5.000:{serial}): device=\"0000:01:00.0\" {text}")
        };
        let chosen = |lines: &[String]| {
            let mut chosen = BySession::default();
            let mut sessions = Sessions::new(1);
            for line in lines {
                sessions.add(&record::parse(line.as_bytes()).unwrap().unwrap(), 0, true);
            }
            let bdf: Bdf = "01:00.0".parse().unwrap();
            chosen.add(None, bdf, sessions.recent()[0], ());
            Filter {
                chosen: Some(chosen),
                ..Filter::default()
            }
        };
        let judge = |filter: &Filter, line: &str, boot: u64| {
            filter.judge(&record::parse(line.as_bytes()).unwrap().unwrap(), boot)
        };
        for (session, other) in [("session=1 ", "session=2 "), ("", "session=1 ")] {
            let filter = chosen(&[line(4, session), line(6, session)]);
            assert_eq!(judge(&filter, &line(5, session), 0), Verdict::Take);
            for (line, boot) in [
                (line(5, other), 0),
                (line(7, session), 0),
                (line(5, session), 1),
                (line(5, session).replace("01:00", "02:00"), 0),
                (format!("node=a {}", line(5, session)), 0),
            ] {
                assert_eq!(judge(&filter, &line, boot), Verdict::Drop, "{line}");
            }
        }
    }
}
