// SPDX-License-Identifier: GPL-2.0

//! The words of an access, by value and by name.

use pci_audit::{
    Op,
    Outcome,
    Range,
    RangeError, //
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

#[test]
fn a_range_has_the_digits_that_the_standard_library_writes() {
    for (offset, size) in [(0, 1), (0x298, 1), (0xabc, 10), (0, 4096), (4095, 1)] {
        assert_eq!(
            Range::new(offset, size, 4096).unwrap().to_string(),
            format!("offset={offset:#x} size={size}")
        );
    }
}
