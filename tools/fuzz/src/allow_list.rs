// SPDX-License-Identifier: GPL-2.0

//! The parser of `uaccess_allow_ids` against one that goes by the words of its documentation.

use std::collections::BTreeSet;
use std::convert::Infallible;

use pci_audit_core::allow_list::{contains, normalize, parse, Id, ParseError};

type Pair = (u16, u16);

/// What `isspace()` of C calls white space, except for the vertical tab, which is not typed.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c)
}

fn trim(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|&byte| !is_space(byte));
    let end = text.iter().rposition(|&byte| !is_space(byte));
    match (start, end) {
        (Some(start), Some(end)) => &text[start..=end],
        _ => &[],
    }
}

/// A number of hexadecimal digits, however many zeros it starts with.
fn number(text: &str) -> Option<u16> {
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    match text.trim_start_matches('0') {
        "" => Some(0),
        digits if digits.len() <= 4 => u16::from_str_radix(digits, 16).ok(),
        _ => None,
    }
}

fn pair(entry: &[u8]) -> Option<Pair> {
    let (vendor, device) = std::str::from_utf8(entry).ok()?.split_once(':')?;
    Some((number(vendor)?, number(device)?))
}

/// The ids, or the first bad entry.
fn model(text: &[u8]) -> Result<BTreeSet<Pair>, &[u8]> {
    if trim(text).is_empty() {
        return Ok(BTreeSet::new());
    }
    text.split(|&byte| byte == b',')
        .map(|entry| pair(trim(entry)).ok_or(trim(entry)))
        .collect()
}

/// Parses `data` as the parameter's text, and looks up what is in it and what is next to that.
///
/// # Panics
///
/// If the parser and the model disagree on the ids or on the entry that is bad.
pub fn allow_list(data: &[u8]) {
    let mut ids = Vec::new();
    let parsed = parse(data, |id| {
        ids.push(id);
        Ok::<(), Infallible>(())
    });
    let expected = match (parsed, model(data)) {
        (Ok(()), Ok(expected)) => expected,
        (Err(ParseError::BadEntry(found)), Err(expected)) => {
            assert_eq!(found, expected, "another entry is bad");
            return;
        }
        (found, expected) => panic!("parsed {found:?}, expected {expected:?}"),
    };
    let kept = normalize(&mut ids);
    ids.truncate(kept);
    let all: Vec<_> = expected.iter().map(|&(v, d)| Id::new(v, d)).collect();
    assert_eq!(ids, all);
    for &(vendor, device) in &expected {
        for probe in [
            (vendor, device),
            (device, vendor),
            (vendor, device.wrapping_add(1)),
            (vendor.wrapping_sub(1), device),
        ] {
            let found = contains(&ids, Id::new(probe.0, probe.1));
            assert_eq!(found, expected.contains(&probe), "{probe:x?}");
        }
    }
}
