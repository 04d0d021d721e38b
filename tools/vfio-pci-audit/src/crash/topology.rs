// SPDX-License-Identifier: GPL-2.0

//! Which ports a device is below, by the bus numbers in the bridges' headers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use pci_config::Bdf;

use crate::space::Space;

/// Where the bus numbers of a bridge are.
const SECONDARY: usize = 0x19;
const SUBORDINATE: usize = 0x1a;
const HEADER_TYPE: usize = 0x0e;

/// The bridges, with the buses below each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    bridges: BTreeMap<Bdf, (u8, u8)>,
}

impl Topology {
    /// The bridges of this machine, from the folder that sysfs is in.
    pub fn of_machine(sysfs: &Path) -> Self {
        let mut topology = Self::default();
        let entries = fs::read_dir(sysfs.join("bus/pci/devices"));
        for entry in entries.into_iter().flatten().flatten() {
            let bdf = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            // Every user may read the first 64 bytes.
            let config = fs::read(entry.path().join("config"));
            if let (Some(bdf), Ok(config)) = (bdf, config) {
                topology.add(bdf, &config);
            }
        }
        topology
    }

    /// Add those of dumps, which count more.
    pub fn add_spaces(&mut self, spaces: &[Space]) {
        for space in spaces {
            if let Some(bdf) = space.bdf {
                self.add(bdf, &space.config);
            }
        }
    }

    /// Add a function, if it is a bridge.
    pub fn add(&mut self, bdf: Bdf, config: &[u8]) {
        let byte = |at: usize| config.get(at).copied();
        let is_bridge = byte(HEADER_TYPE).is_some_and(|layout| layout & 0x7f == 1);
        let buses = byte(SECONDARY).zip(byte(SUBORDINATE));
        if let Some((first, last)) =
            buses.filter(|(first, last)| is_bridge && 0 < *first && first <= last)
        {
            self.bridges.insert(bdf, (first, last));
        }
    }

    /// Whether a bridge is known.
    pub fn is_bridge(&self, bdf: Bdf) -> bool {
        self.bridges.contains_key(&bdf)
    }

    /// Whether a device is below a bridge.
    pub fn is_below(&self, device: Bdf, bridge: Bdf) -> bool {
        let buses = self.bridges.get(&bridge);
        device.domain() == bridge.domain()
            && buses.is_some_and(|(first, last)| (*first..=*last).contains(&device.bus()))
    }

    /// The bridge right above a device.
    pub fn parent(&self, device: Bdf) -> Option<Bdf> {
        let above = self
            .bridges
            .iter()
            .filter(|(bridge, _)| self.is_below(device, **bridge));
        above
            .min_by_key(|(_, (first, last))| last - first)
            .map(|(bridge, _)| *bridge)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn bdf(text: &str) -> Bdf {
        text.parse().unwrap()
    }

    pub(crate) fn bridge(first: u8, last: u8) -> Vec<u8> {
        let mut config = vec![0; 64];
        config[HEADER_TYPE] = 0x81;
        config[SECONDARY] = first;
        config[SUBORDINATE] = last;
        config
    }

    #[test]
    fn devices_are_below_ports() {
        let mut topology = Topology::default();
        topology.add(bdf("00:01.0"), &bridge(1, 4));
        topology.add(bdf("02:00.0"), &bridge(3, 3));
        topology.add(bdf("00:02.0"), &bridge(5, 5));
        topology.add(bdf("00:03.0"), &[0; 64]);
        topology.add(bdf("00:04.0"), &bridge(0, 0));
        topology.add(bdf("00:05.0"), &bridge(7, 7)[..20]);
        for (device, parent) in [
            ("03:00.1", Some("02:00.0")),
            ("04:00.0", Some("00:01.0")),
            ("05:00.0", Some("00:02.0")),
            ("00:02.0", None),
            ("07:00.0", None),
            ("0001:03:00.0", None),
        ] {
            assert_eq!(topology.parent(bdf(device)), parent.map(bdf), "{device}");
        }
        assert!(topology.is_below(bdf("03:00.0"), bdf("00:01.0")));
        assert!(!topology.is_below(bdf("05:00.0"), bdf("00:01.0")));
        assert!(topology.is_bridge(bdf("02:00.0")) && !topology.is_bridge(bdf("00:03.0")));
    }
}
