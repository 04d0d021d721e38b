// SPDX-License-Identifier: GPL-2.0

//! What `map` makes of dumps as people have them: damaged, pasted into a mail, of devices that are
//! no more.

mod common;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use common::{all, data, machine};
use pci_config::dump::{self, Device};

/// A device with two standard and three extended capabilities, the first of which VFIO hides.
fn device(bdf: &str) -> Device {
    let mut config = vec![0; 4096];
    for (at, bytes) in [
        (0x00, &[0x86, 0x80, 0xc9, 0x10, 0x06, 0x04, 0x10, 0x00][..]),
        (0x09, &[0x00, 0x00, 0x02]),
        (0x34, &[0x40]),
        (0x40, &[0x01, 0x60]),
        (0x60, &[0x10, 0x00, 0x02, 0x00]),
        (0x100, &[0x19, 0x00, 0x01, 0x14]),
        (0x140, &[0x1e, 0x00, 0x01, 0x18]),
        (0x180, &[0x03, 0x00, 0x01, 0x00]),
    ] {
        config[at..at + bytes.len()].copy_from_slice(bytes);
    }
    Device {
        bdf: bdf.parse().unwrap(),
        what: "Ethernet controller: Example".into(),
        config,
    }
}

fn file(folder: &Path, bytes: &[u8]) -> PathBuf {
    let path = folder.join("dump");
    fs::write(&path, bytes).unwrap();
    path
}

/// What the program says of a dump, as one of a device or of the one that is named.
fn map(bytes: &[u8], bdf: Option<&str>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), bytes);
    let mut arguments = vec!["map", "--dump", path.to_str().unwrap()];
    arguments.extend(bdf);
    all(&arguments)
}

fn map_of(device: &Device) -> String {
    map(dump::write(device).as_bytes(), None)
}

#[test]
fn dumps_that_do_not_do() {
    let row = format!("{}\n", ["00"; 16].join(" "));
    let short = format!("01:00.0 x\n00: {row}10: {row}20: {row}30: {row}");
    let two = fs::read_to_string(data("edu.lspci")).unwrap() + &short;
    for (text, bdf, says) in [
        (
            "hello\n",
            Some("01:00.0"),
            "it has to be output of lspci -xxxx",
        ),
        (&two, None, "it has 2 devices: name one\n  0000:03:00.0 "),
        (&two, None, "\n  0000:01:00.0 x (64 bytes)"),
        (
            &two,
            Some("09:00.0"),
            "it has no 0000:09:00.0, but\n  0000:03:00.0 ",
        ),
        ("01:00.0 x\n", None, "there are no bytes of 0000:01:00.0"),
    ] {
        let output = map(text.as_bytes(), bdf);
        assert!(output.contains(says), "{output}");
        assert!(output.ends_with("exit code 3\n"), "{output}");
    }
    let mut few = device("01:00.0");
    few.config.truncate(64);
    let output = map_of(&few);
    assert!(
        output.contains("only the first 64 bytes of 0000:01:00.0 are there"),
        "{output}"
    );
}

#[test]
fn a_device_that_is_gone_has_no_map() {
    let mut gone = device("01:00.0");
    gone.config.fill(0xff);
    for length in [64, 256, 4096] {
        gone.config.truncate(length);
        let output = map_of(&gone);
        assert!(
            output.contains("reads as all ones: it is powered off or gone"),
            "{output}"
        );
        assert!(output.ends_with("exit code 3\n"), "{output}");
        assert!(!output.contains("unassigned"), "{output}");
    }
}

#[test]
fn a_bridge_has_no_map() {
    let mut bridge = device("00:1c.0");
    bridge.config[0x0e] = 0x81;
    let output = map_of(&bridge);
    assert!(
        output.contains("it is a bridge: vfio-pci refuses those"),
        "{output}"
    );
    assert!(output.ends_with("exit code 3\n"), "{output}");
}

#[test]
fn a_loop_is_told_once() {
    let mut looping = device("01:00.0");
    looping.config[0x180..0x184].copy_from_slice(&[0x03, 0x00, 0x01, 0x14]);
    let output = map_of(&looping);
    assert!(output.contains("a capability list loops"), "{output}");
    assert_eq!(output.matches("L1 PM Substates").count(), 1, "{output}");
    assert_eq!(
        output.matches("Device Serial Number").count(),
        1,
        "{output}"
    );
    assert!(!map_of(&device("01:00.0")).contains("loops"));
}

#[test]
fn the_first_hidden_one_is_told_from_others() {
    let output = map_of(&device("01:00.0"));
    assert!(
        output.contains("0x100-0x103 [0019] Secondary PCI Express: VFIO hides it; only its header"),
        "{output}"
    );
    assert!(
        output.contains("0x140-0x14f [001e] L1 PM Substates: VFIO hides it\n"),
        "{output}"
    );
}

#[test]
fn the_opregion_of_intel_graphics_is_not_unassigned() {
    let mut graphics = device("00:02.0");
    graphics.config.truncate(256);
    graphics.config[0x0b] = 0x03;
    graphics.config[0xfc..].copy_from_slice(&0x7b5f_c018u32.to_le_bytes());
    let output = map_of(&graphics);
    assert!(
        output.contains("0x0fc-0x0ff Address of the OpRegion"),
        "{output}"
    );
    assert!(output.contains("0x094-0x0fb Unassigned"), "{output}");
}

#[test]
fn a_virtual_function_has_the_id_that_others_know() {
    let mut function = device("01:10.0");
    function.config[..4].fill(0xff);
    let output = map_of(&function);
    assert!(
        output.starts_with("0000:01:10.0 (a virtual function of unknown id): "),
        "{output}"
    );
    function.what = "Ethernet controller [0200]: Intel 82576 Virtual Function [8086:10ca]".into();
    assert!(map_of(&function).starts_with("0000:01:10.0 8086:10ca: "));
    let host = machine(&[
        ("sys/bus/pci/devices/0000:01:10.0/vendor", "0x8086\n"),
        ("sys/bus/pci/devices/0000:01:10.0/device", "0x10ca\n"),
    ]);
    let config = host.path().join("sys/bus/pci/devices/0000:01:10.0/config");
    fs::write(config, &function.config).unwrap();
    let output = all(&["map", "01:10.0", "--root", host.path().to_str().unwrap()]);
    assert!(output.starts_with("0000:01:10.0 8086:10ca: "), "{output}");
}

#[test]
fn what_is_damaged_is_named_and_the_rest_is_read() {
    let (first, second) = (device("01:00.0"), device("02:00.0"));
    let message = "dd: failed to open '/x': Permission denied\n";
    let text = dump::write(&first) + message + &dump::write(&second);
    let good = map_of(&second);
    let output = map(text.as_bytes(), Some("02:00.0"));
    assert_eq!(output.lines().next(), good.lines().next());
    assert!(
        output.contains("line 258: \"dd: failed to open"),
        "{output}"
    );
    assert!(output.ends_with("exit code 0\n"), "{output}");
    // A row that is damaged behind the conventional part leaves that part.
    let text = dump::write(&first).replacen("\n240: 00", "\n240: 0", 1);
    let output = map(text.as_bytes(), None);
    assert!(output.contains("of 256 bytes are unassigned"), "{output}");
    assert!(output.contains("line 38: \"240: 0"), "{output}");
    assert!(output.contains("but only 256 are there"), "{output}");
}

#[test]
fn every_device_of_a_dump() {
    let folder = tempfile::tempdir().unwrap();
    let mut bridge = device("00:1c.0");
    bridge.config[0x0e] = 0x01;
    let text = dump::write(&device("01:00.0")) + &dump::write(&bridge) + "02:00.0 Other: z\n";
    let path = file(folder.path(), text.as_bytes());
    let output = all(&[
        "map",
        "--all",
        "--root=/nowhere",
        "--dump",
        path.to_str().unwrap(),
    ]);
    let expected = "0000:01:00.0 8086:10c9 Ethernet controller: Example
    3956 of 4096 bytes unassigned: 0x048-0x05f, 0x094-0x0ff, 0x104-0x17f, 0x18c-0xfff
0000:00:1c.0 8086:10c9 Ethernet controller: Example
    0000:00:1c.0 has no map: it is a bridge: vfio-pci refuses those
0000:02:00.0 Other: z
    there are no bytes of 0000:02:00.0
exit code 0
";
    assert_eq!(output, expected);
}

#[test]
fn every_device_of_a_machine() {
    let host = machine(&[
        ("usr/share/misc/pci.ids", "8086  Intel\n\t10c9  82576\n"),
        (
            "sys/module/vfio_pci_audit/parameters/uaccess_allow_ids",
            "8086:*@180-18f\n",
        ),
        (
            "sys/bus/pci/devices/0000:01:00.0/driver_override",
            "vfio-pci\n",
        ),
        (
            "sys/bus/pci/devices/0000:02:00.0/driver_override",
            "(null)\n",
        ),
        ("sys/bus/pci/drivers/vfio-pci/x", ""),
        ("sys/kernel/iommu_groups/17/x", ""),
    ]);
    let at = |name: &str| host.path().join("sys/bus/pci/devices").join(name);
    for bdf in ["0000:01:00.0", "0000:02:00.0"] {
        fs::write(at(bdf).join("config"), device(bdf).config).unwrap();
    }
    let link = std::os::unix::fs::symlink::<&str, PathBuf>;
    link("../../drivers/vfio-pci", at("0000:01:00.0/driver")).unwrap();
    link(
        "../../../../kernel/iommu_groups/17",
        at("0000:01:00.0/iommu_group"),
    )
    .unwrap();
    let root = host.path().to_str().unwrap();
    let output = all(&["map", "--all", "--root", root]);
    let first = "0000:01:00.0 8086:10c9 Intel 82576\n    driver vfio-pci [*]; IOMMU group 17; \
                 exempt at 0x180-0x18f; 3956 of 4096";
    assert!(output.starts_with(first), "{output}");
    assert!(
        output.contains("\n0000:02:00.0 8086:10c9 Intel 82576\n    exempt at 0x180-0x18f; 3956"),
        "{output}"
    );
    let json = all(&["map", "--all", "--format=json", "--root", root]);
    assert!(
        json.contains("\"iommu_group\": 17") && json.contains("\"overridden\": true"),
        "{json}"
    );
    assert!(all(&["map", "--all", "--root=/nowhere"]).ends_with("exit code 3\n"));
}

#[test]
fn packed_and_raw_ones() {
    let device = device("01:00.0");
    let expected = map_of(&device);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(dump::write(&device).as_bytes()).unwrap();
    assert_eq!(map(&packed.finish().unwrap(), None), expected);
    assert_eq!(map(&device.config, Some("01:00.0")), expected);
    let nameless = map(&device.config, None);
    assert!(nameless.starts_with("the device 8086:10c9: "), "{nameless}");
}
