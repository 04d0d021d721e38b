// SPDX-License-Identifier: GPL-2.0

//! A short digest of a long transcript.

use std::fmt;

/// 64 bits that differ, most likely, if the input differs. FNV-1a, so not for secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    /// Adds bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        let mut digest = Digest::default();
        assert_eq!(digest.to_string(), "cbf29ce484222325");
        digest.add(b"foobar");
        assert_eq!(digest.to_string(), "85944171f73967e8");
    }
}
