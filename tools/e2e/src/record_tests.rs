// SPDX-License-Identifier: GPL-2.0

use super::*;

fn one(fields: &str) -> Result<Record> {
    let line = format!("type=PCI msg=audit(1.000:1): device=\"0000:01:00.1\" {fields}");
    Ok(parse_all(&line)?.remove(0))
}

const GOOD: [&str; 6] = [
    "op=write offset=0x298 size=1 session=7 res=0",
    "op=read offset=0x298 size=1 session=? res=1",
    "op=open session=7 pid=1 uid=0 ses=4 comm=\"x\" res=1",
    "op=suppressed access=write session=7 count=130 lost=0 ranges=1 res=0",
    "op=touched access=write offset=0x280 size=32 session=7 res=0",
    "op=close session=7 reads=0 writes=131 blocked_reads=0 blocked_writes=131 records=1 \
     suppressed=130 lost=0 res=1",
];

#[test]
fn every_kind_of_record() {
    for fields in GOOD {
        let record = one(fields).unwrap();
        let unknown = fields.contains("session=?");
        assert_eq!(record.session, (!unknown).then_some(7), "{fields}");
        assert!(!record.plain.contains("session"), "{fields}");
    }
    assert_eq!(one(GOOD[2]).unwrap().pid(), Some(1));
}

#[test]
fn no_other_words_and_no_other_order() {
    for fields in GOOD {
        for bad in [
            fields.replace("session=7 ", "").replace("session=? ", ""),
            fields.replace("session=", "session=x"),
            fields.replace("session=", "session=0"),
            fields.replacen(" session=", "  session=", 1),
            fields.replace(" session=7", "").replace(" session=?", "") + " session=7",
            format!("session=7 {}", fields.replace("session=7 ", "")),
        ] {
            // A leading zero is the only change that leaves `?` valid.
            if bad != fields && !bad.contains("session=0?") {
                assert!(one(&bad).is_err(), "{bad}");
            }
        }
    }
}
