// SPDX-License-Identifier: GPL-2.0

//! What blocks some bytes of one device, and nothing else.

use std::collections::BTreeSet;
use std::ops::Range;

use pci_config::Bdf;
use pci_config::Id;
use serde::Serialize;

use super::devices::Devices;
use crate::record::Op;

/// The end of configuration space.
const END: usize = 0x1000;

/// A setting, and what there is to say of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// The device.
    pub device: String,
    /// `block_pci_unassigned_write=Y uaccess_allow_ids=…`
    pub options: String,
    /// What else has to be known.
    pub notes: Vec<String>,
}

/// Block what an access to bytes of a device did. Everything else is exempted: the rest of the
/// device, and the other devices of its machine that VFIO has, if that is this machine.
pub fn setting(devices: &mut Devices<'_>, device: Bdf, range: &Range<usize>, op: Op) -> Setting {
    let id = devices.subject(device).map(|subject| subject.device.id);
    let of_vfio = devices.of_vfio();
    let others = of_vfio.unwrap_or_default().iter();
    let others: Vec<Id> = others
        .filter(|(bdf, _)| *bdf != device)
        .map(|(_, id)| *id)
        .collect();
    let same = others.iter().filter(|other| Some(**other) == id).count();
    let ids: BTreeSet<String> = others
        .iter()
        .filter(|other| Some(**other) != id)
        .map(Id::to_string)
        .collect();
    let mut notes = Vec::new();
    let mut exceptions = id.map_or_else(Vec::new, |id| rest_of(id, range));
    exceptions.extend(ids);
    match id {
        None => notes.push(format!(
            "the id of {device} is unknown here (--dump): add VENDOR:DEVICE@START-END to \
             uaccess_allow_ids for its bytes that must not be blocked"
        )),
        Some(id) if same > 0 => notes.push(format!(
            "it applies to all devices with the id {id}: there are {}",
            same + 1
        )),
        Some(_) => {}
    }
    if of_vfio.is_none() {
        notes.push(
            "the other devices of that machine are unknown here: add the VENDOR:DEVICE of each \
             that VFIO has to uaccess_allow_ids, or it is blocked, too"
                .to_owned(),
        );
    }
    notes.push(
        "devices that are added later have to be excepted, or they are blocked, too".to_owned(),
    );
    let mut options = match op {
        Op::Write => "block_pci_unassigned_write=Y".to_owned(),
        // With reads alone blocked, a read-modify-write puts wrong bits into registers.
        Op::Read => "block_pci_unassigned_read=Y block_pci_unassigned_write=Y".to_owned(),
    };
    if !exceptions.is_empty() {
        options += &format!(" uaccess_allow_ids={}", exceptions.join(","));
    }
    Setting {
        device: device.to_string(),
        options,
        notes,
    }
}

/// The bytes before and behind a range, as exceptions.
fn rest_of(id: Id, range: &Range<usize>) -> Vec<String> {
    let before = (range.start > 0).then(|| format!("{id}@0-{:x}", range.start - 1));
    let behind = (range.end < END).then(|| format!("{id}@{:x}-{:x}", range.end, END - 1));
    before.into_iter().chain(behind).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::known::machine::Machine;
    use crate::map::Maps;

    fn device(root: &Path, bdf: &str, vendor: &str, id: &str) {
        let folder = root.join("bus/pci/devices").join(bdf);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("vendor"), vendor).unwrap();
        fs::write(folder.join("device"), id).unwrap();
        fs::write(folder.join("driver_override"), "vfio-pci\n").unwrap();
    }

    fn machine(root: &Path) -> Machine {
        Machine::new(Maps {
            sysfs: Some(root.to_owned()),
            ..Maps::default()
        })
    }

    #[test]
    fn everything_else_is_exempt() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        device(root, "0000:01:00.0", "0x8086", "0x10d3");
        device(root, "0000:02:00.0", "0x1af4", "0x1044");
        let of_device = |device: &str, range, op| {
            let machine = machine(root);
            setting(
                &mut Devices::new(&machine),
                device.parse().unwrap(),
                &range,
                op,
            )
        };
        let of = |range, op| of_device("01:00.0", range, op);
        let found = of(0x2f8..0x2fc, Op::Write);
        assert_eq!(
            found.options,
            "block_pci_unassigned_write=Y \
             uaccess_allow_ids=8086:10d3@0-2f7,8086:10d3@2fc-fff,1af4:1044"
        );
        assert_eq!(found.notes.len(), 1);
        assert!(of(0xffc..0x1000, Op::Read)
            .options
            .ends_with("uaccess_allow_ids=8086:10d3@0-ffb,1af4:1044"));
        // The other one of the kind is blocked, too, and that is said.
        device(root, "0000:03:00.0", "0x8086", "0x10d3");
        let found = of(0x2f8..0x2fc, Op::Write);
        assert!(
            found.notes[0].contains("8086:10d3: there are 2"),
            "{:?}",
            found.notes
        );
        let unknown = of_device("09:00.0", 8..12, Op::Write);
        assert!(unknown.notes[0].contains("--dump"), "{:?}", unknown.notes);
        assert!(unknown
            .options
            .ends_with("uaccess_allow_ids=1af4:1044,8086:10d3"));
    }
}
