// SPDX-License-Identifier: GPL-2.0

//! What `lspci -xxx` and `lspci -xxxx` print, also after it went through a mail.
//!
//! What can be read is read, and what cannot is named: a dump of fifty devices is not lost for a
//! line of another program between two of them.

use std::borrow::Cow;

use crate::{Bdf, CONVENTIONAL, EXPRESS};

/// One device of a dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its address.
    pub bdf: Bdf,
    /// What its first line says of it.
    pub what: String,
    /// Its configuration space, as far as it was dumped and can be read.
    pub config: Vec<u8>,
}

impl Device {
    /// Vendor and device as `lspci -nn` or `lspci -n` print them in the first line.
    pub fn printed_id(&self) -> Option<(u16, u16)> {
        let pair = |text: &str| {
            let (vendor, device) = text.split_once(':')?;
            let number = |text: &str| (text.len() == 4).then(|| hex(text)).flatten();
            Some((number(vendor)? as u16, number(device)? as u16))
        };
        let bracketed = self.what.rsplit('[').find_map(|rest| {
            let (inside, _) = rest.split_once(']')?;
            pair(inside)
        });
        bracketed.or_else(|| pair(self.what.split_whitespace().nth(1)?))
    }
}

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct Problem {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: Why,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// It begins as a row of bytes does, and is none.
    #[error(
        "{0:?} is not sixteen bytes with their offset, as in \"40: 01 50 c2 f8 ...\"; it is \
         left out"
    )]
    NoRow(String),
    /// Rows that do not follow each other.
    #[error("the bytes of {0} before offset {1:#x} are missing; what follows is left out")]
    Gap(Bdf, usize),
    /// A device is there twice, and not the same.
    #[error("{0} is there again and differs; the first is taken")]
    Differs(Bdf),
}

/// Everything that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    /// The devices, each once, in the order of the dump.
    pub devices: Vec<Device>,
    /// The lines that cannot be read.
    pub problems: Vec<Problem>,
}

impl Dump {
    /// The device that has an address.
    pub fn find(&self, bdf: Bdf) -> Option<&Device> {
        self.devices.iter().find(|device| device.bdf == bdf)
    }

    fn problem(&mut self, line: usize, why: Why) {
        self.problems.push(Problem { line, why });
    }

    /// Take a device in, unless it is there already.
    fn add(&mut self, device: Device, line: usize) {
        let known = self
            .devices
            .iter_mut()
            .find(|known| known.bdf == device.bdf);
        let Some(known) = known else {
            return self.devices.push(device);
        };
        // lspci prints a device without bytes where it may not read them, and so does an inventory
        // before a dump.
        let same = device.config.starts_with(&known.config);
        if known.config.len() < device.config.len() && same {
            *known = device;
        } else if !known.config.starts_with(&device.config) {
            self.problem(line, Why::Differs(device.bdf));
        }
    }
}

/// Read a dump, which may have any number of devices and what `lspci -v` says between them. No
/// device is in it if it is something else.
pub fn parse(bytes: &[u8]) -> Dump {
    let text = decode(bytes);
    let mut dump = Dump::default();
    // The device whose rows come, where it began, and whether more of them can be taken.
    let mut current: Option<(Device, usize, bool)> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let line = unquoted(line);
        if let Some((bdf, what)) = address(line) {
            if let Some((device, at, _)) = current.take() {
                dump.add(device, at);
            }
            let device = Device {
                bdf,
                what: what.to_owned(),
                config: Vec::new(),
            };
            current = Some((device, number, true));
            continue;
        }
        let (Some((device, _, goes_on)), Some((offset, bytes))) = (&mut current, row(line)) else {
            continue;
        };
        let Some(bytes) = bytes else {
            let start = line.chars().take(40).collect();
            dump.problem(number, Why::NoRow(start));
            continue;
        };
        if !*goes_on {
            continue;
        }
        if offset != device.config.len() || offset + bytes.len() > EXPRESS {
            *goes_on = false;
            let bdf = device.bdf;
            dump.problem(number, Why::Gap(bdf, offset));
            continue;
        }
        device.config.extend_from_slice(&bytes);
    }
    if let Some((device, at, _)) = current {
        dump.add(device, at);
    }
    dump
}

/// Write one device as lspci does.
pub fn write(device: &Device) -> String {
    use std::fmt::Write;

    let mut text = format!("{} {}\n", device.bdf, device.what);
    for (row, bytes) in device.config.chunks(16).enumerate() {
        let digits = if row * 16 < CONVENTIONAL { 2 } else { 3 };
        // Writing to a String cannot fail.
        let _ = write!(text, "{:0digits$x}:", row * 16);
        for byte in bytes {
            let _ = write!(text, " {byte:02x}");
        }
        text.push('\n');
    }
    text
}

/// The text of a file: UTF-8, UTF-16 as Windows writes it, or something else of which the ASCII
/// counts.
fn decode(bytes: &[u8]) -> Cow<'_, str> {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        let text: String = char::decode_utf16(units)
            .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect();
        Cow::Owned(text)
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest),
        // A text that begins with an ASCII character, without a mark.
        [first, 0, _, 0, ..] if *first != 0 => wide(bytes, u16::from_le_bytes),
        [0, first, 0, _, ..] if *first != 0 => wide(bytes, u16::from_be_bytes),
        _ => String::from_utf8_lossy(bytes),
    }
}

/// A line without what mail programs put in front of it.
fn unquoted(line: &str) -> &str {
    line.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '>' | '|'))
        .trim_end()
}

/// The address that a device's first line begins with, and the rest of it.
fn address(line: &str) -> Option<(Bdf, &str)> {
    let (first, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    Some((first.parse().ok()?, rest.trim()))
}

/// A line's offset and bytes; no bytes if they are not sixteen.
fn row(line: &str) -> Option<(usize, Option<[u8; 16]>)> {
    let (offset, rest) = line.split_once(':')?;
    if !(2..=3).contains(&offset.len()) || !rest.starts_with(char::is_whitespace) {
        return None;
    }
    let offset = hex(offset)?;
    let mut bytes = [0; 16];
    let mut words = rest.split_whitespace();
    for byte in &mut bytes {
        let word = words.next().filter(|word| word.len() == 2);
        match word.and_then(hex) {
            Some(value) => *byte = value as u8,
            None => return Some((offset, None)),
        }
    }
    Some((offset, words.next().is_none().then_some(bytes)))
}

fn hex(digits: &str) -> Option<usize> {
    // from_str_radix() would take a sign.
    let all = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    all.then(|| usize::from_str_radix(digits, 16).ok())
        .flatten()
}

#[cfg(test)]
#[path = "dump_tests.rs"]
mod tests;
