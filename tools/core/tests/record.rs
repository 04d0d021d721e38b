// SPDX-License-Identifier: GPL-2.0

//! The text of a session's records.

use pci_audit::{
    record::{
        Line,
        Text, //
    },
    Op,
    Outcome,
    Range,
    Session, //
};
use pci_audit_core::{
    record::{
        Record,
        SessionRecord, //
    },
    totals::Totals,
};

fn line(device: &str, session: Option<u64>, record: Record) -> String {
    let body = SessionRecord {
        session: Session(session),
        record,
    };
    let mut line = Line::default();
    let text = line.format(&Text { device, body });
    String::from_utf8(text.to_vec()).unwrap()
}

const DEVICE: &str = "0000:01:00.1";

fn range() -> Range {
    Range::new(0x280, 32, 4096).unwrap()
}

const TOTALS: Totals = Totals {
    reads: 1,
    writes: 131,
    blocked_reads: 0,
    blocked_writes: 130,
    records: 2,
    suppressed: 127,
    lost: 3,
};

#[test]
fn an_open_ends_where_the_identity_of_the_process_begins() {
    assert_eq!(
        line(DEVICE, Some(7), Record::Open),
        r#"device="0000:01:00.1" op=open session=7"#
    );
}

#[test]
fn a_report_has_the_texts_that_userspace_parses() {
    let suppressed = Record::Suppressed {
        op: Op::Write,
        outcome: Outcome::Blocked,
        count: 130,
        lost: 2,
        ranges: 1,
    };
    let touched = Record::Touched(Op::Write, range(), Outcome::Blocked);

    assert_eq!(
        line(DEVICE, Some(7), suppressed),
        "device=\"0000:01:00.1\" op=suppressed access=write session=7 count=130 lost=2 \
         ranges=1 res=0"
    );
    assert_eq!(
        line(DEVICE, None, suppressed),
        "device=\"0000:01:00.1\" op=suppressed access=write session=? count=130 lost=2 \
         ranges=1 res=0"
    );
    assert_eq!(
        line(DEVICE, Some(7), touched),
        r#"device="0000:01:00.1" op=touched access=write offset=0x280 size=32 session=7 res=0"#
    );
    assert_eq!(
        line(DEVICE, None, touched),
        r#"device="0000:01:00.1" op=touched access=write offset=0x280 size=32 session=? res=0"#
    );
}

#[test]
fn an_allowed_read_is_told_from_a_blocked_write() {
    let suppressed = Record::Suppressed {
        op: Op::Read,
        outcome: Outcome::Allowed,
        count: 100,
        lost: 0,
        ranges: 3,
    };

    assert_eq!(
        line(DEVICE, Some(8), suppressed),
        "device=\"0000:01:00.1\" op=suppressed access=read session=8 count=100 lost=0 \
         ranges=3 res=1"
    );
    assert_eq!(
        line(
            DEVICE,
            Some(8),
            Record::Touched(Op::Read, range(), Outcome::Allowed)
        ),
        r#"device="0000:01:00.1" op=touched access=read offset=0x280 size=32 session=8 res=1"#
    );
}

#[test]
fn a_close_has_every_total() {
    assert_eq!(
        line(DEVICE, Some(7), Record::Close(TOTALS)),
        "device=\"0000:01:00.1\" op=close session=7 reads=1 writes=131 blocked_reads=0 \
         blocked_writes=130 records=2 suppressed=127 lost=3 res=1"
    );
    assert_eq!(
        line(DEVICE, None, Record::Close(TOTALS)),
        "device=\"0000:01:00.1\" op=close session=? reads=1 writes=131 blocked_reads=0 \
         blocked_writes=130 records=2 suppressed=127 lost=3 res=1"
    );
}

#[test]
fn the_longest_record_fits() {
    let most = u64::MAX;
    let totals = Totals {
        reads: most,
        writes: most,
        blocked_reads: most,
        blocked_writes: most,
        records: most,
        suppressed: most,
        lost: most,
    };

    assert!(line("10000:ff:1f.7", Some(most), Record::Close(totals)).ends_with(" res=1"));
}
