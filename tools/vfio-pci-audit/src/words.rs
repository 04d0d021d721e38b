// SPDX-License-Identifier: GPL-2.0

//! Numbers, ranges and results as people read them.

use std::ops::Range;

use crate::record::Op;

/// "read" or "write".
pub fn op_text(op: Op) -> &'static str {
    match op {
        Op::Read => "read",
        Op::Write => "write",
    }
}

/// "allowed" or "blocked".
pub fn result_text(allowed: bool) -> &'static str {
    match allowed {
        true => "allowed",
        false => "blocked",
    }
}

/// `0x298`, or `0x298-0x29b`: the bytes as people name them.
pub fn range_text(range: &Range<usize>) -> String {
    match range.len() {
        1 => format!("{:#05x}", range.start),
        _ => format!("{:#05x}-{:#05x}", range.start, range.end - 1),
    }
}

/// A number, and what it counts.
pub fn plural(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

/// The same for words that end with s.
pub fn plural_es(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}es"),
    }
}
