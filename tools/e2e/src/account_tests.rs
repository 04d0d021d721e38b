// SPDX-License-Identifier: GPL-2.0

use super::*;
use crate::record;

/// Parses the given lines as records.
fn records(lines: impl IntoIterator<Item = String>) -> Vec<Record> {
    let records = lines
        .into_iter()
        .enumerate()
        .filter_map(|(number, fields)| {
            let line =
                format!("type=PCI msg=audit(1.000:{number}): device=\"0000:01:00.0\" {fields}");
            (!fields.is_empty()).then(|| record::parse_all(&line).unwrap().remove(0))
        });
    records.collect()
}

/// A session of two reads, one of them suppressed, and a write. The caller may change lines.
fn session(change: impl Fn(usize, &str) -> String) -> Vec<Record> {
    let lines = [
        "op=open session=7 pid=1 comm=\"x\" res=1",
        "op=read offset=0x40 size=4 session=7 res=1",
        "op=write offset=0x50 size=2 session=7 res=0",
        "op=suppressed access=read session=7 count=1 lost=0 ranges=1 res=1",
        "op=touched access=read offset=0x60 size=8 session=7 res=1",
        "op=close session=7 reads=2 writes=1 blocked_reads=0 blocked_writes=1 records=2 \
         suppressed=1 lost=0 res=1",
    ];
    records(lines.iter().enumerate().map(|(at, line)| change(at, line)))
}

fn truth() -> Truth {
    let mut truth = Truth::default();
    truth.add(Op::Read, true, 0x40..0x44);
    truth.add(Op::Read, true, 0x60..0x68);
    truth.add(Op::Write, false, 0x50..0x52);
    truth
}

#[test]
fn a_true_account() {
    let records = session(|_, fields| fields.to_owned());
    let totals = check(&records, &truth(), Loss::None).unwrap();
    assert_eq!((totals.reads, totals.writes, totals.suppressed), (2, 1, 1));
}

#[test]
fn every_lie_is_found() {
    for (number, from, to) in [
        (
            0,
            "op=open session=7 pid=1 comm=\"x\"",
            "op=read offset=0x40 size=4 session=7",
        ),
        (1, "offset=0x40", "offset=0x41"),
        (1, "res=1", "res=0"),
        (2, "size=2", "size=1"),
        (3, "count=1", "count=2"),
        (3, "ranges=1", "ranges=2"),
        (4, "size=8", "size=7"),
        (4, "size=8", "size=9"),
        (4, "access=read", "access=write"),
        (5, "reads=2", "reads=3"),
        (5, "blocked_writes=1", "blocked_writes=0"),
        (5, "records=2", "records=3"),
        (5, "suppressed=1", "suppressed=0"),
        (5, "res=1", "res=0"),
        (0, "session=7", "session=8"),
        (1, "session=7", "session=8"),
        (3, "session=7", "session=?"),
        (4, "session=7", "session=6"),
        (5, "session=7", "session=?"),
    ] {
        let lie = session(|at, fields| match at == number {
            true => fields.replacen(from, to, 1),
            false => fields.to_owned(),
        });
        assert!(
            check(&lie, &truth(), Loss::None).is_err(),
            "{number}: {from} became {to}"
        );
    }
}

#[test]
fn every_missing_record_is_missed() {
    for missing in 0..6 {
        let less = session(|at, fields| match at == missing {
            true => String::new(),
            false => fields.to_owned(),
        });
        assert!(check(&less, &truth(), Loss::None).is_err(), "{missing}");
    }
}

#[test]
fn losses_that_nobody_noticed_leave_the_equation() {
    let less = session(|at, fields| match at {
        1 | 4 => String::new(),
        _ => fields.to_owned(),
    });
    assert!(check(&less, &truth(), Loss::Unnoticed).is_ok());
    let mut more = truth();
    more.add(Op::Read, true, 0x40..0x44);
    assert!(check(&less, &more, Loss::Unnoticed).is_err());
}

/// Two further sessions that share an op=close record.
fn merged(number: &str) -> Vec<Record> {
    let mut all = session(|_, fields| fields.to_owned());
    let close = |session: &str, reads: u64, records: u64| {
        format!(
            "op=close session={session} reads={reads} writes=0 blocked_reads=0 blocked_writes=0 \
             records={records} suppressed=0 lost=0 res=1"
        )
    };
    all.extend(records([
        "op=open session=8 pid=1 res=1".to_owned(),
        "op=read offset=0x40 size=4 session=8 res=1".to_owned(),
        "op=open session=9 pid=1 res=1".to_owned(),
        "op=read offset=0x40 size=4 session=9 res=1".to_owned(),
        close(number, 2, 2),
    ]));
    all
}

fn with_two_more() -> Truth {
    let mut truth = truth();
    truth.add(Op::Read, true, 0x40..0x44);
    truth.add(Op::Read, true, 0x40..0x44);
    truth
}

#[test]
fn ends_that_are_told_together() {
    let totals = check_all(&merged("?"), &with_two_more(), Loss::None).unwrap();
    assert_eq!((totals.reads, totals.records), (4, 4));
    // With the number of one session, the shared op=close does not match.
    for wrong in ["7", "8", "9"] {
        assert!(
            check_all(&merged(wrong), &with_two_more(), Loss::None).is_err(),
            "{wrong}"
        );
    }
    assert!(check(&merged("?"), &with_two_more(), Loss::None).is_err());
}

#[test]
fn a_second_holder_is_no_lie() {
    let mut all = session(|_, fields| fields.to_owned());
    all.splice(
        4..4,
        records(["op=open session=7 pid=2 comm=\"y\" res=1".to_owned()]),
    );
    assert!(check(&all, &truth(), Loss::None).is_ok());
}

#[test]
fn an_end_of_nothing_is_one_too_many() {
    let mut all = merged("?");
    all.extend(records([
        "op=close session=10 reads=0 writes=0 blocked_reads=0 blocked_writes=0 records=0 \
         suppressed=0 lost=0 res=1"
            .to_owned(),
    ]));
    assert!(check_all(&all, &with_two_more(), Loss::None).is_err());
}
