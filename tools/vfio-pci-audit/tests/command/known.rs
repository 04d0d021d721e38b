// SPDX-License-Identifier: GPL-2.0

//! What is known of registers, as a user sees it: in `known` itself, and in what other commands
//! print.

use std::os::unix::fs::symlink;

use pci_config::dump;
use serde_json::Value;

use super::*;

/// The bytes of a device of the test data.
fn config(name: &str) -> Vec<u8> {
    let text = fs::read(data(name)).unwrap();
    dump::parse(&text).devices.remove(0).config
}

/// A machine with a GPU and a network card that vfio-pci has, a USB controller that it may get, and
/// a card of the host's own.
fn host() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let devices = folder.path().join("sys/bus/pci/devices");
    for (bdf, ids, driver, wanted, config) in [
        (
            "0000:01:00.0",
            ["10de", "1eb8", "030200"],
            "vfio-pci",
            "(null)",
            config("gpu.lspci"),
        ),
        (
            "0000:02:00.0",
            ["1912", "0014", "0c0330"],
            "",
            "vfio-pci",
            vec![0; 64],
        ),
        (
            "0000:03:00.0",
            ["14e4", "1657", "020000"],
            "mlx5_vfio_pci",
            "(null)",
            vec![0; 64],
        ),
        (
            "0000:04:00.0",
            ["14e4", "1657", "020000"],
            "tg3",
            "(null)",
            vec![0; 64],
        ),
    ] {
        let device = devices.join(bdf);
        fs::create_dir_all(&device).unwrap();
        for (name, value) in ["vendor", "device", "class"].iter().zip(ids) {
            fs::write(device.join(name), format!("0x{value}\n")).unwrap();
        }
        fs::write(device.join("driver_override"), format!("{wanted}\n")).unwrap();
        fs::write(device.join("config"), config).unwrap();
        if !driver.is_empty() {
            symlink(format!("../drivers/{driver}"), device.join("driver")).unwrap();
        }
    }
    folder
}

/// A log of accesses to a device: operation, offset, size.
fn log(bdf: &str, accesses: &[(&str, usize, usize)]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for (number, (op, offset, size)) in accesses.iter().enumerate() {
        let time = 1_795_382_646 + number * 100;
        writeln!(
            file,
            "type=PCI msg=audit({time}.000:{number}): device=\"{bdf}\" op={op} \
             offset={offset:#x} size={size} res=1"
        )
        .unwrap();
    }
    file
}

#[test]
fn known_of_a_device() {
    let nowhere = "--root=/nowhere";
    let text = all(&["known", "10de:1eb8", "--class=0302", nowhere]);
    expect_file!["../expected/known-gpu.txt"].assert_eq(&text);
    // This machine tells the class of a device that is here.
    let host = host();
    let here = all(&[
        "known",
        "10de:1eb8",
        "--root",
        host.path().to_str().unwrap(),
    ]);
    assert_eq!(here, text);
    // Without a class, it may be any function of the card.
    let any = all(&["known", "10de:1eb8", nowhere]);
    assert!(
        any.contains("class 0403") && any.contains("class 0300"),
        "{any}"
    );
    assert!(!any.contains("*:*"), "{any}");
    let usb = all(&["known", "1912:0014", "--class=0c0330", nowhere]);
    assert!(usb.contains("*:*, class 0c0330"), "{usb}");
    assert_eq!(
        all(&["known", "1af4:1041", nowhere]),
        "no register is known\nexit code 1\n"
    );
}

#[test]
fn known_of_everything() {
    let rows: Value = serde_json::from_slice(&run(&["known", "--format=json"]).stdout).unwrap();
    let rows = rows.as_array().unwrap();
    assert!(rows.len() > 100, "{}", rows.len());
    let hda = rows
        .iter()
        .find(|row| row["function"] == "quirk_nvidia_hda")
        .unwrap();
    assert_eq!(
        (&hda["offset"], &hda["size"], &hda["op"]),
        (&0x488.into(), &4.into(), &"rw".into())
    );
    assert_eq!(hda["layout"]["dump"][0], "10de:0a65");
    let text = all(&["known"]);
    assert!(
        text.ends_with("exit code 0\n") && text.lines().count() > 400,
        "{text}"
    );
}

#[test]
fn known_for_modprobe() {
    let host = host();
    let root = host.path().to_str().unwrap();
    let text = all(&["known", "--modprobe", "--root", root]);
    expect_file!["../expected/known-modprobe.txt"].assert_eq(&text);
    let json = run(&["known", "--modprobe", "--format=json", "--root", root]).stdout;
    let json: Value = serde_json::from_slice(&json).unwrap();
    let ids = json["uaccess_allow_ids"].as_str().unwrap();
    assert!(
        text.contains(&format!("options vfio_pci_audit uaccess_allow_ids={ids}\n")),
        "{text}"
    );
    let fates: Vec<_> = json["devices"][0]["registers"]
        .as_array()
        .unwrap()
        .iter()
        .collect();
    assert_eq!(fates[0]["fate"], "assigned", "{fates:?}");

    let none = tempfile::tempdir().unwrap();
    let text = all(&[
        "known",
        "--modprobe",
        "--root",
        none.path().to_str().unwrap(),
    ]);
    assert_eq!(
        text,
        "# no device is bound to vfio-pci, or has it as driver_override\nexit code 1\n"
    );
}

#[test]
fn a_command_line_that_makes_no_sense() {
    for arguments in [
        &["known", "10de"][..],
        &["known", "*:1eb8"],
        &["known", "10de:*", "--class=3"],
        &["known", "10de:*", "--modprobe"],
        &["report", "--dump"],
    ] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
    let gone = all(&["report", "--dump=/not/there", "guest.log"]);
    assert!(
        gone.contains("/not/there: No such file") && gone.ends_with("exit code 3\n"),
        "{gone}"
    );
}

#[test]
fn a_report_names_what_was_accessed() {
    let log = log(
        "0000:81:00.0",
        &[("write", 0x488, 4), ("read", 0x25c, 4), ("write", 0x140, 4)],
    );
    let log = log.path().to_str().unwrap();
    let text = all(&["report", "--sessions=0", "--dump=gpu.lspci", log]);
    assert!(
        text.contains(
            "0x488-0x48b           1\n        0x488-0x48b: HDA function enable, quirk_nvidia_hda \
             (drivers/pci/quirks.c); allow it\n"
        ),
        "{text}"
    );
    let hidden = "0x258-0x267 is in L1 PM Substates, which VFIO hides\n";
    assert!(text.contains(hidden), "{text}");
    let json: Value =
        serde_json::from_slice(&run(&["report", "--format=json", "--dump=gpu.lspci", log]).stdout)
            .unwrap();
    let ranges = &json["devices"][0]["accesses"][0]["ranges"];
    assert_eq!(ranges[0].get("known"), None, "{ranges}");
    assert_eq!(ranges[1]["known"][0]["kind"], "register", "{ranges}");
    // Without a dump it is not known what device that is.
    let text = all(&["report", "--sessions=0", log]);
    assert!(!text.contains("HDA") && !text.contains("L1 PM"), "{text}");
}

#[test]
fn a_report_looks_at_this_machine() {
    let host = host();
    let root = host.path().to_str().unwrap();
    let log = log("0000:01:00.0", &[("read", 0x25c, 4)]);
    let log = log.path().to_str().unwrap();
    let text = all(&["report", "--sessions=0", "--root", root, log]);
    assert!(text.contains("is in L1 PM Substates"), "{text}");
    // A record of another machine is not of its devices.
    let other = fs::read_to_string(log)
        .unwrap()
        .replace("type=", "node=other type=");
    fs::write(log, other).unwrap();
    let text = all(&["report", "--sessions=0", "--root", root, log]);
    assert!(!text.contains("is in L1 PM Substates"), "{text}");
}

#[test]
fn advice_excepts_ranges_and_names_what_is_suspicious() {
    let log = log(
        "0000:81:00.0",
        &[
            ("write", 0x48a, 1),
            ("write", 0x140, 4),
            ("read", 0x488, 4),
            ("read", 0x25c, 4),
        ],
    );
    let log = log.path().to_str().unwrap();
    let text = all(&["advise", "--dump=gpu.lspci", log]);
    expect_file!["../expected/advise-gpu.txt"].assert_eq(&text);
    let json: Value =
        serde_json::from_slice(&run(&["advise", "--format=json", "--dump=gpu.lspci", log]).stdout)
            .unwrap();
    let writes = &json["devices"][0]["writes"];
    assert_eq!(writes["needed_by_none"][0]["offset"], 0x140, "{writes}");
    assert_eq!(
        json["block_both"]["uaccess_allow_ids"],
        "10de:1eb8@140-143,10de:1eb8@25c-25f,10de:1eb8@488-48b"
    );
}
