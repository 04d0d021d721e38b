// SPDX-License-Identifier: GPL-2.0

//! Exceptions by range, as the kernel reads `uaccess_allow_ids` and shows it.

use std::convert::Infallible;
use std::fmt;
use std::ops::Range;

use pci_audit_core::allow_list::{self, Entry, Excepted, ParseError};
use pci_config::Id;

use crate::touched::Touched;

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
            "too long for sysfs (4096 bytes) and for the kernel's command line: set it when the \
             module is loaded",
        ),
    }
}

/// Byte ranges of devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exceptions(Vec<Entry>);

/// Which bytes of a device are excepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Of {
    /// None.
    Nothing,
    /// All.
    Everything,
    /// These.
    Ranges(Vec<Range<usize>>),
}

impl Exceptions {
    /// Read a list as the kernel does. It refuses a list for one entry, which is returned.
    pub fn parse(list: &str) -> Result<Self, String> {
        let mut entries = Vec::new();
        let parsed = allow_list::parse(list.as_bytes(), |entry| {
            entries.push(entry);
            Ok::<_, Infallible>(())
        });
        match parsed {
            Ok(()) => {}
            Err(ParseError::BadEntry(entry)) => {
                return Err(String::from_utf8_lossy(entry).into_owned())
            }
            Err(ParseError::Push(never)) => match never {},
        }
        Ok(Self(entries).normalized())
    }

    /// Except some bytes of a device, none if the range is empty.
    pub fn add(&mut self, id: Id, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        let entry = format!("{id}@{:x}-{:x}", range.start, range.end - 1);
        // The kernel has no bytes that it would refuse here.
        let entry = Self::parse(&entry).expect("a range in configuration space");
        self.0.extend(entry.0);
    }

    /// What is excepted of a device.
    pub fn of(&self, id: Id) -> Of {
        let list = self.clone().normalized().0;
        let id = allow_list::Id::new(id.vendor, id.device);
        match allow_list::find(&list, id) {
            Excepted::Nothing => Of::Nothing,
            Excepted::Everything => Of::Everything,
            Excepted::Ranges => {
                let mut bytes = Touched::default();
                allow_list::mark(&list, id, 0, bytes.words());
                Of::Ranges(bytes.ranges())
            }
        }
    }

    /// Sorted, with ranges united that overlap or follow each other.
    fn normalized(mut self) -> Self {
        let kept = allow_list::normalize(&mut self.0);
        self.0.truncate(kept);
        self
    }
}

/// Equal lists have equal texts.
impl fmt::Display for Exceptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.clone().normalized().0;
        let entries: Vec<String> = entries.iter().map(Entry::to_string).collect();
        f.write_str(&entries.join(","))
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
    fn the_kernel_reads_what_is_written() {
        let mut exceptions = Exceptions::default();
        assert_eq!(exceptions.to_string(), "");
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
        let text = exceptions.to_string();
        assert_eq!(text, "10de:10d3@60-60,10de:1eb8@488-48b,10de:1eb8@704-707");
        let read = Exceptions::parse(&text).unwrap();
        assert_eq!(read.to_string(), text);
        let ranges = vec![0x488..0x48c, 0x704..0x708];
        assert_eq!(read.of(Id::new(0x10de, 0x1eb8)), Of::Ranges(ranges));
        assert_eq!(read.of(Id::new(0x10de, 0x1eb9)), Of::Nothing);
        assert_eq!(
            Exceptions::parse("10de:1eb8@488-48b,10de:1eb8@48b-488"),
            Err("10de:1eb8@48b-488".to_owned())
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
