// SPDX-License-Identifier: GPL-2.0

use std::fmt;

use pci_audit::access::{Outcome, Range, CONFIG_SPACE_SIZE};
use pci_audit::record::{Access, Text};
use pci_audit::Session;
use pci_audit_core::session::record::{Record as Told, SessionRecord};
use proptest::prelude::*;

use super::*;

fn line(fields: &str) -> String {
    format!("type=PCI msg=audit(1747758000.123:456): {fields}")
}

#[test]
fn an_access() {
    let text = r#"device="0000:01:00.1" op=write offset=0x298 size=1 res=0"#;
    assert_eq!(
        parse(line(text).as_bytes()).unwrap().unwrap(),
        Record {
            node: None,
            boot: None,
            time: 1_747_758_000_123,
            serial: 456,
            device: "0000:01:00.1".parse().unwrap(),
            session: SessionField::Unsaid,
            res: Some(false),
            kind: Kind::Access {
                op: Op::Write,
                offset: 0x298,
                size: 1
            },
            text,
        }
    );
}

#[test]
fn sessions_have_numbers() {
    let session = |field: &str| {
        let text = format!("device=\"0000:01:00.1\" op=write offset=0x298 size=1{field} res=0");
        parse(line(&text).as_bytes()).map(|record| record.unwrap().session)
    };
    assert_eq!(session(""), Ok(SessionField::Unsaid));
    assert_eq!(session(" session=?"), Ok(SessionField::None));
    assert_eq!(session(" session=7"), Ok(SessionField::Number(7)));
    assert_eq!(
        session(" session=18446744073709551615"),
        Ok(SessionField::Number(u64::MAX))
    );
    for bad in ["", "-1", "0x7", "18446744073709551616", "??"] {
        let text = format!(" session={bad}");
        assert_eq!(session(&text), Err(Error::Value("session", bad.into())));
    }
    assert_eq!(
        session(" session=7 session=7"),
        Err(Error::Twice("session"))
    );
    // Other fields may come between: those of the task do.
    let text =
        r#"device="0000:01:00.1" op=open session=12 ppid=1 pid=7 ses=3 comm="q" exe="/q" res=1"#;
    let record = line(text);
    let record = parse(record.as_bytes()).unwrap().unwrap();
    assert_eq!(
        (record.kind, record.session),
        (Kind::Open, SessionField::Number(12))
    );
}

#[test]
fn other_lines_are_passed_over() {
    for line in [
        "",
        "----",
        "<no matches>",
        "time->Tue May 20 16:20:00 2025",
        "type=SYSCALL msg=audit(1.000:1): arch=c000003e",
        "node=host type=SYSCALL msg=audit(1.000:1): arch=c000003e",
        "type=UNKNOWN[1341] msg=audit(1.000:1): x",
        "type=PCIX msg=audit(1.000:1): x",
    ] {
        assert_eq!(parse(line.as_bytes()).unwrap(), None, "{line}");
    }
}

#[test]
fn a_node_an_older_daemon_and_one_that_interprets() {
    let line = "node=h.example type=UNKNOWN[1340] msg=audit(1.000:2): device=\"0000:00:02.0\" \
                op=read offset=0x40 size=4 res=1\u{1d}X=\"y z\"";
    let record = parse(line.as_bytes()).unwrap().unwrap();
    assert_eq!((record.time, record.serial), (1000, 2));
    assert_eq!(record.node, Some("h.example"));
    assert!(record.text.ends_with("res=1"));
}

#[test]
fn a_boot_has_an_identity_and_a_first_record() {
    let text = "audit(1.000:2): device=\"0000:00:02.0\" op=read offset=0x40 size=4 res=1";
    for (head, node, boot) in [
        ("node=h boot=c0ffee ", Some("h"), Some("c0ffee")),
        ("boot=c0ffee ", None, Some("c0ffee")),
        ("node=h ", Some("h"), None),
    ] {
        let line = format!("{head}type=PCI msg={text}");
        let record = parse(line.as_bytes()).unwrap().unwrap();
        assert_eq!((record.node, record.boot), (node, boot), "{head}");
    }
    for kind in ["KERNEL", "2000", "UNKNOWN[2000]"] {
        let line = |text: &str| format!("type={kind} msg=audit(1.000:1): {text}");
        let first = line("state=initialized audit_enabled=0 res=1");
        let boot = Event::Boot {
            node: None,
            boot: None,
            time: 1000,
        };
        assert_eq!(event(first.as_bytes()), Ok(Some(boot)));
        assert_eq!(event(line("state=other").as_bytes()), Ok(None));
    }
}

#[test]
fn broken_lines_say_why() {
    let device = r#"device="0000:01:00.0""#;
    for (text, why) in [
        ("hello".into(), "not an audit record"),
        ("type=PCI".into(), "not an audit record"),
        ("type=SYSC".into(), "not an audit record"),
        ("node=host".into(), "not an audit record"),
        ("type=PCI msg=audit(1.000:1".into(), "no audit("),
        (
            "type=PCI msg=audit(05/20/2025 16:20:00.123:1) : x=1".into(),
            "no audit(",
        ),
        (line(""), "no device="),
        (
            line("device=0000:01:00.0 op=open"),
            "invalid device=0000:01:00.0",
        ),
        (line("device=\"x\" op=open"), "invalid device=\"x\""),
        (
            line(&format!("{device} op=erase offset=0x40 size=1 res=1")),
            "invalid op=erase",
        ),
        (
            line(&format!("{device} op=read offset=40 size=1 res=1")),
            "invalid offset=40",
        ),
        (
            line(&format!("{device} op=read offset=0x+4 size=1 res=1")),
            "invalid offset=0x+4",
        ),
        (
            line(&format!("{device} op=read offset=0x40 size=x res=1")),
            "invalid size=x",
        ),
        (
            line(&format!("{device} op=read offset=0x40 size=0 res=1")),
            "invalid size=0",
        ),
        (
            line(&format!("{device} op=read offset=0xfff size=2 res=1")),
            "invalid size=2",
        ),
        (
            line(&format!("{device} op=read offset=0x40 size=1 res=2")),
            "invalid res=2",
        ),
        (
            line(&format!("{device} op=read offset=0x40 size=1")),
            "no res=",
        ),
        (
            line(&format!(
                "{device} op=read op=read offset=0x40 size=1 res=1"
            )),
            "duplicate op=",
        ),
        (
            line(&format!("{device} op=close reads=1 res=1")),
            "no writes=",
        ),
        (
            line(&format!(
                "{device} op=touched access=x offset=0x40 size=1 res=1"
            )),
            "invalid access=x",
        ),
    ] {
        let error = parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(why), "{text}: {error}");
    }
    assert_eq!(parse(b"type=PCI msg=audit(\xff"), Err(Error::NotText));
    for c in ["\x1b", "\0", "\u{9b}", "\u{202e}"] {
        let text = format!("device=\"0000:01:00.1\" op=open subj=a{c} res=1");
        assert_eq!(parse(line(&text).as_bytes()), Err(Error::NotText));
        let text = format!(
            "node=a{c} {}",
            line("device=\"0000:01:00.1\" op=open res=1")
        );
        assert_eq!(parse(text.as_bytes()), Err(Error::NotText));
    }
}

fn outcome() -> impl Strategy<Value = Outcome> {
    any::<bool>().prop_map(Outcome::from_allowed)
}

fn operation() -> impl Strategy<Value = Op> {
    prop_oneof![Just(Op::Read), Just(Op::Write)]
}

fn range() -> impl Strategy<Value = Range> {
    (0..CONFIG_SPACE_SIZE)
        .prop_flat_map(|offset| (Just(offset), 1..=CONFIG_SPACE_SIZE - offset))
        .prop_map(|(offset, size)| Range::new(offset, size, CONFIG_SPACE_SIZE).unwrap())
}

/// What the kernel writes behind `op=`.
#[derive(Clone, Copy, Debug)]
enum Written {
    Access(Access),
    Session(SessionRecord),
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Access(access) => access.fmt(f),
            Self::Session(record) => record.fmt(f),
        }
    }
}

impl Written {
    /// The text of the record.
    fn text(self) -> String {
        let device = "0000:81:00.7";
        Text { device, body: self }.to_string()
    }

    /// What has to be read of it.
    fn expected(&self) -> (Kind, SessionField, Option<bool>) {
        let of = |session: Session| match session.0 {
            Some(number) => SessionField::Number(number),
            None => SessionField::None,
        };
        let SessionRecord { session, record } = match *self {
            Self::Access(access) => {
                let kind = Kind::Access {
                    op: access.op,
                    offset: access.range.offset(),
                    size: access.range.size(),
                };
                let res = Some(access.outcome.is_allowed());
                return (kind, of(access.session), res);
            }
            Self::Session(record) => record,
        };
        let (kind, res) = match record {
            // The kernel appends the task's fields, and res=.
            Told::Open => (Kind::Open, None),
            Told::Close(totals) => (Kind::Close(totals), Some(true)),
            Told::Suppressed {
                op,
                outcome,
                count,
                lost,
                ranges,
            } => (
                Kind::Suppressed {
                    op,
                    count,
                    lost,
                    ranges: ranges.into(),
                },
                Some(outcome.is_allowed()),
            ),
            Told::Touched(op, at, outcome) => (
                Kind::Touched {
                    op,
                    offset: at.offset(),
                    size: at.size(),
                },
                Some(outcome.is_allowed()),
            ),
        };
        (kind, of(session), res)
    }
}

fn session() -> impl Strategy<Value = Session> {
    any::<Option<u64>>().prop_map(Session)
}

fn told() -> impl Strategy<Value = Told> {
    prop_oneof![
        (operation(), range(), outcome()).prop_map(|(op, at, res)| Told::Touched(op, at, res)),
        any::<[u64; 7]>().prop_map(|n| Told::Close(Totals {
            reads: n[0],
            writes: n[1],
            blocked_reads: n[2],
            blocked_writes: n[3],
            records: n[4],
            suppressed: n[5],
            lost: n[6],
        })),
        (
            operation(),
            outcome(),
            any::<u64>(),
            any::<u64>(),
            any::<u32>()
        )
            .prop_map(|(op, outcome, count, lost, ranges)| Told::Suppressed {
                op,
                outcome,
                count,
                lost,
                ranges
            }),
        Just(Told::Open),
    ]
}

fn written() -> impl Strategy<Value = Written> {
    prop_oneof![
        (operation(), range(), session(), outcome()).prop_map(|(op, range, session, outcome)| {
            Written::Access(Access {
                op,
                range,
                session,
                outcome,
            })
        }),
        (session(), told())
            .prop_map(|(session, record)| Written::Session(SessionRecord { session, record })),
    ]
}

proptest! {
    /// The kernel's own code writes, this reads.
    #[test]
    fn what_the_kernel_writes_is_read(record in written(), serial: u64, millis in 0u64..1 << 45) {
        let text = record.text();
        let line = format!("type=PCI msg=audit({}.{:03}:{serial}): {text}", millis / 1000, millis % 1000);
        let read = parse(line.as_bytes()).unwrap().unwrap();
        prop_assert_eq!((read.kind, read.session, read.res), record.expected());
        prop_assert_eq!((read.time, read.serial), (millis, serial));
        prop_assert_eq!(read.text, text);
    }

    /// A line that was cut off is an error, or the same record without what comes last.
    #[test]
    fn a_cut_is_no_other_record(record in written(), cut in 0usize..384) {
        let text = record.text();
        let whole = line(&text);
        let part = &whole.as_bytes()[..cut.min(whole.len() - 1)];
        if let Ok(Some(read)) = parse(part) {
            prop_assert_eq!(read.kind, record.expected().0, "{}", String::from_utf8_lossy(part));
        }
    }

    #[test]
    fn no_line_panics(line in "(node=x )?(type=PCI )?(msg=audit\\(1\\.000:1\\): \
                               )?(device=\"0000:01:00.0\" )?.{0,80}") {
        let _ = parse(line.as_bytes());
        let _ = crate::holder::Holder::parse(&line);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
        let _ = parse(&[b"type=PCI msg=audit(1.000:1): ", &bytes[..]].concat());
    }
}
