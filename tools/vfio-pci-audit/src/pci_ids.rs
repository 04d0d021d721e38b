// SPDX-License-Identifier: GPL-2.0

//! The names of devices, from the system's copy of pci.ids.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use pci_config::Id;

/// Where systems keep it.
const PLACES: [&str; 4] = [
    "usr/share/misc/pci.ids",
    "usr/share/hwdata/pci.ids",
    "usr/share/pci.ids",
    "var/lib/pciutils/pci.ids",
];

/// Names by vendor and device.
#[derive(Clone, Debug, Default)]
pub struct Names {
    vendors: HashMap<u16, String>,
    devices: HashMap<(u16, u16), String>,
}

impl Names {
    /// Those of the system whose files are under `root`; none if it has no such file.
    pub fn of_system(root: &Path) -> Self {
        let read = |place: &str| fs::read(root.join(place)).ok();
        let bytes = PLACES.iter().find_map(|place| read(place));
        bytes.map_or_else(Self::default, |bytes| {
            Self::parse(&String::from_utf8_lossy(&bytes))
        })
    }

    fn parse(text: &str) -> Self {
        let mut names = Self::default();
        let mut vendor = None;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            // What is further in is about subsystems, and what does not begin with a number about
            // classes.
            match line.strip_prefix('\t') {
                Some(device) if !device.starts_with('\t') => {
                    if let (Some(vendor), Some((id, name))) = (vendor, entry(device)) {
                        names.devices.insert((vendor, id), name);
                    }
                }
                Some(_) => {}
                None => {
                    let found = entry(line);
                    vendor = found.as_ref().map(|(id, _)| *id);
                    names.vendors.extend(found);
                }
            }
        }
        names
    }

    /// What a device is called.
    pub fn name(&self, id: Id) -> Option<String> {
        let (vendor, device) = numbers(id)?;
        let vendor_name = self.vendors.get(&vendor)?;
        Some(match self.devices.get(&(vendor, device)) {
            Some(name) => format!("{vendor_name} {name}"),
            None => vendor_name.clone(),
        })
    }
}

fn numbers(id: Id) -> Option<(u16, u16)> {
    let text = id.to_string();
    let (vendor, device) = text.split_once(':')?;
    let number = |text| u16::from_str_radix(text, 16).ok();
    Some((number(vendor)?, number(device)?))
}

/// `8086  Intel Corporation`
fn entry(line: &str) -> Option<(u16, String)> {
    let (id, name) = line.split_at_checked(4)?;
    let name = name.strip_prefix("  ")?;
    let id = u16::from_str_radix(id, 16).ok()?;
    Some((id, name.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found() {
        let text = "# comment\n8086  Intel Corporation\n\t10d3  82574L Gigabit\n\t\t8086 a01f  \
                    Other\n10de  NVIDIA\n\nC 02  Network\n\t00  Ethernet\nffff  Illegal Vendor\n";
        let names = Names::parse(text);
        let name = |vendor, device| names.name(Id::new(vendor, device));
        assert_eq!(
            name(0x8086, 0x10d3).as_deref(),
            Some("Intel Corporation 82574L Gigabit")
        );
        assert_eq!(name(0x8086, 0x0000).as_deref(), Some("Intel Corporation"));
        assert_eq!(name(0x10de, 0x1eb8).as_deref(), Some("NVIDIA"));
        assert_eq!(name(0x1234, 0x11e8), None);
        // A class is no vendor.
        assert_eq!(name(0x10de, 0x0000).as_deref(), Some("NVIDIA"));
        let root = tempfile::tempdir().unwrap();
        assert!(Names::of_system(root.path())
            .name(Id::new(0x8086, 0))
            .is_none());
    }
}
