// SPDX-License-Identifier: GPL-2.0

//! What the kernel prints of a ring buffer: the file `trace` of an instance.
//!
//! An event is printed as its format says, or field by field where addresses differed in the boot
//! before: `op=0x0 (0) offset=0x2f8 (760) res=(1)`. Event ids are given when modules are loaded.
//! Before `pci_audit` is loaded its events are "Unknown type"; if another module got its id, they
//! are printed under the name of that one's event. In a buffer that has nothing but our events, a
//! line with another name is one of ours that was decoded wrongly.

use pci_config::{hex, Bdf};

use super::event::{Event, Raw, MAGIC, NAME};
use crate::record::number;

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// An access.
    Event(Event),
    /// A header, or an empty line.
    Nothing,
    /// So many events were overwritten, or at least one.
    Lost(u64),
    /// An event of which the kernel does not know the format, by its id.
    Unknown(u64),
    /// An event of this name, which cannot be in the buffer.
    Other(String),
    /// An event of ours with invalid values, or no line of such a file.
    Bad(String),
}

/// Read a line.
pub fn line(line: &str) -> Line {
    let line = line.trim_end();
    let text = line.trim_start();
    if text.is_empty() || text.starts_with('#') {
        return Line::Nothing;
    }
    if let Some(lost) = lost(text) {
        return Line::Lost(lost);
    }
    let ours = format!(": {NAME}:");
    if let Some((before, values)) = line.split_once(&ours) {
        let event = match values.strip_prefix(" magic=") {
            Some(fields) => by_field(before, fields),
            None => decoded(before, values),
        };
        return event.map_or_else(Line::Bad, Line::Event);
    }
    if let Some((_, id)) = line.split_once(": Unknown type ") {
        return number(id.trim()).map_or(Line::Bad("no event".to_owned()), Line::Unknown);
    }
    match other(line) {
        Some(name) => Line::Other(name.to_owned()),
        None => Line::Bad("not a line of a trace".to_owned()),
    }
}

/// `CPU:0 [LOST 12 EVENTS]`
fn lost(text: &str) -> Option<u64> {
    let (cpu, rest) = text.strip_prefix("CPU:")?.split_once(" [LOST ")?;
    number(cpu)?;
    let count = rest.strip_suffix("EVENTS]")?.trim();
    match count {
        "" => Some(1),
        count => number(count),
    }
}

/// The name of an event: what is behind the time.
fn other(line: &str) -> Option<&str> {
    let mut from = 0;
    while let Some(at) = line[from..].find(": ") {
        let at = from + at;
        if time(&line[..at]).is_some() {
            let name = line[at + 2..].split([':', ' ']).next()?;
            return (!name.is_empty()).then_some(name);
        }
        from = at + 2;
    }
    None
}

/// The time at the end of what is before an event, in nanoseconds.
fn time(before: &str) -> Option<u64> {
    let word = before.rsplit([' ', '\t']).next()?;
    let (seconds, fraction) = word.split_once('.')?;
    if fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let scale = 10u64.pow(9 - fraction.len() as u32);
    let seconds = number(seconds)?.checked_mul(1_000_000_000)?;
    seconds.checked_add(number(fraction)? * scale)
}

/// The rest of a text behind a key that has to come next.
fn after<'a>(text: &'a str, key: &str) -> Result<&'a str, String> {
    text.strip_prefix(key)
        .ok_or_else(|| format!("no{key}", key = key.trim_end_matches(['=', '"'])))
}

/// A value up to a key that has to come next, and what is behind that.
fn value<'a>(text: &'a str, next: &str) -> Result<(&'a str, &'a str), String> {
    text.split_once(next)
        .ok_or_else(|| format!("no{}", next.trim_end_matches(['=', '"'])))
}

fn digits(name: &str, text: &str) -> Result<u64, String> {
    number(text).ok_or_else(|| format!("invalid {name}={text}"))
}

/// `device="0000:01:00.1" op=write offset=0x298 size=1 session=7 pid=1502 comm="x" res=0`
///
/// The order is fixed, and what a process calls itself comes last but one: it cannot pass for
/// another field.
fn decoded(before: &str, text: &str) -> Result<Event, String> {
    let ns = time(before).ok_or("no time")?;
    let (device, text) = value(after(text, " device=\"")?, "\" op=")?;
    let device: Bdf = device
        .parse()
        .map_err(|_| format!("invalid device={device}"))?;
    let (op, text) = value(text, " offset=")?;
    let op = match op {
        "read" => 0,
        "write" => 1,
        other => return Err(format!("invalid op={other}")),
    };
    let (offset, text) = value(text, " size=")?;
    let offset = offset
        .strip_prefix("0x")
        .and_then(|digits| hex(digits, 8))
        .ok_or_else(|| format!("invalid offset={offset}"))?;
    let (size, text) = value(text, " session=")?;
    let (session, text) = value(text, " pid=")?;
    let (pid, text) = value(text, " comm=\"")?;
    let (comm, res) = text.rsplit_once("\" res=").ok_or("no res")?;
    Event::new(&Raw {
        ns,
        device,
        op,
        offset: offset.into(),
        size: digits("size", size)?,
        session: digits("session", session)?,
        pid: digits("pid", pid)?,
        comm,
        res: digits("res", res)?,
    })
}

/// The number of a field that is printed by itself: what is in the last parentheses.
fn plain(name: &str, text: &str) -> Result<u64, String> {
    let inner = text
        .rsplit_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'));
    digits(name, inner.unwrap_or(text))
}

/// Fields in the order of the event's layout, behind ` magic=`.
fn by_field(before: &str, text: &str) -> Result<Event, String> {
    let ns = time(before).ok_or("no time")?;
    let (magic, text) = value(text, " domain=")?;
    let magic = plain("magic", magic)?;
    if magic != u64::from(MAGIC) {
        return Err(format!(
            "a record of another event: it begins with {magic:#x}, not {MAGIC:#x}"
        ));
    }
    let (domain, text) = value(text, " bus=")?;
    let (bus, text) = value(text, " devfn=")?;
    let (devfn, text) = value(text, " res=")?;
    let (res, text) = value(text, " op=")?;
    let (op, text) = value(text, " offset=")?;
    let (offset, text) = value(text, " size=")?;
    let (size, text) = value(text, " session=")?;
    let (session, text) = value(text, " pid=")?;
    let (pid, comm) = value(text, " comm=")?;
    let byte = |name, text| {
        let number = plain(name, text)?;
        u8::try_from(number).map_err(|_| format!("invalid {name}={number}"))
    };
    let domain = plain("domain", domain)?;
    let domain = u32::try_from(domain).map_err(|_| format!("invalid domain={domain}"))?;
    let device = Bdf::new(domain, byte("bus", bus)?, byte("devfn", devfn)?);
    Event::new(&Raw {
        ns,
        device,
        op: plain("op", op)?,
        offset: plain("offset", offset)?,
        size: plain("size", size)?,
        session: plain("session", session)?,
        pid: plain("pid", pid)?,
        comm,
        res: plain("res", res)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Op;

    const BEFORE: &str = "           <...>-1502    [001] .....    19.004123: ";

    fn event() -> Event {
        Event {
            ns: 19_004_123_000,
            device: "0000:01:00.1".parse().unwrap(),
            op: Op::Write,
            offset: 0x298,
            size: 4,
            session: Some(7),
            pid: Some(1502),
            comm: "qemu-system-x86".into(),
            allowed: true,
        }
    }

    #[test]
    fn both_forms_are_the_same_event() {
        for text in [
            r#"pci_audit_access: device="0000:01:00.1" op=write offset=0x298 size=4 session=7 pid=1502 comm="qemu-system-x86" res=1"#,
            "pci_audit_access: magic=0x50434101 (1346584833) domain=0x0 (0) bus=(1) devfn=(1) \
             res=(1) op=0x1 (1) offset=0x298 (664) size=0x4 (4) session=0x7 (7) pid=0x5de (1502) \
             comm=qemu-system-x86",
            // A number that happens to be that of a letter, and one that happens to be an address.
            "pci_audit_access: magic=0x50434101 (1346584833) domain=0x0 (0) bus=(1) devfn=(1) \
             res=(1) op=0x1 (1) offset=0x298 (664) size=0x4 (4) session=some_symbol+0x7/0x10 (7) \
             pid=0x5de (1502) comm=qemu-system-x86",
        ] {
            assert_eq!(
                line(&format!("{BEFORE}{text}")),
                Line::Event(event()),
                "{text}"
            );
        }
        let device = "0000:28:05.1".parse().unwrap();
        let text = "pci_audit_access: magic=0x50434101 (1346584833) domain=0x0 (0) bus='('(40) \
                    devfn=')'(41) res=(1) op=0x1 (1) offset=0x298 (664) size=0x4 (4) session=0x7 \
                    (7) pid=0x5de (1502) comm=qemu-system-x86";
        assert_eq!(
            line(&format!("{BEFORE}{text}")),
            Line::Event(Event { device, ..event() })
        );
    }

    #[test]
    fn what_is_saved_is_read_again() {
        for event in [
            event(),
            Event {
                session: None,
                pid: None,
                op: Op::Read,
                allowed: false,
                comm: String::new(),
                ns: 7_000,
                ..event()
            },
        ] {
            assert_eq!(line(&event.to_string()), Line::Event(event.clone()));
        }
        let text = event().to_string().replace("qemu-system-x86", "a\x1bb");
        let shown = Event {
            comm: "a\\u{1b}b".into(),
            ..event()
        };
        assert_eq!(line(&text), Line::Event(shown.clone()));
        assert_eq!(line(&shown.to_string()), Line::Event(shown));
    }

    #[test]
    fn a_name_cannot_pass_for_a_field() {
        let text = format!(
            "{BEFORE}pci_audit_access: device=\"0000:01:00.1\" op=write \
             offset=0x298 size=4 session=7 pid=1502 comm=\"\" res=0 x=\"\" res=1"
        );
        let expected = Event {
            comm: "\" res=0 x=\"".into(),
            ..event()
        };
        assert_eq!(line(&text), Line::Event(expected));
    }

    #[test]
    fn what_was_decoded_wrongly_is_noticed() {
        // Our record under the format of another event, as Linux 7.3 printed it.
        for (text, name) in [
            ("kvm_exit: vcpu 5 reason EXTERNAL", "kvm_exit"),
            ("nvme_sq: nvme0: disk=(null), qid=1", "nvme_sq"),
            ("xhci_dbg_quirks: msg=<OVERFLOW>", "xhci_dbg_quirks"),
        ] {
            assert_eq!(
                line(&format!("{BEFORE}{text}")),
                Line::Other(name.to_owned())
            );
        }
        // Another event's record under our format.
        for text in [
            r#"device="6e65:74:00.0" op=0x2f offset=0x298 size=4 session=7 pid=1502 comm="x" res=1"#,
            r#"device="0000:01:00.1" op=write offset=0x1298 size=4 session=7 pid=1502 comm="x" res=1"#,
            r#"device="0000:01:00.1" op=write offset=0xffc size=5 session=7 pid=1502 comm="x" res=1"#,
            r#"device="0000:01:00.1" op=write offset=0xffc size=0 session=7 pid=1502 comm="x" res=1"#,
            r#"device="0000:01:00.1" op=write offset=0x298 size=4 session=7 pid=-5 comm="x" res=1"#,
            r#"device="0000:01:00.1" op=write offset=0x298 size=4 session=7 pid=1502 comm="x" res=77"#,
            "magic=0x6f6e6c79 (1869507705) domain=0x0 (0) bus=(1) devfn=(1) res=(1) op=0x1 (1) \
             offset=0x298 (664) size=0x4 (4) session=0x7 (7) pid=0x5de (1502) comm=x",
            "magic=0x50434101 (1346584833) domain=<OVERFLOW> bus=(1) devfn=(1) res=(1) op=0x1 (1) \
             offset=0x298 (664) size=0x4 (4) session=0x7 (7) pid=0x5de (1502) comm=x",
            "",
        ] {
            let found = line(&format!("{BEFORE}pci_audit_access: {text}"));
            assert!(matches!(found, Line::Bad(_)), "{text}: {found:?}");
        }
    }

    #[test]
    fn other_lines() {
        for (text, expected) in [
            ("# tracer: nop", Line::Nothing),
            ("", Line::Nothing),
            ("CPU:1 [LOST 12 EVENTS]", Line::Lost(12)),
            ("CPU:1 [LOST EVENTS]", Line::Lost(1)),
            (
                " <...>-85 [000] ..... 7.100000: Unknown type 1480",
                Line::Unknown(1480),
            ),
        ] {
            assert_eq!(line(text), expected, "{text}");
        }
        assert!(matches!(line("Nov 26 host kernel: hello"), Line::Bad(_)));
    }

    proptest::proptest! {
        #[test]
        fn no_line_panics(text in ".*", cut in 0usize..300) {
            line(&text);
            let whole = format!("{BEFORE}{}", event());
            let cut = whole.floor_char_boundary_at(cut);
            line(&format!("{}{text}", &whole[..cut]));
            line(&format!("{BEFORE}pci_audit_access: {text}"));
            line(&format!("{BEFORE}pci_audit_access: magic={text}"));
        }
    }

    trait Boundary {
        fn floor_char_boundary_at(&self, at: usize) -> usize;
    }

    impl Boundary for str {
        fn floor_char_boundary_at(&self, at: usize) -> usize {
            (0..=at.min(self.len()))
                .rev()
                .find(|at| self.is_char_boundary(*at))
                .unwrap_or(0)
        }
    }
}
