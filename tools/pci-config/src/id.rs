// SPDX-License-Identifier: GPL-2.0

//! What a PCI function is.

use std::fmt;
use std::str::FromStr;

use crate::hex;

/// A text that is no id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not VENDOR:DEVICE in hexadecimal")]
pub struct IdError(String);

/// Vendor and device, written `8086:10d3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// The vendor.
    pub vendor: u16,
    /// The device, by the vendor's own numbers.
    pub device: u16,
}

impl Id {
    /// The id of a device.
    pub const fn new(vendor: u16, device: u16) -> Self {
        Self { vendor, device }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:04x}", self.vendor, self.device)
    }
}

impl FromStr for Id {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let half = |text: &str| hex(text, 4)?.try_into().ok();
        let parse = || {
            let (vendor, device) = text.split_once(':')?;
            Some(Self::new(half(vendor)?, half(device)?))
        };
        parse().ok_or_else(|| IdError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_and_written() {
        assert_eq!("8086:10D3".parse(), Ok(Id::new(0x8086, 0x10d3)));
        assert_eq!("1:2".parse::<Id>().unwrap().to_string(), "0001:0002");
        for text in [
            "",
            "8086",
            ":",
            "8086:",
            ":10d3",
            "8086:10d34",
            "8086:+1",
            "1:2:3",
            "1:2,3:4",
            "1:*",
            " 1:2",
        ] {
            let error = text.parse::<Id>().unwrap_err();
            let told = format!("{text:?} is not VENDOR:DEVICE in hexadecimal");
            assert_eq!(error.to_string(), told);
        }
    }
}
