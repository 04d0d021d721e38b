// SPDX-License-Identifier: GPL-2.0

//! The log parser of `vfio-pci-audit` against the kernel's own formatter, and its tally against a
//! byte-by-byte one.

use std::collections::HashMap;

use pci_audit::access::{Op, Outcome, Range, CONFIG_SPACE_SIZE};
use pci_audit::record::{Access, Line, Text};
use pci_audit::Session;
use pci_audit_core::session::record::{Record as Told, SessionRecord};
use vfio_pci_audit::lines;
use vfio_pci_audit::log::{Item, LogReader};
use vfio_pci_audit::record::{self, Event, Holder, Kind, Record, SessionField};
use vfio_pci_audit::tally::Tally;
use vfio_pci_audit::time::Zone;
use vfio_pci_audit::Bdf;

/// What is known of accesses of one operation with one result to one device.
struct Model {
    recorded: u64,
    suppressed: u64,
    lost: u64,
    bytes: [bool; CONFIG_SPACE_SIZE],
}

type Key = (String, Bdf, bool, bool);

/// Writes a record as the kernel would have, up to the fields of the task.
fn write<'a>(
    line: &'a mut Line,
    device: &str,
    session: Session,
    kind: Kind,
    outcome: Outcome,
) -> &'a [u8] {
    let range = |offset, size| {
        Range::new(offset, size, CONFIG_SPACE_SIZE).expect("it lies in configuration space")
    };
    let record = match kind {
        Kind::Access { op, offset, size } => {
            let access = Access {
                op,
                range: range(offset, size),
                session,
                outcome,
            };
            access.append_with_device(line, device);
            return line.bytes();
        }
        Kind::Open => Told::Open,
        Kind::Close(totals) => Told::Close(totals),
        Kind::Suppressed {
            op,
            count,
            lost,
            ranges,
        } => Told::Suppressed {
            op,
            outcome,
            count,
            lost,
            ranges: ranges.try_into().unwrap_or(u32::MAX),
        },
        Kind::Touched { op, offset, size } => Told::Touched(op, range(offset, size), outcome),
    };
    line.format(&Text {
        device,
        body: SessionRecord { session, record },
    })
}

/// Formats a record as the kernel does, and reads that.
fn round_trip(record: &Record<'_>) {
    let outcome = Outcome::from_allowed(record.res.unwrap_or(true));
    let kind = match record.kind {
        // The kernel has no room for more.
        Kind::Suppressed { ranges, .. } if ranges > u32::MAX.into() => return,
        kind => kind,
    };
    // Kernels before sessions had numbers said nothing.
    let session = match record.session {
        SessionField::Number(number) => Session(Some(number)),
        SessionField::None | SessionField::Unsaid => Session::NONE,
    };
    let mut line = Line::new();
    let text = write(
        &mut line,
        &record.device.to_string(),
        session,
        kind,
        outcome,
    );
    let text = std::str::from_utf8(text).expect("it is ASCII");
    let line = format!("type=PCI msg=audit(1747758000.123:456): {text}");
    let again = record::parse(line.as_bytes())
        .expect("the kernel's words are understood")
        .expect("the record is of type PCI");
    assert_eq!((again.device, again.kind), (record.device, kind), "{line}");
    let number = session.0.map_or(SessionField::None, SessionField::Number);
    assert_eq!(again.session, number, "{line}");
    if kind != Kind::Open && !matches!(kind, Kind::Close(_)) {
        assert_eq!(again.res, Some(outcome.is_allowed()), "{line}");
    }
}

fn count(models: &mut HashMap<Key, Model>, record: &Record<'_>) {
    let (Some(op), Some(allowed)) = (record.kind.op(), record.res) else {
        return;
    };
    let node = record.node.unwrap_or_default().to_owned();
    let model = models
        .entry((node, record.device, op == Op::Write, allowed))
        .or_insert(Model {
            recorded: 0,
            suppressed: 0,
            lost: 0,
            bytes: [false; CONFIG_SPACE_SIZE],
        });
    match record.kind {
        Kind::Access { offset, size, .. } => {
            model.recorded += 1;
            model.bytes[offset..offset + size].fill(true);
        }
        Kind::Touched { offset, size, .. } => model.bytes[offset..offset + size].fill(true),
        Kind::Suppressed { count, lost, .. } => {
            model.suppressed = model.suppressed.saturating_add(count);
            model.lost = model.lost.saturating_add(lost);
        }
        Kind::Open | Kind::Close(_) => {}
    }
}

/// Takes `data` as an audit log.
///
/// # Panics
///
/// If lines are not those between newlines, if a record does not survive being formatted as the
/// kernel does, or if the tally has other counts or places than the model.
pub fn report_log(data: &[u8]) {
    let mut found = Vec::new();
    let number = lines::for_each(data, |_, line| match line {
        lines::Line::Whole(line) => found.push(line.to_vec()),
        lines::Line::TooLong(_) => found.push(b"(too long)".to_vec()),
    })
    .expect("memory can be read");
    let mut expected: Vec<_> = data
        .split(|&byte| byte == b'\n')
        .map(|line| match line.len() {
            ..=lines::LONGEST => line,
            _ => b"(too long)",
        })
        .collect();
    if expected.last().is_some_and(|line| line.is_empty()) {
        expected.pop();
    }
    assert_eq!(found, expected);
    assert_eq!(number, expected.len() as u64);

    unwrap(data);
    let mut tally = Tally::new(4);
    let mut models = HashMap::new();
    for line in &found {
        let Ok(Some(record)) = record::parse(line) else {
            continue;
        };
        Holder::parse(record.text);
        round_trip(&record);
        tally.add(&record);
        count(&mut models, &record);
    }
    compare(&tally, models);
}

/// Reads records out of whatever they are wrapped in.
fn unwrap(data: &[u8]) {
    let mut reader = LogReader::new(data, Zone::Utc.zone());
    let mut tally = Tally::new(4);
    loop {
        let more = reader.step(|_, item| match item {
            Item::Event(Event::Pci(record)) => {
                round_trip(&record);
                tally.add(&record);
            }
            Item::Event(Event::Virt(virt)) => tally.add_vm(&virt),
            Item::Event(Event::Boot { node, boot, .. }) => tally.boot(node, boot),
            Item::Boot(node) => tally.boot(node, None),
            _ => {}
        });
        if !more.expect("memory can be read") {
            break;
        }
    }
    for (node, bdf, device) in tally.devices() {
        for session in device.sessions.recent() {
            session.vm(tally.vms(node), bdf);
        }
    }
}

fn compare(tally: &Tally, mut models: HashMap<Key, Model>) {
    // What is beyond the devices that fit is left out, and then there is nothing to compare with.
    if tally.passed_over() > 0 {
        return;
    }
    for (node, bdf, device) in tally.devices() {
        for (op, allowed, cell) in device.cells() {
            let key = (
                node.unwrap_or_default().to_owned(),
                bdf,
                op == Op::Write,
                allowed,
            );
            let places = cell.places();
            let Some(model) = models.remove(&key) else {
                assert!(cell.accesses() == 0 && places.is_empty(), "{key:?}");
                continue;
            };
            assert_eq!(
                (cell.recorded, cell.suppressed, cell.lost),
                (model.recorded, model.suppressed, model.lost),
                "{key:?}"
            );
            let recorded: u64 = places.iter().map(|place| place.recorded).sum();
            assert_eq!(recorded, model.recorded, "{key:?}");
            let mut bytes = [false; CONFIG_SPACE_SIZE];
            for place in places {
                assert!(bytes[place.range.clone()].iter().all(|seen| !seen));
                bytes[place.range].fill(true);
            }
            assert!(bytes == model.bytes, "{key:?}");
        }
    }
    assert!(models.is_empty(), "a device is missing");
}
