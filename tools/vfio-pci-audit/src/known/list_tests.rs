// SPDX-License-Identifier: GPL-2.0

//! What is known, as lists that the kernel's own parser reads; and how long such lists get.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;

use pci_config::{Id, CONVENTIONAL};

use super::data::{Register, DATA};
use super::device::Pattern;
use super::exceptions::{Exceptions, Of};
use super::machine::Machine;
use super::modprobe::Modprobe;
use crate::map::Maps;

/// A device that a pattern means.
fn device(pattern: Pattern) -> Id {
    const ANY: [Id; 2] = [Id::new(0x1234, 0x5678), Id::new(0x10de, 0x1eb8)];
    let parse = || pattern.to_string().replace('*', "5678").parse().ok();
    let known = ANY.into_iter().find(|id| pattern.has(*id));
    known.or_else(parse).unwrap()
}

#[test]
fn the_kernel_takes_every_register() {
    let mut all = Vec::new();
    for row in &DATA.registers {
        let bytes = row.bytes.range();
        for pattern in &row.devices.ids {
            // The kernel has no exceptions of every vendor: these are of the devices of a class.
            let of = match pattern.is_of_any_vendor() {
                true => device(*pattern).to_string(),
                false => pattern.to_string(),
            };
            all.push(format!("{of}@{:x}-{:x}", bytes.start, bytes.end - 1));
        }
    }
    let list = Exceptions::parse(&all.join(",")).unwrap();
    let text = list.to_string();
    assert_eq!(Exceptions::parse(&text).unwrap(), list);
    assert_eq!(Exceptions::parse(&text).unwrap().to_string(), text);
    for row in &DATA.registers {
        for pattern in &row.devices.ids {
            let Of::Ranges(ranges) = list.of(device(*pattern)) else {
                panic!("{pattern} {row:?}");
            };
            let bytes = row.bytes.range();
            let has = |range: &std::ops::Range<usize>| {
                range.start <= bytes.start && bytes.end <= range.end
            };
            assert!(ranges.iter().any(has), "{pattern} {row:?}");
        }
    }
}

/// The list for a machine that gives these devices of each row away.
fn of_machine(ids: fn(&Register) -> &[Pattern]) -> Modprobe {
    let folder = tempfile::tempdir().unwrap();
    let rows = DATA.registers.iter();
    let devices = rows.flat_map(|row| ids(row).iter().map(|id| (device(*id), row.devices.class)));
    for (number, (id, class)) in devices.enumerate() {
        let bdf = format!(
            "0000:{:02x}:{:02x}.{}",
            number >> 8,
            number >> 3 & 31,
            number & 7
        );
        let device = folder.path().join("bus/pci/devices").join(bdf);
        fs::create_dir_all(&device).unwrap();
        let class = class.map_or("00".to_owned(), |class| class.to_string());
        for (name, value) in [
            ("vendor", format!("0x{:04x}", id.vendor)),
            ("device", format!("0x{:04x}", id.device)),
            ("class", format!("0x{class:0<6}")),
        ] {
            fs::write(device.join(name), value).unwrap();
        }
        symlink("../drivers/vfio-pci", device.join("driver")).unwrap();
    }
    Modprobe::new(&Machine::new(Maps {
        sysfs: Some(folder.path().to_owned()),
        ..Maps::default()
    }))
}

#[test]
fn a_host_with_one_of_each_old_device_has_a_list_that_sysfs_takes() {
    let modprobe = of_machine(|row| {
        let old = row.bytes.range().start < CONVENTIONAL;
        &row.devices.ids[..usize::from(old)]
    });
    let list = &modprobe.uaccess_allow_ids;
    assert!((2048..4096).contains(&list.len()), "{}", list.len());
    assert_eq!(Exceptions::parse(list).unwrap().to_string(), *list);
    let limit = "# too long for the command line of most kernels: 2048 bytes\noptions ";
    assert!(modprobe.text().contains(limit), "{}", modprobe.text());
}

/// The guide's figures are those of the data.
#[test]
fn the_guide_knows_how_long_a_list_gets() {
    let list = of_machine(|row| &row.devices.ids[..1]).uaccess_allow_ids;
    let ids = list.split(',').filter_map(|entry| entry.split('@').next());
    let devices = ids.collect::<BTreeSet<_>>().len();
    let hundreds = (list.len() + 50) / 100;
    let said = format!(
        "A host with one device of each kind that ``known`` has, {devices} of them, needs a list \
         of some {},{}00 bytes.",
        hundreds / 10,
        hundreds % 10
    );
    let guide = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../Documentation/admin-guide/vfio-pci-audit-exceptions.rst"
    );
    let guide = fs::read_to_string(guide).unwrap();
    let guide = guide.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(guide.contains(&said), "{said}");
}

#[test]
fn a_list_that_only_a_module_takes_is_told() {
    let modprobe = of_machine(|row| &row.devices.ids);
    let list = &modprobe.uaccess_allow_ids;
    assert!(list.len() > 4096, "{}", list.len());
    assert_eq!(Exceptions::parse(list).unwrap().to_string(), *list);
    let limit = "# too long for sysfs (4096 bytes) and for the kernel's command line: ";
    assert!(modprobe.text().contains(limit), "{}", modprobe.text());
}
