// SPDX-License-Identifier: GPL-2.0

//! Every device of a machine or of a dump: how much of it is unassigned, who drives it, and whether
//! it is exempt.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use pci_config::{Bdf, Id};
use serde::Serialize;

use crate::known::exceptions::{Exceptions, Of};
use crate::map::{Map, Unassigned};
use crate::pci_ids::Names;
use crate::space::Space;
use crate::words::range_text;

/// One device.
#[derive(Debug, Serialize)]
pub struct Device {
    /// Its address.
    pub device: String,
    /// `vendor:device`; nothing for a virtual function of which it is not known.
    pub id: Option<String>,
    /// What it is called.
    pub name: Option<String>,
    /// Its driver in this machine; nothing if it has none.
    pub driver: Option<String>,
    /// Whether that was chosen by hand, as driverctl does.
    pub overridden: bool,
    /// Its IOMMU group in this machine.
    pub iommu_group: Option<u32>,
    /// Whether `uaccess_allow_ids` of this machine exempts it, or a part of it; nothing if that is
    /// not known.
    pub exempt: Option<String>,
    /// How many bytes its configuration space has.
    pub size: Option<usize>,
    /// The maximal ranges of unassigned bytes; nothing if it has no map.
    pub unassigned: Option<Vec<Unassigned>>,
    /// Why it has no map.
    pub why_not: Option<String>,
}

/// Every device of the machine whose files are under `root`.
pub fn of_machine(root: &Path) -> Result<Vec<Device>> {
    let sysfs = root.join("sys");
    let folder = sysfs.join("bus/pci/devices");
    let names = Names::of_system(root);
    let exempt =
        fs::read_to_string(root.join("sys/module/vfio_pci_audit/parameters/uaccess_allow_ids"))
            .ok();
    let mut addresses: Vec<Bdf> = fs::read_dir(&folder)
        .with_context(|| folder.display().to_string())?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    addresses.sort();
    let devices = addresses.into_iter().map(|bdf| {
        let folder = folder.join(bdf.to_string());
        let link = |name: &str| {
            let target = fs::read_link(folder.join(name)).ok()?;
            Some(target.file_name()?.to_str()?.to_owned())
        };
        let chosen = fs::read_to_string(folder.join("driver_override")).unwrap_or_default();
        let space = Space::from_sysfs(&sysfs, bdf);
        let mut device = match &space {
            Ok(space) => Device::new(space, &names),
            Err(error) => Device::unreadable(bdf, format!("{error:#}")),
        };
        device.driver = link("driver");
        device.overridden = !matches!(chosen.trim(), "" | "(null)");
        device.iommu_group = link("iommu_group").and_then(|group| group.parse().ok());
        let id = space.ok().and_then(|space| space.id);
        device.exempt = exempt
            .as_deref()
            .zip(id)
            .map(|(list, id)| exemption(list, id));
        device
    });
    Ok(devices.collect())
}

/// Every device of a dump.
pub fn of_spaces(spaces: &[Space], root: &Path) -> Vec<Device> {
    let names = Names::of_system(root);
    spaces
        .iter()
        .map(|space| Device::new(space, &names))
        .collect()
}

impl Device {
    fn new(space: &Space, names: &Names) -> Self {
        let bdf = space.bdf.map(|bdf| bdf.to_string()).unwrap_or_default();
        let map = Map::new(space);
        let said = Some(&space.what).filter(|what| !what.is_empty());
        Self {
            device: bdf,
            id: space.id.map(|id| id.to_string()),
            name: space
                .id
                .and_then(|id| names.name(id))
                .or_else(|| said.cloned()),
            driver: None,
            overridden: false,
            iommu_group: None,
            exempt: None,
            size: map.as_ref().ok().map(Map::size),
            unassigned: map
                .as_ref()
                .ok()
                .map(|map| map.unassigned().iter().map(Unassigned::new).collect()),
            why_not: map.err().map(|error| format!("{error:#}")),
        }
    }

    fn unreadable(bdf: Bdf, why: String) -> Self {
        Self {
            device: bdf.to_string(),
            id: None,
            name: None,
            driver: None,
            overridden: false,
            iommu_group: None,
            exempt: None,
            size: None,
            unassigned: None,
            why_not: Some(why),
        }
    }

    /// What people read.
    fn text(&self) -> String {
        let mut text = self.device.clone();
        if let Some(id) = &self.id {
            text += &format!(" {id}");
        }
        if let Some(name) = &self.name {
            text += &format!(" {name}");
        }
        text.push('\n');
        let mut facts = Vec::new();
        if let Some(driver) = &self.driver {
            // As driverctl marks them.
            let mark = if self.overridden { " [*]" } else { "" };
            facts.push(format!("driver {driver}{mark}"));
        }
        if let Some(group) = self.iommu_group {
            facts.push(format!("IOMMU group {group}"));
        }
        if let Some(exempt) = &self.exempt {
            facts.push(exempt.clone());
        }
        match (&self.unassigned, self.size) {
            (Some(ranges), Some(size)) => {
                let bytes: usize = ranges.iter().map(|range| range.size).sum();
                let ranges = ranges.iter().map(|range| range_text(&range.range()));
                let ranges = ranges.collect::<Vec<_>>().join(", ");
                facts.push(format!("{bytes} of {size} bytes unassigned: {ranges}"));
            }
            _ => facts.extend(self.why_not.clone()),
        }
        text += &format!("    {}\n", facts.join("; "));
        text
    }
}

/// What `uaccess_allow_ids`, as the kernel shows it, says of a device.
fn exemption(list: &str, id: Id) -> String {
    // A list that does not fit ends with how many entries more there are.
    let (shown, is_whole) = match list.rsplit_once(",... and ") {
        Some((shown, _)) => (shown, false),
        None => (list, true),
    };
    let Ok(list) = Exceptions::parse(shown) else {
        return "unknown whether it is exempt".to_owned();
    };
    match list.of(id) {
        Of::Everything => "exempt".to_owned(),
        Of::Nothing if is_whole => "not exempt".to_owned(),
        Of::Nothing => "not exempt by the part of the list that the kernel shows".to_owned(),
        Of::Ranges(ranges) => {
            let ranges: Vec<String> = ranges.iter().map(range_text).collect();
            format!("exempt at {}", ranges.join(", "))
        }
    }
}

/// All of them, as text.
pub fn text(devices: &[Device]) -> String {
    devices.iter().map(Device::text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exemptions() {
        let list = "10de:*@488-48b,10de:1eb8@704-707,8086:10d3\n";
        let of = |vendor, device| exemption(list, Id::new(vendor, device));
        assert_eq!(of(0x8086, 0x10d3), "exempt");
        assert_eq!(of(0x8086, 0x10d4), "not exempt");
        assert_eq!(of(0x10de, 0x1eb8), "exempt at 0x488-0x48b, 0x704-0x707");
        assert_eq!(of(0x10de, 0x0001), "exempt at 0x488-0x48b");
        assert_eq!(of(0x10d, 0x0001), "not exempt");
        assert_eq!(exemption("", Id::new(1, 2)), "not exempt");
        assert_eq!(exemption("0001:*", Id::new(1, 2)), "exempt");
        let cut = "0001:0002@40-43,... and 9 more\n";
        assert_eq!(exemption(cut, Id::new(1, 2)), "exempt at 0x040-0x043");
        assert_eq!(
            exemption(cut, Id::new(1, 3)),
            "not exempt by the part of the list that the kernel shows"
        );
        assert_eq!(
            exemption("?", Id::new(1, 2)),
            "unknown whether it is exempt"
        );
    }
}
