// SPDX-License-Identifier: GPL-2.0

//! The address of a PCI function.

use std::fmt;
use std::str::FromStr;

/// A text that is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a PCI address such as 0000:01:00.0")]
pub struct BdfError(String);

/// Domain, bus, device and function, written `0000:01:00.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bdf {
    domain: u32,
    bus: u8,
    device: u8,
    function: u8,
}

impl Bdf {
    /// The function with this number on a bus: five bits of the device and three of the function.
    pub fn new(domain: u32, bus: u8, devfn: u8) -> Self {
        Self {
            domain,
            bus,
            device: devfn >> 3,
            function: devfn & 7,
        }
    }

    /// The domain.
    pub fn domain(self) -> u32 {
        self.domain
    }

    /// The bus.
    pub fn bus(self) -> u8 {
        self.bus
    }

    /// Whether both are functions of one device.
    pub fn is_same_device(self, other: Self) -> bool {
        (self.domain, self.bus, self.device) == (other.domain, other.bus, other.device)
    }
}

impl fmt::Display for Bdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:04x}:{:02x}:{:02x}.{:x}",
            self.domain, self.bus, self.device, self.function
        )
    }
}

impl FromStr for Bdf {
    type Err = BdfError;

    /// Takes `01:00.1` too, as lspci(8) does.
    fn from_str(text: &str) -> Result<Self, BdfError> {
        parse(text).ok_or_else(|| BdfError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Bdf> {
    let (rest, function) = text.rsplit_once('.')?;
    let (rest, device) = rest.rsplit_once(':')?;
    let (domain, bus) = rest.rsplit_once(':').unwrap_or(("0", rest));
    let bdf = Bdf {
        domain: hex(domain, 8)?,
        bus: hex(bus, 2)?.try_into().ok()?,
        device: hex(device, 2)?.try_into().ok()?,
        function: hex(function, 1)?.try_into().ok()?,
    };
    (bdf.device < 32 && bdf.function < 8).then_some(bdf)
}

/// A hexadecimal number of so many digits at most, without a sign or a prefix.
pub fn hex(text: &str, max_digits: usize) -> Option<u32> {
    // from_str_radix() would take a sign.
    let digits = text.bytes().all(|b| b.is_ascii_hexdigit());
    (digits && text.len() <= max_digits)
        .then(|| u32::from_str_radix(text, 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_forms() {
        for (text, full) in [
            ("0000:01:00.1", "0000:01:00.1"),
            ("01:00.1", "0000:01:00.1"),
            ("0:1:1f.7", "0000:01:1f.7"),
            ("10000:FF:00.0", "10000:ff:00.0"),
        ] {
            assert_eq!(text.parse::<Bdf>().unwrap().to_string(), full);
        }
    }

    #[test]
    fn made_of_numbers() {
        let bdf = Bdf::new(1, 0x28, (5 << 3) | 1);
        assert_eq!(bdf.to_string(), "0001:28:05.1");
        assert_eq!((bdf.domain(), bdf.bus()), (1, 0x28));
        assert!(bdf.is_same_device(Bdf::new(1, 0x28, (5 << 3) | 7)));
        assert!(!bdf.is_same_device(Bdf::new(1, 0x28, (6 << 3) | 1)));
        assert!(!bdf.is_same_device(Bdf::new(1, 0x29, (5 << 3) | 1)));
        assert!(!bdf.is_same_device(Bdf::new(0, 0x28, (5 << 3) | 1)));
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "1",
            "01:00",
            "01.0",
            "01:20.0",
            "01:00.8",
            "100:00.0",
            "01:00.1 ",
            "+1:00.0",
            "x:01:00.0",
            "../01:00.0",
        ] {
            assert!(text.parse::<Bdf>().is_err(), "{text:?}");
        }
    }
}
