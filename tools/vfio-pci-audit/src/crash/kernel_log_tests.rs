// SPDX-License-Identifier: GPL-2.0

use super::super::sources::Lines;
use super::*;

fn read(text: &str) -> KernelLog {
    let mut lines = Lines::new("log".to_owned(), None, jiff::tz::TimeZone::UTC);
    for line in text.lines() {
        lines.line(line.as_bytes());
    }
    lines.end()
}

fn bdf(text: &str) -> Option<Bdf> {
    Some(text.parse().unwrap())
}

/// Linux 7.3, on an emulated device.
const FATAL: &str = "\
[   19.000000] pcieport 0000:00:11.0: AER: Uncorrectable (Fatal) Error message received from \
0000:01:00.0
[   19.000400] vfio-pci 0000:01:00.0: PCIe Bus Error: severity=Uncorrectable (Fatal)
[   19.000500] vfio-pci 0000:01:00.0:   device [1af4:1044] error status/mask=00040000/00000000
[   19.000600] vfio-pci 0000:01:00.0:   [18] MalfTLP           | Receiver ID | Transaction Layer \
(First)
[   19.000700] vfio-pci 0000:01:00.0: AER:   TLP Header: 0x00000000 0x00000000 0x00000000 0x00000000
[   21.200000] pcieport 0000:00:11.0: AER: device recovery failed
";

#[test]
fn lines_of_one_error_are_one_error() {
    let log = read(FATAL);
    assert_eq!(log.errors.len(), 1, "{:#?}", log.errors);
    let error = &log.errors[0];
    assert_eq!(
        (error.kind, error.severity, error.device, error.port),
        (
            Kind::Aer,
            Severity::Fatal,
            bdf("0000:01:00.0"),
            bdf("0000:00:11.0")
        )
    );
    assert_eq!(error.moment.up, Some(19_000_000));
    assert_eq!(error.from, "log:1");
    assert_eq!(
        error.details,
        [
            "PCIe Bus Error: severity=Uncorrectable (Fatal)",
            "device [1af4:1044] error status/mask=00040000/00000000",
            "[18] MalfTLP | Receiver ID | Transaction Layer (First)",
            "TLP Header: 0x00000000 0x00000000 0x00000000 0x00000000",
            "device recovery failed",
        ]
    );
    // The same again a minute later is another one.
    let again = FATAL
        .replace("[   19", "[   79")
        .replace("[   21", "[   81");
    assert_eq!(read(&format!("{FATAL}{again}")).errors.len(), 2);
}

#[test]
fn wordings_of_all_versions() {
    for (text, kind, severity, device, port) in [
        (
            "pcieport 0000:00:1c.0: AER: Uncorrected (Non-Fatal) error received: 0000:02:00.0",
            Kind::Aer,
            Severity::NonFatal,
            bdf("0000:02:00.0"),
            bdf("0000:00:1c.0"),
        ),
        (
            "pcieport 0000:00:1c.0: AER: Multiple Corrected error message received from \
             0000:02:00.0",
            Kind::Aer,
            Severity::Corrected,
            bdf("0000:02:00.0"),
            bdf("0000:00:1c.0"),
        ),
        (
            "pcieport 0000:00:1c.0: AER: Multiple Correctable Error messages received, first one \
             from 0000:02:00.0 (no details found)",
            Kind::Aer,
            Severity::Corrected,
            bdf("0000:02:00.0"),
            bdf("0000:00:1c.0"),
        ),
        (
            "nvme 0000:02:00.0: PCIe Bus Error: severity=Uncorrected (Non-Fatal), \
             type=Transaction Layer, (Requester ID)",
            Kind::Aer,
            Severity::NonFatal,
            bdf("0000:02:00.0"),
            None,
        ),
        (
            "pcieport 10000:00:1c.0: DPC: containment event, status:0x1f05 source:0x0201",
            Kind::Dpc,
            Severity::Fatal,
            bdf("10000:02:00.1"),
            bdf("10000:00:1c.0"),
        ),
        (
            "pcieport 0000:00:1c.0: DPC: containment event, status:0x1f03, ERR_NONFATAL received \
             from 0000:02:00.0",
            Kind::Dpc,
            Severity::NonFatal,
            bdf("0000:02:00.0"),
            bdf("0000:00:1c.0"),
        ),
        (
            "pcieport 0000:00:1c.0: DPC: containment event, status:0x1f01: unmasked uncorrectable \
             error detected",
            Kind::Dpc,
            Severity::Fatal,
            bdf("0000:00:1c.0"),
            bdf("0000:00:1c.0"),
        ),
        (
            "mce: [Hardware Error]: CPU 3: Machine Check Exception: 5 Bank 4: b200000000070f0f",
            Kind::MachineCheck,
            Severity::Fatal,
            None,
            None,
        ),
        (
            "NMI: PCI system error (SERR) for reason a1 on CPU 0.",
            Kind::Nmi,
            Severity::Fatal,
            None,
            None,
        ),
        (
            "Kernel panic - not syncing: Fatal machine check",
            Kind::Panic,
            Severity::Fatal,
            None,
            None,
        ),
    ] {
        let log = read(&format!("[ 1.000000] {text}\n"));
        let found: Vec<_> = log
            .errors
            .iter()
            .map(|e| (e.kind, e.severity, e.device, e.port))
            .collect();
        assert_eq!(found, [(kind, severity, device, port)], "{text}");
    }
}

#[test]
fn the_firmware_speaks_in_several_lines() {
    let log = read(
        "\
[    5.000000] {1}[Hardware Error]: Hardware error from APEI Generic Hardware Error Source: 4
[    5.000001] {1}[Hardware Error]: event severity: fatal
[    5.000002] {1}[Hardware Error]:  Error 0, type: fatal
[    5.000003] {1}[Hardware Error]:   section_type: PCIe error
[    5.000004] {1}[Hardware Error]:   device_id: 0000:3b:00.1
[    5.000005] {1}[Hardware Error]:   aer_uncor_status: 0x00100000, aer_uncor_mask: 0x00000000
[    5.000006] Kernel panic - not syncing: Fatal hardware error!
",
    );
    assert_eq!(log.errors.len(), 2);
    let error = &log.errors[0];
    assert_eq!(
        (error.kind, error.severity, error.device),
        (Kind::Firmware, Severity::Fatal, bdf("0000:3b:00.1"))
    );
    assert_eq!(error.details.len(), 1);
    assert_eq!(log.panic.as_deref(), Some("Fatal hardware error!"));
}

#[test]
fn a_boot_begins_anew() {
    let log = read(
        "\
[    0.000000] Linux version 7.3.4
[    0.500000] audit: type=2000 audit(1747758000.500:1): state=initialized audit_enabled=0 res=1
[   10.000000] Kernel panic - not syncing: NMI: Not continuing
[    0.000000] Linux version 7.3.4
[    1.000000] rtc_cmos 00:01: setting system clock to 2025-05-20T16:21:00 UTC (1747758060)
[    2.000000] NMI: IOCK error (debug interrupt?) for reason 60 on CPU 0.
[    3.000000] reboot: Restarting system
",
    );
    assert_eq!(
        (log.boots, log.shut_down, log.panic.is_some()),
        (2, true, false)
    );
    let walls: Vec<_> = log.errors.iter().map(|error| error.moment.wall).collect();
    assert_eq!(
        walls,
        [Some(1_747_758_010_000_000), Some(1_747_758_061_000_000)]
    );
}

#[test]
fn what_is_no_error_is_none() {
    let log = read(
        "\
[    1.000000] pcieport 0000:00:1c.0: AER: enabled with IRQ 24
[    1.100000] pcieport 0000:00:1c.0: DPC: enabled with IRQ 24
[    1.200000] mce: CPU supports 10 MCE banks
[    1.300000] vfio-pci 0000:01:00.0: enabling device (0000 -> 0002)
[    1.400000]   [ 0] lonely detail
[    1.500000] e1000e 0000:02:00.0 eth0: NIC Link is Up 1000 Mbps
",
    );
    assert_eq!(log.errors, []);
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in ".*", up: Option<u64>) {
        let mut log = KernelLog::new("x".to_owned(), None);
        let moment = Moment { up, ..Moment::default() };
        for start in [
            "",
            "pcieport 0000:00:1c.0: ",
            "pcieport 0000:00:1c.0: DPC: containment event, ",
            "{1}[Hardware Error]: ",
            "audit: audit(",
        ] {
            log.message(moment, &format!("{start}{text}"), 1);
        }
        log.end();
    }
}
