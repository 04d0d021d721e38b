// SPDX-License-Identifier: GPL-2.0

//! KUnit tests of the texts of records.

use kernel::prelude::*;

#[kunit_tests(pci_audit_record)]
mod record {
    use crate::{
        access::{
            Op,
            Outcome,
            Range,
            CONFIG_SPACE_SIZE, //
        },
        record::{
            Line,
            Record,
            Text, //
        },
        totals::Totals,
    };

    const DEVICE: &str = "0000:01:00.1";

    /// Whether `record` reads as `text`.
    fn reads(record: Record, text: &core::ffi::CStr) -> bool {
        let text_of = Text {
            device: DEVICE,
            record,
        };

        Line::new().format(&text_of) == text.to_bytes()
    }

    fn range(offset: usize, size: usize) -> Range {
        Range::new(offset, size, CONFIG_SPACE_SIZE).unwrap()
    }

    #[test]
    fn access() {
        assert!(reads(
            Record::Access(Op::Write, range(0x298, 1), Outcome::Blocked),
            c"device=\"0000:01:00.1\" op=write offset=0x298 size=1 res=0"
        ));
        assert!(reads(
            Record::Access(Op::Read, range(0, 4096), Outcome::Allowed),
            c"device=\"0000:01:00.1\" op=read offset=0x0 size=4096 res=1"
        ));
    }

    #[test]
    fn open() {
        assert!(reads(Record::Open, c"device=\"0000:01:00.1\" op=open"));
    }

    #[test]
    fn close() {
        let totals = Totals {
            reads: 1,
            writes: 2,
            blocked_reads: 3,
            blocked_writes: 4,
            records: 5,
            suppressed: 6,
            lost: 18446744073709551615,
        };

        assert!(reads(
            Record::Close(totals),
            c"device=\"0000:01:00.1\" op=close reads=1 writes=2 blocked_reads=3 blocked_writes=4 \
              records=5 suppressed=6 lost=18446744073709551615 res=1"
        ));
    }

    #[test]
    fn suppressed() {
        assert!(reads(
            Record::Suppressed {
                op: Op::Read,
                outcome: Outcome::Allowed,
                count: 100,
                lost: 2,
                ranges: 3,
            },
            c"device=\"0000:01:00.1\" op=suppressed access=read count=100 lost=2 ranges=3 res=1"
        ));
    }

    #[test]
    fn touched() {
        assert!(reads(
            Record::Touched(Op::Write, range(0xffc, 4), Outcome::Blocked),
            c"device=\"0000:01:00.1\" op=touched access=write offset=0xffc size=4 res=0"
        ));
    }
}
