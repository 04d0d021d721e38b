// SPDX-License-Identifier: GPL-2.0

//! Ways to configuration space without a decision: mirrors of it in memory BARs, and vendor
//! capabilities, which VFIO passes through.

use pci_config::{Capability, ConfigMap};
use serde::Serialize;

use super::data::{Mirror, DATA};
use super::device::Device;
use super::machine::Machine;
use crate::words::range_text;

/// A way to configuration space that the hook does not see.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Beyond {
    /// A place in memory.
    Mirror {
        /// The number of the base address register.
        bar: u8,
        /// The first byte in it.
        offset: u64,
        /// How many bytes.
        size: u64,
        /// What of configuration space is reached.
        reaches: &'static str,
        /// When QEMU turns accesses into configuration accesses; nothing if it never does.
        qemu: Option<&'static str>,
        /// What says so.
        source: &'static str,
        /// What else there is to say.
        note: Option<&'static str>,
    },
    /// A capability.
    Raw {
        /// Its first byte.
        offset: usize,
        /// How many bytes.
        size: usize,
        /// What it is called.
        name: &'static str,
    },
}

/// A device, and the ways to it that the hook does not see.
#[derive(Clone, Debug, Serialize)]
pub struct Exposed {
    /// Its address.
    pub device: String,
    /// `vendor:device`.
    pub id: String,
    /// How it comes to VFIO.
    pub binding: String,
    /// Whether its capabilities are known.
    pub layout_known: bool,
    /// What goes past the hook.
    pub beyond: Vec<Beyond>,
}

/// The devices of a machine that VFIO has, or may get, of which something goes past the hook, or
/// may do so.
pub fn of_machine(machine: &Machine) -> Vec<Exposed> {
    let devices = machine.of_vfio().into_iter();
    let exposed = devices.map(|(bdf, binding, subject)| Exposed {
        device: bdf.to_string(),
        id: subject.device.id.to_string(),
        binding: binding.to_string(),
        layout_known: subject.map().is_some(),
        beyond: of(&subject.device, subject.map()),
    });
    exposed
        .filter(|device| !device.beyond.is_empty() || !device.layout_known)
        .collect()
}

impl Exposed {
    /// The lines on it.
    pub fn text(&self) -> String {
        let mut text = format!("  {} {}, {}\n", self.device, self.id, self.binding);
        for beyond in &self.beyond {
            text += &format!("    {}\n", beyond.text());
        }
        if !self.layout_known {
            text += "    and vendor capabilities, if any: run this as root to list them\n";
        }
        text
    }
}

/// What goes past the hook on a device: its mirrors, and its capabilities where its layout is
/// known.
pub fn of(device: &Device, map: Option<&ConfigMap>) -> Vec<Beyond> {
    let mirrors = DATA.mirrors.iter().filter(|row| row.devices.has(device));
    let caps = map.map_or(&[][..], ConfigMap::capabilities);
    let raw = caps.iter().filter_map(|cap| raw(cap, map?.size()));
    mirrors.map(Beyond::from).chain(raw).collect()
}

/// A vendor's own capability, of either list.
fn raw(cap: &Capability, size: usize) -> Option<Beyond> {
    const VENDOR: u16 = 0x09;
    const VENDOR_EXTENDED: u16 = 0x0b;
    const DESIGNATED_VENDOR: u16 = 0x23;

    let is_raw = match cap.extended {
        false => cap.id == VENDOR,
        true => matches!(cap.id, VENDOR_EXTENDED | DESIGNATED_VENDOR),
    };
    let end = cap.range().end.min(size);
    (is_raw && cap.offset < end).then(|| Beyond::Raw {
        offset: cap.offset,
        size: end - cap.offset,
        name: cap.name().unwrap_or("a vendor's own"),
    })
}

impl From<&'static Mirror> for Beyond {
    fn from(row: &'static Mirror) -> Self {
        Self::Mirror {
            bar: row.bar,
            offset: row.offset,
            size: row.size,
            reaches: &row.reaches,
            qemu: row.qemu.as_deref(),
            source: &row.source,
            note: row.note.as_deref(),
        }
    }
}

impl Beyond {
    /// A sentence of it.
    pub fn text(&self) -> String {
        match self {
            Self::Mirror {
                bar,
                offset,
                size,
                reaches,
                qemu,
                ..
            } => {
                let qemu = match qemu {
                    Some(when) => format!("; QEMU turns it into configuration accesses {when}"),
                    None => String::new(),
                };
                let last = offset + size - 1;
                format!("BAR{bar} {offset:#x}-{last:#x} reaches {reaches}{qemu}")
            }
            Self::Raw { offset, size, name } => format!(
                "{} {name} is assigned, and writes reach the device as they are",
                range_text(&(*offset..offset + size))
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use pci_config::{dump, Id};

    use super::*;
    use crate::known::subject::Subject;

    #[test]
    fn a_gpu_has_mirrors_and_vendor_capabilities() {
        let text = include_str!("../../tests/data/gpu.lspci");
        let config = &dump::parse(text.as_bytes()).devices[0].config;
        let subject = Subject::from_config(config).unwrap();
        let texts: Vec<String> = of(&subject.device, subject.map())
            .iter()
            .map(Beyond::text)
            .collect();
        assert!(
            texts
                .iter()
                .any(|text| text.starts_with("BAR0 0x88000-0x88fff reaches")),
            "{texts:?}"
        );
        let raw =
            "0x0b4-0x0c7 Vendor-Specific is assigned, and writes reach the device as they are";
        assert!(texts.iter().any(|text| text == raw), "{texts:?}");
        // Its layout is not known, so only the mirrors are.
        assert_eq!(of(&subject.device, None).len(), 3);
    }

    #[test]
    fn most_devices_have_none() {
        let device = Device {
            id: Id::new(0x8086, 0x10d3),
            class: Some(0x020000),
        };
        assert!(of(&device, None).is_empty());
    }
}
