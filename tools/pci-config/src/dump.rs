// SPDX-License-Identifier: GPL-2.0

//! What `lspci -xxx` and `lspci -xxxx` print.

use crate::{Bdf, CONVENTIONAL, EXPRESS};

/// One device of a dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its address.
    pub bdf: Bdf,
    /// Its configuration space, as far as it was dumped.
    pub config: Vec<u8>,
}

/// Why a text is no dump.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DumpError {
    /// No device is in it.
    #[error("it has no device: is it what lspci -xxxx prints?")]
    NoDevice,
    /// A line of bytes that is not one.
    #[error("line {0}: not sixteen bytes with their offset, as in \"40: 01 50 c2 f8 ...\"")]
    Line(usize),
    /// Lines that do not follow each other.
    #[error("line {0}: the bytes before offset {1:#x} are missing")]
    Gap(usize, usize),
}

/// Read a dump, which may have any number of devices and what `lspci -v` says between them.
pub fn parse(text: &str) -> Result<Vec<Device>, DumpError> {
    let mut devices: Vec<Device> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(bdf) = address(line) {
            devices.push(Device {
                bdf,
                config: Vec::new(),
            });
            continue;
        }
        let (Some(device), Some((offset, bytes))) = (devices.last_mut(), row(line)) else {
            continue;
        };
        let bytes = bytes.ok_or(DumpError::Line(number))?;
        if offset != device.config.len() || offset + bytes.len() > EXPRESS {
            return Err(DumpError::Gap(number, offset));
        }
        device.config.extend_from_slice(&bytes);
    }
    match devices.is_empty() {
        true => Err(DumpError::NoDevice),
        false => Ok(devices),
    }
}

/// Write one device as lspci does.
pub fn write(device: &Device, what: &str) -> String {
    use std::fmt::Write;

    let mut text = format!("{} {what}\n", device.bdf);
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

/// The address that a device's first line begins with.
fn address(line: &str) -> Option<Bdf> {
    line.split_once(' ')
        .map_or(line, |(first, _)| first)
        .parse()
        .ok()
}

/// A line's offset and bytes; no bytes if they are not sixteen.
fn row(line: &str) -> Option<(usize, Option<[u8; 16]>)> {
    let (offset, rest) = line.split_once(": ")?;
    if !(2..=3).contains(&offset.len()) {
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn verbose_output_of_two_devices() {
        let first = "00: 86 80 d3 10 07 04 10 00 00 00 00 02 10 00 00 00";
        let text = format!(
            "01:00.0 Ethernet controller: Intel Corporation 82574L (rev 03)\n\
             \tSubsystem: Intel Corporation Device 0000\n\
             \tFlags: bus master, fast devsel, latency 0\n\
             {first}\n10: {zeros}\n\n0000:02:00.1 Audio device: x\n{first}\n",
            zeros = ["00"; 16].join(" ")
        );
        let devices = parse(&text).unwrap();
        assert_eq!(devices[0].bdf.to_string(), "0000:01:00.0");
        assert_eq!(devices[0].config.len(), 32);
        assert_eq!(devices[0].config[..4], [0x86, 0x80, 0xd3, 0x10]);
        assert_eq!(devices[1].bdf.to_string(), "0000:02:00.1");
        assert_eq!(devices[1].config.len(), 16);
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(parse("hello\n"), Err(DumpError::NoDevice));
        assert_eq!(parse("01:00.0 x\n00: 86 80\n"), Err(DumpError::Line(2)));
        let row = ["ff"; 16].join(" ");
        assert_eq!(
            parse(&format!("01:00.0 x\n10: {row}\n")),
            Err(DumpError::Gap(2, 0x10))
        );
        assert_eq!(
            parse(&format!("01:00.0 x\n00: {row} 11\n")),
            Err(DumpError::Line(2))
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(rows in 1usize..=256, seed: u8) {
            let config: Vec<u8> = (0..rows * 16).map(|at| (at as u8).wrapping_mul(seed)).collect();
            let device = Device { bdf: "01:00.0".parse().unwrap(), config };
            let text = write(&device, "Network controller");
            prop_assert_eq!(parse(&text).unwrap(), vec![device]);
        }

        #[test]
        fn no_text_panics(text in "([0-9a-f]{0,3}:? ?([0-9a-f]{2} ){0,18}\n|01:00.0 .{0,9}\n|.{0,20}\n){0,8}") {
            let _ = parse(&text);
        }
    }
}
