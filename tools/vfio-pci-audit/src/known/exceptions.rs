// SPDX-License-Identifier: GPL-2.0

//! Exceptions by range, as `uaccess_allow_ids` takes them.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use pci_config::Id;

/// From how many bytes on sysfs would cut a list: the kernel refuses what fills a page.
const SYSFS: usize = 4096;
/// The whole command line of most kernels.
const COMMAND_LINE: usize = 2048;

/// Where a list of that length cannot be given.
pub fn too_long_for(list: &str) -> Option<&'static str> {
    match list.len() {
        ..COMMAND_LINE => None,
        COMMAND_LINE..SYSFS => Some("too long for the command line of most kernels: 2048 bytes"),
        SYSFS.. => Some(
            "too long for sysfs (4096 bytes) and for the kernel's command line: give it when the \
             module is loaded",
        ),
    }
}

/// Byte ranges of devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exceptions(BTreeMap<Id, Vec<Range<usize>>>);

impl Exceptions {
    /// Except some bytes of a device, none if the range is empty.
    pub fn add(&mut self, id: Id, range: Range<usize>) {
        if !range.is_empty() {
            self.0.entry(id).or_default().push(range);
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Sorted, with ranges united that overlap or follow each other, so that equal lists have equal
/// texts.
impl fmt::Display for Exceptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for (id, ranges) in &self.0 {
            for range in united(ranges) {
                write!(f, "{comma}{id}@{:x}-{:x}", range.start, range.end - 1)?;
                comma = ",";
            }
        }
        Ok(())
    }
}

/// The same bytes in as few ranges as there can be.
pub fn united(ranges: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut ranges = ranges.to_vec();
    ranges.sort_by_key(|range| range.start);
    let mut united: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match united.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => united.push(range),
        }
    }
    united
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_the_one_of_its_bytes() {
        let mut exceptions = Exceptions::default();
        assert!(exceptions.is_empty());
        for (device, range) in [
            (0x1eb8, 0x704..0x708),
            (0x1eb8, 0x488..0x48a),
            (0x10d3, 0x60..0x61),
            (0x1eb8, 0x48a..0x48c),
            (0x1eb8, 0x488..0x489),
            (0x1eb8, 0x50..0x50),
        ] {
            exceptions.add(Id::new(0x10de, device), range);
        }
        assert_eq!(
            exceptions.to_string(),
            "10de:10d3@60-60,10de:1eb8@488-48b,10de:1eb8@704-707"
        );
    }

    #[test]
    fn a_long_list_is_told() {
        for (length, why) in [
            (0, None),
            (2047, None),
            (2048, Some("command line")),
            (4095, Some("command line")),
            (4096, Some("sysfs")),
        ] {
            let said = too_long_for(&"x".repeat(length));
            let told = match (said, why) {
                (Some(said), Some(why)) => said.contains(why),
                (said, why) => said == why,
            };
            assert!(told, "{length}: {said:?}");
        }
    }
}
