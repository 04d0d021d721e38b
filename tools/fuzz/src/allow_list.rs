// SPDX-License-Identifier: GPL-2.0

//! The parser of `uaccess_allow_ids` against one that goes by the words of its documentation.

use std::convert::Infallible;

use pci_audit_core::allow_list::{find, mark, normalize, parse, Excepted, Id, ParseError};
use pci_audit_core::bitmap::{BITS, BYTES, EMPTY, WORDS};
use pci_audit_core::listing::show;

/// A vendor, a device or all of them, and the first and the last byte.
type Exception = (u16, Option<u16>, usize, usize);

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

/// A number of hexadecimal digits, however many zeros it starts with, with or without 0x.
fn number(text: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(trim(text)).ok()?;
    let digits = ["0x", "0X"]
        .iter()
        .find_map(|prefix| text.strip_prefix(prefix))
        .unwrap_or(text);
    if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    match digits.trim_start_matches('0') {
        "" => Some(0),
        digits if digits.len() <= 4 => u16::from_str_radix(digits, 16).ok(),
        _ => None,
    }
}

/// The two halves around a separator that is there once, or more often in the second half.
fn halves(text: &[u8], separator: u8) -> Option<[&[u8]; 2]> {
    let mut halves = text.splitn(2, |&byte| byte == separator);
    Some([halves.next()?, halves.next()?])
}

fn exception(entry: &[u8]) -> Option<Exception> {
    let (devices, range) = match halves(entry, b'@') {
        Some([devices, range]) => {
            let [start, end] = halves(range, b'-')?;
            (devices, (number(start)?.into(), number(end)?.into()))
        }
        None => (entry, (0, 0xfff)),
    };
    let [vendor, device] = halves(devices, b':')?;
    let device = match trim(device) {
        b"*" => None,
        device => Some(number(device)?),
    };
    (range.0 <= range.1 && range.1 <= 0xfff).then_some((number(vendor)?, device, range.0, range.1))
}

/// The exceptions, or the first bad entry.
fn model(text: &[u8]) -> Result<Vec<Exception>, &[u8]> {
    if trim(text).is_empty() {
        return Ok(Vec::new());
    }
    text.split(|&byte| byte == b',')
        .map(|entry| exception(trim(entry)).ok_or(trim(entry)))
        .collect()
}

/// Checks what is found of a device, all of it and from some word on.
fn look_up(list: &[pci_audit_core::allow_list::Entry], model: &[Exception], id: (u16, u16)) {
    let mut expected = [false; BYTES];
    for &(vendor, device, start, end) in model {
        if vendor == id.0 && device.is_none_or(|device| device == id.1) {
            expected[start..=end].fill(true);
        }
    }
    let known = Id::new(id.0, id.1);
    match find(list, known) {
        Excepted::Everything => assert!(expected.iter().all(|&is| is), "{id:x?}"),
        Excepted::Nothing => assert!(!expected.contains(&true), "{id:x?}"),
        Excepted::Ranges => assert!(expected.contains(&true), "{id:x?}"),
    }
    for first in [0, usize::from(id.1) % WORDS] {
        let mut map = EMPTY;
        mark(list, known, first, &mut map[first..]);
        for (byte, &expected) in expected.iter().enumerate().skip(first * BITS) {
            let marked = map[byte / BITS] >> (byte % BITS) & 1 == 1;
            assert_eq!(marked, expected, "{id:x?}, byte {byte:#x}");
        }
    }
}

/// Parses `data` as the parameter's text, shows it as sysfs does, and looks up what is in it and
/// what is next to that.
///
/// # Panics
///
/// If the parser and the model disagree on a byte or on the entry that is bad, or if what is shown
/// is not the same list.
pub fn allow_list(data: &[u8]) {
    let mut list = Vec::new();
    let parsed = parse(data, |entry| {
        list.push(entry);
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
    let kept = normalize(&mut list);
    list.truncate(kept);

    let mut shown = String::new();
    show(&list, &mut shown, data.len()).expect("a string has room");
    assert!(shown.len() <= data.len(), "{shown:?} is longer");
    let mut again = Vec::new();
    parse(shown.as_bytes(), |entry| {
        again.push(entry);
        Ok::<(), Infallible>(())
    })
    .unwrap_or_else(|error| panic!("{shown:?} is refused: {error:?}"));
    assert_eq!(again, list, "{shown:?} is another list");

    for &(vendor, device, ..) in expected.iter().take(8) {
        let device = device.unwrap_or(vendor);
        for probe in [
            (vendor, device),
            (device, vendor),
            (vendor, device.wrapping_add(1)),
            (vendor.wrapping_sub(1), device),
        ] {
            look_up(&list, &expected, probe);
        }
    }
}
