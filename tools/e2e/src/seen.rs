// SPDX-License-Identifier: GPL-2.0

//! What a client sees of the decisions: which bytes of an access reached the device.

use std::ops::Range;

use anyhow::{ensure, Result};
use vfio_client::hex;

/// The bits of the bytes that are as in `one`. Others have to be as in `other`.
pub(crate) fn compare(seen: &[u8], one: &[u8], other: &[u8]) -> Result<u8> {
    let mut bits = 0;
    for (at, byte) in seen.iter().enumerate() {
        if *byte == one[at] {
            bits |= 1 << at;
        } else {
            ensure!(*byte == other[at], "byte {at} of {}", hex::plain(seen));
        }
    }
    Ok(bits)
}

/// The accesses of one system call on `size` unassigned bytes, each with whether it was allowed:
/// those bytes are that have their bit in `allowed`.
pub(crate) fn runs(at: usize, size: usize, allowed: u8) -> Vec<(Range<usize>, bool)> {
    let is_allowed = |byte: usize| allowed >> byte & 1 == 1;
    let mut runs = Vec::new();
    let mut start = 0;
    for end in 1..=size {
        if end == size || is_allowed(end) != is_allowed(start) {
            runs.push((at + start..at + end, is_allowed(start)));
            start = end;
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_of_one_of_two() {
        assert_eq!(compare(&[1, 0, 1], &[1; 3], &[0; 3]).unwrap(), 0b101);
        assert!(compare(&[1, 2], &[1; 2], &[0; 2]).is_err());
    }

    #[test]
    fn runs_end_where_the_decision_changes() {
        assert_eq!(runs(0x40, 3, 0b111), [(0x40..0x43, true)]);
        assert_eq!(
            runs(0x40, 4, 0b0110),
            [(0x40..0x41, false), (0x41..0x43, true), (0x43..0x44, false)]
        );
        assert_eq!(
            runs(0x40, 8, 0x80),
            [(0x40..0x47, false), (0x47..0x48, true)]
        );
    }
}
