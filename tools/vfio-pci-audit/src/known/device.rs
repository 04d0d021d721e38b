// SPDX-License-Identifier: GPL-2.0

//! Devices, and the patterns that say which of them are meant.

use std::fmt;
use std::str::FromStr;

use anyhow::{bail, Context, Result};
use pci_config::{hex, Id};
use serde::{Deserialize, Serialize};

/// What a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its vendor and device.
    pub id: Id,
    /// Its class code, three bytes; nothing if it is not known.
    pub class: Option<u32>,
}

/// `VENDOR:DEVICE`, `VENDOR:*` or `*:*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    /// Nothing stands for every vendor.
    vendor: Option<u16>,
    /// Nothing stands for every device of the vendor.
    device: Option<u16>,
}

impl Pattern {
    /// Whether it is of one device only.
    pub fn is_exact(self) -> bool {
        self.device.is_some()
    }

    /// Whether it is of devices of any vendor.
    pub fn is_of_any_vendor(self) -> bool {
        self.vendor.is_none()
    }

    /// The device, if it is one.
    pub fn id(self) -> Option<Id> {
        Some(Id::new(self.vendor?, self.device?))
    }

    /// Whether it means a device.
    pub fn has(self, id: Id) -> bool {
        self.meets(id.into())
    }

    /// Whether there is a device that both mean.
    pub fn meets(self, other: Self) -> bool {
        let meet = |a: Option<u16>, b: Option<u16>| a.is_none() || b.is_none() || a == b;
        meet(self.vendor, other.vendor) && meet(self.device, other.device)
    }
}

impl From<Id> for Pattern {
    fn from(id: Id) -> Self {
        Self {
            vendor: Some(id.vendor),
            device: Some(id.device),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.vendor, self.device) {
            (Some(vendor), Some(device)) => write!(f, "{vendor:04x}:{device:04x}"),
            (Some(vendor), None) => write!(f, "{vendor:04x}:*"),
            (None, _) => write!(f, "*:*"),
        }
    }
}

impl FromStr for Pattern {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let (vendor, device) = text.split_once(':')?;
            let half = |text: &str| match text {
                "*" => Some(None),
                _ => hex(text, 4).map(|value| Some(value as u16)),
            };
            Some((half(vendor)?, half(device)?))
        };
        match parse() {
            Some((None, Some(_))) | None => {
                bail!("{text:?} is not VENDOR:DEVICE or VENDOR:*, such as 8086:10d3 or 10de:*")
            }
            Some((vendor, device)) => Ok(Self { vendor, device }),
        }
    }
}

impl TryFrom<String> for Pattern {
    type Error = anyhow::Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.to_string()
    }
}

/// The first digits of a class code: `03`, `0300` or `030000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Class {
    code: u32,
    digits: usize,
}

impl Class {
    /// How many digits a whole code has.
    const WHOLE: usize = 6;

    /// All digits of a code; nothing if it has more.
    pub fn whole(code: u32) -> Option<Self> {
        (code >> (4 * Self::WHOLE) == 0).then_some(Self {
            code,
            digits: Self::WHOLE,
        })
    }

    /// Whether a code begins with it.
    pub fn has(self, code: u32) -> bool {
        code >> (4 * (Self::WHOLE - self.digits)) == self.code
    }

    /// Whether there is a code that begins with both.
    pub fn meets(self, other: Self) -> bool {
        let digits = self.digits.min(other.digits);
        self.code >> (4 * (self.digits - digits)) == other.code >> (4 * (other.digits - digits))
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0digits$x}", self.code, digits = self.digits)
    }
}

impl FromStr for Class {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let code = hex(text, Self::WHOLE).filter(|_| text.len() % 2 == 0);
        let code = code.with_context(|| {
            format!("{text:?} is not two, four or six digits of a class code, such as 0300")
        })?;
        Ok(Self {
            code,
            digits: text.len(),
        })
    }
}

impl TryFrom<String> for Class {
    type Error = anyhow::Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Class> for String {
    fn from(class: Class) -> Self {
        class.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        text.parse().unwrap()
    }

    #[test]
    fn patterns_are_read_and_written() {
        for text in ["8086:10d3", "10de:*", "*:*"] {
            assert_eq!(pattern(text).to_string(), text);
        }
        assert_eq!(pattern("A:B").to_string(), "000a:000b");
        for text in [
            "",
            "8086",
            "8086:",
            ":",
            "*:10d3",
            "8086:10d34",
            "8086:+1",
            "8086:10d3:1",
        ] {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn patterns_mean_devices() {
        let id = Id::new(0x10de, 0x1eb8);
        for (text, has) in [
            ("10de:1eb8", true),
            ("10de:1eb9", false),
            ("10de:*", true),
            ("1002:*", false),
            ("*:*", true),
        ] {
            assert_eq!(pattern(text).has(id), has, "{text}");
        }
        assert!(pattern("10de:*").meets(pattern("*:*")));
        assert!(!pattern("10de:*").meets(pattern("1002:1")));
    }

    #[test]
    fn classes_are_prefixes() {
        let class = |text: &str| text.parse::<Class>().unwrap();
        for (text, code, has) in [
            ("03", 0x030200, true),
            ("0300", 0x030200, false),
            ("0300", 0x030000, true),
            ("0c0330", 0x0c0330, true),
            ("0c0330", 0x0c0320, false),
        ] {
            assert_eq!(class(text).has(code), has, "{text} {code:06x}");
            assert_eq!(class(text).to_string(), text);
        }
        assert!(class("03").meets(class("0302")));
        assert!(!class("0300").meets(class("0302")));
        for text in ["", "3", "030", "0300000", "xx"] {
            assert!(text.parse::<Class>().is_err(), "{text}");
        }
    }
}
