// SPDX-License-Identifier: GPL-2.0

//! Bytes and numbers as text.

use std::fmt::Write;

use crate::Error;

/// Parses bytes: `dead beef`, `0xdeadbeef` and `de:ad:be:ef` are the same four, in memory order.
pub fn parse(text: &str) -> Result<Vec<u8>, Error> {
    let wrong = || Error::Hex(text.to_owned());
    let digits: String = text
        .trim()
        .trim_start_matches("0x")
        .chars()
        .filter(|c| !c.is_whitespace() && *c != ':')
        .collect();
    if digits.is_empty() || digits.len() % 2 != 0 || !digits.bytes().all(|b| b.is_ascii_hexdigit())
    {
        return Err(wrong());
    }
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| wrong()))
        .collect()
}

/// Parses a number: decimal, or hexadecimal after `0x`.
pub fn number(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("{text:?} is not a number (0x298 or 664)"))
}

/// Formats bytes without separators.
pub fn plain(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Formats sixteen bytes per line, each line with its offset, as `lspci -xxxx` does.
pub fn dump(start: u64, bytes: &[u8]) -> String {
    let mut text = String::new();
    for (line, chunk) in bytes.chunks(16).enumerate() {
        let _ = write!(text, "{:03x}:", start + 16 * line as u64);
        for byte in chunk {
            let _ = write!(text, " {byte:02x}");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_people_write() {
        for text in [
            "deadbeef",
            "0xDEADBEEF",
            "de ad be ef",
            "de:ad:be:ef",
            " deadbeef\n",
        ] {
            assert_eq!(parse(text).unwrap(), [0xde, 0xad, 0xbe, 0xef]);
        }
        for text in ["", "0x", "abc", "xy", "é0"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn numbers() {
        assert_eq!(number("0x298"), Ok(0x298));
        assert_eq!(number("664"), Ok(664));
        assert!(number("298h").is_err());
    }

    #[test]
    fn dumps_with_offsets() {
        assert_eq!(
            dump(0x40, &[1; 17]),
            format!("040:{}\n050: 01\n", " 01".repeat(16))
        );
        assert_eq!(plain(&[0, 0xa5]), "00a5");
    }
}
