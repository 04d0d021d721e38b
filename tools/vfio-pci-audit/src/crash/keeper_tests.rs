// SPDX-License-Identifier: GPL-2.0

use pci_audit_core::access::Range;
use pci_audit_core::kept::COMM;

use super::*;

/// A write that process 1502 made to a device, `ns` after the boot.
pub(crate) fn event(ns: u64, offset: usize) -> Event {
    Event {
        ns,
        device: "0001:28:05.1".parse().unwrap(),
        op: Op::Write,
        offset,
        size: 4,
        session: Some(1 << 40),
        pid: Some(1502),
        comm: "qemu-system-x86".into(),
        allowed: true,
    }
}

/// The same as the module keeps it, in a boot that began at second 1000 since 1970.
fn kept(event: &Event) -> Kept {
    let mut comm = [0; COMM];
    comm[..event.comm.len()].copy_from_slice(event.comm.as_bytes());
    Kept {
        log_ns: event.ns,
        real_ns: 1_000_000_000_000 + event.ns,
        domain: 1,
        bus: 0x28,
        devfn: (5 << 3) | 1,
        op: KeptOp::Write,
        range: Range::new(event.offset, event.size, 4096).unwrap(),
        outcome: Outcome::Allowed,
        session: event.session.unwrap(),
        pid: 1502,
        comm: std::array::from_fn(|word| {
            u64::from_ne_bytes(comm[8 * word..][..8].try_into().unwrap())
        }),
    }
}

fn bytes(lines: &[Line]) -> Vec<u8> {
    let words = lines.iter().flatten();
    words.flat_map(|word| word.to_ne_bytes()).collect()
}

fn head() -> Line {
    Head { boot: 7, token: 9 }.to_line()
}

fn read(lines: &[Line]) -> Ring {
    ring("x".to_owned(), &bytes(lines)).unwrap()
}

#[test]
fn accesses_are_read_in_their_order() {
    // The ring has four lines, and went round.
    let events: Vec<_> = (5..9).map(|n| event(n * 1000, n as usize * 4)).collect();
    let line = |n: usize| kept(&events[n]).to_line(n as u64 + 5);
    let found = read(&[head(), line(3), line(0), line(1), line(2)]);
    assert_eq!(found.events, events);
    assert_eq!((found.lost, found.bad), (4, 0));
    assert_eq!(found.booted, Some(1_000_000_000));
    let empty = read(&[head(), [0; 8]]);
    assert!(empty.is_empty());
    assert_eq!((empty.lost, empty.booted), (0, None));
    // Another ring has its own numbers.
    let read = Kept {
        op: KeptOp::Read,
        ..kept(&event(9500, 0))
    };
    let found = super::tests::read(&[head(), line(3), line(2), read.to_line(3)]);
    assert_eq!((found.events.len(), found.lost), (3, 6 + 2));
}

#[test]
fn no_damaged_access_is_told() {
    let whole = kept(&event(1000, 0x298)).to_line(1);
    for word in 0..whole.len() {
        for bit in 0..64 {
            let mut damaged = whole;
            damaged[word] ^= 1 << bit;
            let found = read(&[head(), damaged]);
            assert_eq!((found.events.len(), found.bad), (0, 1), "{word} {bit}");
            assert!(found.complaints()[0].contains("1 access damaged"));
        }
    }
    // The machine died while it was written.
    let mut torn = whole;
    torn[0] = 0;
    assert_eq!(read(&[head(), torn]).bad, 1);
}

#[test]
fn memory_of_something_else_is_refused() {
    let text = |bytes: &[u8]| format!("{:#}", ring("x".to_owned(), bytes).unwrap_err());
    for other in [&[][..], &[0; 64], &[0xff; 200], b"tracer: nop"] {
        assert!(
            text(other).contains("not in the format of this version"),
            "{other:?}"
        );
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn what_is_missing_is_said() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let error = || format!("{:#}", last_boot(root).unwrap_err());
    write(&root.join("proc/sys/kernel/osrelease"), "6.1.0-40-amd64\n");
    assert!(error().contains("this kernel is 6.1.0-40-amd64"));
    let release = root.join("proc/sys/kernel/osrelease");
    write(&release, "7.3.4+deb13-amd64\n");
    let line = root.join("proc/cmdline");
    write(&line, "quiet reserve_mem=1M:4096:oops\n");
    assert!(error().contains(PARAMETER));
    write(&line, &format!("quiet {PARAMETER}\n"));
    assert!(error().contains("modprobe pci_audit"));
    let keep = root.join("sys/module/pci_audit/parameters/keep");
    write(&keep, "N\n");
    assert!(error().contains("keep=N"));
    write(&keep, "Y\n");
    assert!(error().contains("mount debugfs"));
    fs::create_dir_all(root.join(FOLDER)).unwrap();
    assert!(error().contains("no access is kept: look"));
    let file = |name: &str| root.join(FOLDER).join(name);
    fs::write(file("this_boot"), bytes(&[head()])).unwrap();
    assert_eq!(last_boot(root).unwrap(), None);
    assert!(this_boot(root).unwrap().is_empty());
    let line = kept(&event(1000, 0x298)).to_line(1);
    fs::write(file("last_boot"), bytes(&[head(), line])).unwrap();
    let found = last_boot(root).unwrap().unwrap();
    assert_eq!(found.events, [event(1000, 0x298)]);
    assert_eq!(found.from, "/sys/kernel/debug/pci_audit/last_boot");
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        let mut all = super::tests::bytes(&[head()]);
        all.extend(bytes);
        ring("x".to_owned(), &all).unwrap();
    }
}
