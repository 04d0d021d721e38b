// SPDX-License-Identifier: GPL-2.0

//! The text of records.

use pci_audit_core::{
    access::{
        Op,
        Outcome,
        Range,
        RangeError, //
    },
    record::{
        Line,
        Record,
        Text, //
    },
    totals::Totals,
};

fn line(device: &str, record: Record) -> String {
    let mut line = Line::default();
    let text = line.format(&Text { device, record });
    String::from_utf8(text.to_vec()).unwrap()
}

#[test]
fn every_record_has_the_text_that_userspace_parses() {
    let range = Range::new(0x298, 1, 4096).unwrap();
    let device = "0000:01:00.1";

    assert_eq!(
        line(device, Record::Access(Op::Write, range, Outcome::Blocked)),
        r#"device="0000:01:00.1" op=write offset=0x298 size=1 res=0"#
    );
    assert_eq!(
        line(device, Record::Open),
        r#"device="0000:01:00.1" op=open"#
    );
    assert_eq!(
        line(
            device,
            Record::Suppressed {
                op: Op::Read,
                outcome: Outcome::Allowed,
                count: 100,
                lost: 2,
                ranges: 3
            }
        ),
        r#"device="0000:01:00.1" op=suppressed access=read count=100 lost=2 ranges=3 res=1"#
    );
    assert_eq!(
        line(device, Record::Touched(Op::Write, range, Outcome::Blocked)),
        r#"device="0000:01:00.1" op=touched access=write offset=0x298 size=1 res=0"#
    );
}

#[test]
fn the_longest_record_fits() {
    let totals = Totals {
        reads: u64::MAX,
        writes: u64::MAX,
        blocked_reads: u64::MAX,
        blocked_writes: u64::MAX,
        records: u64::MAX,
        suppressed: u64::MAX,
        lost: u64::MAX,
    };

    assert!(line("10000:ff:1f.7", Record::Close(totals)).ends_with(" res=1"));
}

#[test]
fn a_device_name_of_absurd_length_is_cut_off() {
    assert_eq!(line(&"x".repeat(1000), Record::Open).len(), 320);
}

#[test]
fn a_range_lies_inside_configuration_space() {
    assert_eq!(Range::new(0, 0, 4096), Err(RangeError::Empty));
    assert_eq!(Range::new(4096, 1, 4096), Err(RangeError::PastEnd));
    assert_eq!(Range::new(4095, 2, 4096), Err(RangeError::PastEnd));
    assert_eq!(Range::new(255, 2, 256), Err(RangeError::PastEnd));
    assert_eq!(
        Range::new(usize::MAX, 1, usize::MAX),
        Err(RangeError::PastEnd)
    );
    assert_eq!(
        Range::new(1, usize::MAX, usize::MAX),
        Err(RangeError::PastEnd)
    );
    assert_eq!(Range::new(0, 4096, usize::MAX).map(|r| r.end()), Ok(4096));
}
