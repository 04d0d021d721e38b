// SPDX-License-Identifier: GPL-2.0

//! How often each byte of a configuration space was accessed.

use std::ops::Range;

/// Bytes of the largest configuration space.
pub const SPACE: usize = pci_audit_core::access::CONFIG_SPACE_SIZE;

const PAGE: usize = 256;

/// Where accesses began and ended in one part of the space.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Page {
    begins: [u64; PAGE],
    ends: [u64; PAGE],
}

/// Counts accesses by place. What it takes depends on where they went, not on how many there were:
/// 4 KiB for each 256 bytes of the space.
///
/// Adding an access takes the same few steps whatever its size, since only its ends are noted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heat {
    pages: [Option<Box<Page>>; SPACE / PAGE],
}

/// Bytes that belong together, and how many accesses were made there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The bytes.
    pub range: Range<usize>,
    /// Each of them lies in one spot only.
    pub accesses: u64,
}

impl Heat {
    /// Count an access to a range that is not empty and lies in the space.
    pub fn add(&mut self, range: Range<usize>) {
        self.page(range.start).begins[range.start % PAGE] += 1;
        let last = range.end - 1;
        self.page(last).ends[last % PAGE] += 1;
    }

    fn page(&mut self, offset: usize) -> &mut Page {
        self.pages[offset / PAGE].get_or_insert_with(|| {
            Box::new(Page {
                begins: [0; PAGE],
                ends: [0; PAGE],
            })
        })
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.pages.iter().all(Option::is_none)
    }

    /// How many accesses touched each byte.
    pub fn counts(&self) -> Vec<u64> {
        let mut running = 0;
        let mut counts = Vec::with_capacity(SPACE);
        for page in &self.pages {
            for at in 0..PAGE {
                let (begins, ends) = page
                    .as_ref()
                    .map_or((0, 0), |page| (page.begins[at], page.ends[at]));
                running += begins;
                counts.push(running);
                running -= ends;
            }
        }
        counts
    }

    /// The maximal ranges of bytes that were touched, in order.
    pub fn spots(&self) -> Vec<Spot> {
        let mut spots: Vec<Spot> = Vec::new();
        for (offset, count) in self.counts().into_iter().enumerate() {
            if count == 0 {
                continue;
            }
            let page = self.pages[offset / PAGE].as_ref();
            let begins = page.map_or(0, |page| page.begins[offset % PAGE]);
            match spots.last_mut() {
                Some(spot) if spot.range.end == offset => {
                    spot.range.end += 1;
                    spot.accesses += begins;
                }
                _ => spots.push(Spot {
                    range: offset..offset + 1,
                    accesses: begins,
                }),
            }
        }
        spots
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_same_as_counting_every_byte(
            accesses in prop::collection::vec((0..SPACE, 1usize..600), 0..40),
        ) {
            let mut heat = Heat::default();
            let mut counts = vec![0; SPACE];
            let mut ranges = Vec::new();
            for (start, size) in accesses {
                let range = start..(start + size).min(SPACE);
                counts[range.clone()].iter_mut().for_each(|count| *count += 1);
                heat.add(range.clone());
                ranges.push(range);
            }
            prop_assert_eq!(&heat.counts(), &counts);
            prop_assert_eq!(heat.is_empty(), ranges.is_empty());
            let spots = heat.spots();
            for pair in spots.windows(2) {
                prop_assert!(pair[0].range.end < pair[1].range.start);
            }
            for (offset, count) in counts.iter().enumerate() {
                let inside = spots.iter().any(|spot| spot.range.contains(&offset));
                prop_assert_eq!(inside, *count > 0);
            }
            for spot in &spots {
                let here = ranges.iter().filter(|range| spot.range.contains(&range.start));
                prop_assert_eq!(spot.accesses, here.count() as u64);
            }
        }
    }
}
