// SPDX-License-Identifier: GPL-2.0

//! The words of an access, by value and by name.

use pci_audit_core::access::{
    Op,
    Outcome, //
};

#[test]
fn an_operation_has_the_value_that_c_callers_know() {
    assert_eq!([0, 1].map(Op::from_raw), Op::ALL.map(Some));
    assert_eq!(Op::ALL.map(|op| op as u32), [0, 1]);
    assert_eq!([2, 3, u32::MAX].map(Op::from_raw), [None; 3]);
    assert_eq!(Op::ALL.map(|op| op.to_string()), ["read", "write"]);
}

#[test]
fn an_outcome_is_one_bit() {
    assert_eq!([false, true].map(Outcome::from_allowed), Outcome::ALL);
    assert_eq!(Outcome::ALL.map(Outcome::is_allowed), [false, true]);
    assert_eq!(Outcome::ALL.map(|outcome| outcome.to_string()), ["0", "1"]);
}
