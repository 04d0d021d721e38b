// SPDX-License-Identifier: GPL-2.0

//! The text of a record of an access, and the line that any record is written into.

use pci_audit::{
    record::{
        Access,
        Line,
        LineOf,
        Text, //
    },
    Op,
    Outcome,
    Range,
    Session, //
};
use std::fmt::Display;

fn line(device: &str, body: impl Display) -> String {
    let mut line = Line::default();
    let text = line.format(&Text { device, body });
    String::from_utf8(text.to_vec()).unwrap()
}

fn access(op: Op, range: (usize, usize), session: Session, outcome: Outcome) -> Access {
    Access {
        op,
        range: Range::new(range.0, range.1, 4096).unwrap(),
        session,
        outcome,
    }
}

#[test]
fn an_access_has_the_text_that_userspace_parses() {
    let session = Session(Some(7));

    assert_eq!(
        line(
            "0000:01:00.1",
            access(Op::Write, (0x298, 1), session, Outcome::Blocked)
        ),
        r#"device="0000:01:00.1" op=write offset=0x298 size=1 session=7 res=0"#
    );
    assert_eq!(
        line(
            "10000:ff:1f.7",
            access(Op::Read, (0, 4096), session, Outcome::Allowed)
        ),
        r#"device="10000:ff:1f.7" op=read offset=0x0 size=4096 session=7 res=1"#
    );
}

#[test]
fn an_access_without_a_session_has_a_question_mark() {
    assert_eq!(
        line(
            "0000:01:00.1",
            access(Op::Read, (0xff, 2), Session::NONE, Outcome::Allowed)
        ),
        r#"device="0000:01:00.1" op=read offset=0xff size=2 session=? res=1"#
    );
}

#[test]
fn a_session_has_the_digits_that_the_standard_library_writes() {
    for number in [0, 9, 10, 1 << 32, u64::MAX] {
        assert_eq!(Session(Some(number)).to_string(), number.to_string());
    }
}

#[test]
fn a_text_of_absurd_length_is_cut_off() {
    assert_eq!(line(&"x".repeat(1000), "open").len(), 384);
    assert_eq!(line("0000:01:00.1", "x".repeat(1000)).len(), 384);
}

#[test]
fn a_record_is_the_same_with_and_without_fmt() {
    for session in [Session(Some(u64::MAX)), Session::NONE] {
        for outcome in Outcome::ALL {
            let access = access(Op::Read, (0, 4096), session, outcome);
            let mut short = LineOf::<{ Access::SIZE }>::new();

            access.append_with_device(&mut short, "0000:01:00.1");
            assert_eq!(short.bytes(), line("0000:01:00.1", access).as_bytes());
        }
    }
}

#[test]
fn what_does_not_fit_is_cut_off() {
    let mut short = LineOf::<4>::new();

    short.push(b"abc");
    short.push(b"def");
    short.push_number::<16>(0xff);
    assert_eq!(short.bytes(), b"abcd");
}
