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
    let text = all(&["advise", "--root=/nowhere", "--dump=gpu.lspci", log]);
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

#[test]
fn advice_tells_what_drivers_need_from_the_rest() {
    let setting = |bdf: &str, accesses: &[(&str, usize, usize)], setting: &str| {
        let log = log(bdf, accesses);
        let log = log.path().to_str().unwrap();
        let what = ["--dump=gpu.lspci", "--id=82:00.0=1912:0014"];
        let json = run(&["advise", "--format=json", what[0], what[1], log]).stdout;
        let json: Value = serde_json::from_slice(&json).unwrap();
        let text = |name: &str| json[setting][name].as_str().unwrap().to_owned();
        (text("uaccess_allow_ids"), text("known_only"))
    };
    let pair = |all: &str, known: &str| (all.to_owned(), known.to_owned());
    let gpu = "0000:81:00.0";
    let accesses = [("write", 0x489, 1), ("write", 0x48c, 4), ("read", 0x25c, 4)];
    assert_eq!(
        setting(gpu, &accesses, "block_writes"),
        pair("10de:1eb8@488-48f", "10de:1eb8@488-48b")
    );
    assert_eq!(
        setting(gpu, &accesses, "block_both"),
        pair("10de:1eb8@25c-25f,10de:1eb8@488-48f", "10de:1eb8@488-48b")
    );
    // Nothing is known to read there.
    assert_eq!(
        setting(gpu, &[("read", 0x718, 4)], "block_both"),
        pair("10de:1eb8@718-71b", "")
    );
    // What is harmless if blocked is not needed.
    let accesses = [("read", 0x6c, 4), ("write", 0xf4, 1)];
    assert_eq!(
        setting("0000:82:00.0", &accesses, "block_both"),
        pair("1912:0014@6c-6f,1912:0014@f4-f5", "1912:0014@f4-f5")
    );
}

#[test]
fn advice_warns_of_reads_blocked_without_writes() {
    let log = log("0000:81:00.0", &[("write", 0x488, 4), ("write", 0x4a0, 4)]);
    let path = log.path().to_str().unwrap();
    let advice = || all(&["advise", "--root=/nowhere", "--dump=gpu.lspci", path]);
    assert!(!advice().contains("DANGEROUS"), "{}", advice());
    let mut text = fs::read_to_string(path).unwrap();
    let blocked = |time: u32| {
        format!(
            "type=PCI msg=audit({time}.000:9): device=\"0000:81:00.0\" op=read offset=0x48a \
             size=4 res=0\n"
        )
    };
    // After the writes: what was set may have changed.
    fs::write(path, text.clone() + &blocked(1_795_390_000)).unwrap();
    assert!(!advice().contains("DANGEROUS"), "{}", advice());
    text += &blocked(1_795_382_650);
    fs::write(path, text).unwrap();
    assert!(
        advice().contains(
            "  DANGEROUS: reads of 0x48a-0x48b were blocked and writes were not: a driver that"
        ),
        "{}",
        advice()
    );

    // The toggles of this machine count for logs of it only.
    let host = host();
    let root = host.path().to_str().unwrap();
    let toggles = host.path().join("sys/module/vfio_pci_audit/parameters");
    fs::create_dir_all(&toggles).unwrap();
    fs::write(toggles.join("block_pci_unassigned_read"), "Y\n").unwrap();
    let toggle = "DANGEROUS: reads are blocked and writes are not";
    for (write, node, dangerous) in [
        ("N\n", "", true),
        ("Y\n", "", false),
        ("N\n", "node=other ", false),
    ] {
        fs::write(toggles.join("block_pci_unassigned_write"), write).unwrap();
        let other = fs::read_to_string(path).unwrap();
        let other = other.replace("type=PCI", &format!("{node}type=PCI"));
        let mut log = tempfile::NamedTempFile::new().unwrap();
        log.write_all(other.as_bytes()).unwrap();
        let text = all(&["advise", "--root", root, log.path().to_str().unwrap()]);
        assert_eq!(text.contains(toggle), dangerous, "{text}");
    }
}

#[test]
fn status_says_what_goes_past_the_hook() {
    let host = host();
    let root = host.path().to_str().unwrap();
    let toggles = host.path().join("sys/module/vfio_pci_audit/parameters");
    fs::create_dir_all(toggles).unwrap();
    let text = all(&["status", "--root", root]);
    for line in [
        "neither blocked nor recorded:\n  0000:01:00.0 10de:1eb8, bound to vfio-pci\n",
        "    BAR0 0x88000-0x88fff reaches all of configuration space, up to Ada; QEMU turns it \
         into",
        "written ten times with one value is from then on written directly (ioeventfd)\n",
        "    BAR0 0x92000-0x92fff reaches all of configuration space, from Hopper on\n",
        "    0x0b4-0x0c7 Vendor-Specific is assigned, and writes reach the device as they are\n",
        "    0x600-0x623 Vendor-Specific Extended is assigned, and writes reach the device as \
         they are\n",
        "  0000:02:00.0 1912:0014, driver_override vfio-pci\n    and vendor capabilities, if any: ",
    ] {
        assert!(text.contains(line), "{line:?} is not in {text}");
    }
    // The host's own driver has that one.
    assert!(!text.contains("0000:04:00.0"), "{text}");
    let json = run(&["status", "--format=json", "--root", root]).stdout;
    let json: Value = serde_json::from_slice(&json).unwrap();
    let gpu = &json["past_the_hook"][0];
    assert_eq!(
        (
            &gpu["device"],
            &gpu["layout_known"],
            &gpu["beyond"][0]["kind"]
        ),
        (&"0000:01:00.0".into(), &true.into(), &"mirror".into())
    );
    assert_eq!(gpu["beyond"][0]["offset"], 0x1800, "{gpu}");
}

#[test]
fn known_exceptions_of_a_device() {
    let known = |arguments: &[&str]| {
        let arguments: Vec<&str> = ["known", "--root=/nowhere"]
            .iter()
            .chain(arguments)
            .copied()
            .collect();
        all(&arguments)
    };
    let text = known(&["1912:0014", "--class=0c0330"]);
    assert!(
        text.contains(
            "\nExceptions for all of it, except what is harmless if blocked:\n  options \
             vfio_pci_audit uaccess_allow_ids=1912:0014@f4-ff\n"
        ),
        "{text}"
    );
    let text = known(&["10de:1eb8"]);
    assert!(
        text.contains("choose one of these with --class") && !text.contains("allow_ids"),
        "{text}"
    );
    // Of a vendor, and where everything is harmless, there is nothing to except.
    for arguments in [
        &["10de:*", "--class=0300"][..],
        &["14e4:1639", "--class=0200"],
    ] {
        let text = known(arguments);
        assert!(!text.contains("Exceptions"), "{text}");
    }
}

#[test]
fn lines_follow_the_width_of_the_terminal() {
    let widths = |arguments: &[&str], columns: &str| {
        let output = program(arguments).env("COLUMNS", columns).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().filter(|line| !line.contains("options "));
        lines.map(|line| line.chars().count()).max().unwrap()
    };
    let host = host();
    let root = host.path().to_str().unwrap();
    let toggles = host.path().join("sys/module/vfio_pci_audit/parameters");
    fs::create_dir_all(toggles).unwrap();
    for arguments in [
        &["known", "10de:1eb8", "--class=0302"][..],
        &["status", "--root", root],
        &["map", "--dump=gpu.lspci"],
        &["map", "--dump=gpu.lspci", "--color=never"],
        &["map", "--all", "--root", root],
        &["advise", "tenants.log"],
        &["report", "tenants.log"],
        &["report", "--help"],
    ] {
        assert!(widths(arguments, "72") <= 72, "{arguments:?}");
        assert!(widths(arguments, "200") > 72, "{arguments:?}");
    }
}
