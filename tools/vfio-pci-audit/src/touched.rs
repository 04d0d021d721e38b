// SPDX-License-Identifier: GPL-2.0

//! A set of bytes of a configuration space.

use std::ops::Range;

use crate::heat::SPACE;

/// A set of offsets, of half a KiB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched(Box<[u64; SPACE / 64]>);

impl Default for Touched {
    fn default() -> Self {
        Self(Box::new([0; SPACE / 64]))
    }
}

impl Touched {
    /// Put a range in.
    pub fn add(&mut self, range: Range<usize>) {
        for offset in range {
            self.0[offset / 64] |= 1 << (offset % 64);
        }
    }

    /// Its offsets as the kernel marks them, 64 in a word.
    pub fn words(&mut self) -> &mut [u64] {
        &mut self.0[..]
    }

    /// Put another set in.
    pub fn merge(&mut self, other: &Self) {
        for (here, there) in self.0.iter_mut().zip(other.0.iter()) {
            *here |= there;
        }
    }

    /// What of it is not in another set.
    pub fn without(&self, other: &Self) -> Self {
        let mut rest = self.clone();
        for (here, there) in rest.0.iter_mut().zip(other.0.iter()) {
            *here &= !there;
        }
        rest
    }

    /// Whether an offset is in it.
    pub fn contains(&self, offset: usize) -> bool {
        self.0[offset / 64] & (1 << (offset % 64)) != 0
    }

    /// Its maximal ranges, in order.
    pub fn ranges(&self) -> Vec<Range<usize>> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for offset in (0..SPACE).filter(|offset| self.contains(*offset)) {
            match ranges.last_mut() {
                Some(range) if range.end == offset => range.end += 1,
                _ => ranges.push(offset..offset + 1),
            }
        }
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_join() {
        let mut set = Touched::default();
        set.add(0x40..0x48);
        set.add(0x48..0x50);
        set.add(0xfff..0x1000);
        let mut other = Touched::default();
        other.add(0x60..0x61);
        set.merge(&other);
        assert_eq!(set.ranges(), [0x40..0x50, 0x60..0x61, 0xfff..0x1000]);
        assert_eq!(set.without(&other).ranges(), [0x40..0x50, 0xfff..0x1000]);
        assert!(set.contains(0x4f) && !set.contains(0x50));
    }
}
