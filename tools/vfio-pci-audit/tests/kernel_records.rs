// SPDX-License-Identifier: GPL-2.0

//! Records that a kernel wrote and an audit daemon kept: tests/data, from end-to-end runs in the
//! VM.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use vfio_pci_audit::input::Source;
use vfio_pci_audit::known::machine::Machine;
use vfio_pci_audit::record::{self, Kind, Op};
use vfio_pci_audit::scan::Scan;

const LOGS: [&str; 5] = [
    "sessions.log",
    "flood.log",
    "guest.log",
    "syscall.log",
    "enriched.log",
];

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

fn scan(paths: &[PathBuf]) -> Scan {
    let sources: Vec<_> = paths.iter().cloned().map(Source::File).collect();
    Scan::read(&sources, 10)
}

/// Every line is understood, and every line that says PCI is a record.
#[test]
fn nothing_is_broken_and_nothing_passed_over() {
    for name in LOGS {
        let scan = scan(&[data(name)]);
        assert_eq!((scan.broken, scan.named), (0, vec![]), "{name}");
        let text = fs::read_to_string(data(name)).unwrap();
        let said = text
            .lines()
            .filter(|line| line.contains("type=PCI "))
            .count();
        assert!(said > 0, "{name}");
        assert_eq!(scan.tally.records(), said as u64, "{name}");
    }
}

/// What a session says of itself at its end is what was counted from its records.
#[test]
fn totals_agree_with_what_was_counted() {
    for name in LOGS {
        let scan = scan(&[data(name)]);
        for (_, bdf, device) in scan.tally.devices() {
            let sessions = device.sessions.summary();
            assert!(!device.sessions.is_open(), "{name} {bdf}");
            assert_eq!(sessions.complete, sessions.count, "{name} {bdf}");
            assert_eq!(sessions.missing, 0, "{name} {bdf}");
            let counted = |op| {
                let (allowed, blocked) = (device.cell(op, true), device.cell(op, false));
                (allowed.accesses() + blocked.accesses(), blocked.accesses())
            };
            let totals = sessions.totals;
            assert_eq!(
                counted(Op::Read),
                (totals.reads, totals.blocked_reads),
                "{name} {bdf}"
            );
            assert_eq!(
                counted(Op::Write),
                (totals.writes, totals.blocked_writes),
                "{name} {bdf}"
            );
        }
    }
}

/// The same records, as a daemon writes them that does not know the type.
#[test]
fn an_older_daemon_makes_no_difference() {
    let folder = tempfile::tempdir().unwrap();
    for name in LOGS {
        let text = fs::read_to_string(data(name)).unwrap();
        let old = folder.path().join(name);
        fs::write(&old, text.replace("type=PCI ", "type=UNKNOWN[1340] ")).unwrap();
        let report = |path| {
            let machine = Machine::default();
            let report = vfio_pci_audit::report::Report::new(&scan(&[path]), &machine);
            serde_json::to_string(&report.devices).unwrap()
        };
        assert_eq!(report(old), report(data(name)), "{name}");
    }
}

#[test]
fn a_daemon_that_interprets_names_its_machine() {
    let scan = scan(&[data("enriched.log")]);
    let nodes: Vec<_> = scan
        .tally
        .devices()
        .map(|(node, bdf, _)| (node, bdf.to_string()))
        .collect();
    assert_eq!(nodes, [(Some("passthrough1"), "0000:04:00.0".to_owned())]);
    let text = fs::read_to_string(data("enriched.log")).unwrap();
    assert!(text.contains("\u{1d}"), "nothing was added to the records");
}

/// The texts of all PCI records of all logs.
fn lines() -> Vec<Vec<u8>> {
    LOGS.iter()
        .flat_map(|name| {
            let text = fs::read_to_string(data(name)).unwrap();
            let lines = text.lines().filter(|line| line.contains("type=PCI "));
            lines
                .map(|line| line.as_bytes().to_vec())
                .collect::<Vec<_>>()
        })
        .collect()
}

proptest! {
    /// A record of which bytes were overwritten, cut out or doubled is read or refused, and never a
    /// panic; what is read lies in configuration space.
    #[test]
    fn damage_is_survived(
        pick: prop::sample::Index,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 1..4),
    ) {
        let lines = lines();
        let mut line = pick.get(&lines).clone();
        for (at, byte, how) in damage {
            let at = at.index(line.len().max(1)).min(line.len().saturating_sub(1));
            match how {
                _ if line.is_empty() => {}
                0 => line[at] = byte,
                1 => drop(line.remove(at)),
                _ => line.insert(at, line[at]),
            }
        }
        if let Ok(Some(record)) = record::parse(&line) {
            match record.kind {
                Kind::Access { offset, size, .. } | Kind::Touched { offset, size, .. } => {
                    prop_assert!(size > 0 && offset + size <= 4096);
                }
                _ => (),
            }
        }
    }
}
