// SPDX-License-Identifier: GPL-2.0

//! The program as a user runs it: what it prints, and how it ends. `UPDATE_EXPECT=1` writes the
//! snapshots anew.

mod common;

use std::fs;
use std::io::Write;
use std::process::Stdio;

use common::{all, data, fed, machine, program, run};
use expect_test::expect_file;

#[path = "command/known.rs"]
mod known;

const ALL_LOGS: [&str; 5] = [
    "sessions.log",
    "syscall.log",
    "flood.log",
    "guest.log",
    "enriched.log",
];

#[test]
fn report_as_text() {
    let arguments = [&["report"][..], &ALL_LOGS].concat();
    expect_file!["expected/report.txt"].assert_eq(&all(&arguments));
}

/// The end of one tenant's session comes after the start of the next one's.
#[test]
fn sessions_by_number() {
    expect_file!["expected/tenants.txt"].assert_eq(&all(&["report", "tenants.log"]));
    let json = run(&["report", "--format=json", "tenants.log"]).stdout;
    let report: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let sessions = &report["devices"][0]["sessions"];
    assert_eq!(sessions["count"], 2);
    assert_eq!(sessions["recent"][0]["session"], 11);
    assert_eq!(sessions["recent"][0]["totals"]["writes"], 134);
    assert_eq!(sessions["recent"][0]["missing_records"], 1);
    assert_eq!(sessions["recent"][1]["totals"]["writes"], 1);
    assert_eq!(sessions["recent"][1]["holders"][0]["pid"], 3300);
}

#[test]
fn report_as_heat_map() {
    expect_file!["expected/heat.txt"].assert_eq(&all(&[
        "report",
        "--heat",
        "--sessions=0",
        "--dump=e1000e.lspci",
        "guest.log",
    ]));
}

#[test]
fn report_as_json() {
    expect_file!["expected/report.json"].assert_eq(&all(&[
        "report",
        "--format=json",
        "--root=/nowhere",
        "guest.log",
        "sessions.log",
    ]));
}

#[test]
fn report_as_csv() {
    expect_file!["expected/report.csv"].assert_eq(&all(&["report", "--format=csv", "flood.log"]));
}

#[test]
fn report_as_drawing() {
    let folder = tempfile::tempdir().unwrap();
    let svg = folder.path().join("heat.svg");
    let dump = "--dump=e1000e.lspci";
    run(&["report", dump, "--svg", svg.to_str().unwrap(), "guest.log"]);
    let drawing = fs::read_to_string(svg).unwrap();
    expect_file!["expected/heat.svg"].assert_eq(&drawing);
    // What was blocked is told by letter and hatching, and the scale has numbers.
    for part in [
        ">a</text>",
        "url(#hatch)",
        "1-3 times",
        "prefers-color-scheme:dark",
        "+3c",
    ] {
        assert!(drawing.contains(part), "{part}");
    }
    // Rows that are the same are one.
    assert!(
        drawing.contains("to fff, 58 rows: 1 allowed, 0 blocked"),
        "{drawing}"
    );
}

#[test]
fn standard_input_is_like_a_file() {
    let log = fs::read(data("flood.log")).unwrap();
    let from_file = String::from_utf8(run(&["report", "flood.log"]).stdout).unwrap();
    assert_eq!(fed(&["report", "-"], &log), from_file);
}

#[test]
fn broken_lines_are_named_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.log");
    let mut text = fs::read_to_string(data("guest.log")).unwrap();
    let lines = text.lines().count();
    text += "type=PCI msg=audit(1795382646.000:1): device=\"0000:01:00.0\" op=rea\nnonsense\n";
    text += &"\u{0}\n".repeat(12);
    fs::write(&log, text).unwrap();
    let output = run(&["report", log.to_str().unwrap()]);
    let complaints = String::from_utf8(output.stderr).unwrap();
    let file = log.display();
    let expected = [
        format!("warning: {file}:{}: invalid op=rea", lines + 1),
        format!("warning: {file}:{}: not an audit record", lines + 2),
    ];
    assert_eq!(complaints.lines().take(2).collect::<Vec<_>>(), expected);
    assert_eq!(
        complaints.lines().last(),
        Some("warning: 4 more lines cannot be read")
    );
    assert_eq!(output.status.code(), Some(0));
    let counts = |output: &[u8]| {
        String::from_utf8_lossy(output)
            .lines()
            .skip(1)
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(
        counts(&output.stdout),
        counts(&run(&["report", "guest.log"]).stdout)
    );
}

#[test]
fn a_log_that_ends_early_fails_but_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.log.1.gz");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    packed
        .write_all(&fs::read(data("flood.log")).unwrap())
        .unwrap();
    let packed = packed.finish().unwrap();
    fs::write(&log, &packed[..packed.len() - 3000]).unwrap();
    let output = run(&[
        "report",
        log.to_str().unwrap(),
        "guest.log",
        "not-there.log",
    ]);
    assert_eq!(output.status.code(), Some(3));
    let complaints = String::from_utf8(output.stderr).unwrap();
    assert!(complaints.contains("audit.log.1.gz: "), "{complaints}");
    assert!(complaints.contains(" lines\n"), "{complaints}");
    assert!(
        complaints.contains("not-there.log: No such file"),
        "{complaints}"
    );
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("in 3 logs") && text.contains("qemu-system-x86"),
        "{text}"
    );
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let mut child = program(&["report", "--format=json", "flood.log"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("audit.log");
    fs::write(&empty, "type=SYSCALL msg=audit(1.000:1): x=1\n").unwrap();
    let empty = empty.to_str().unwrap();
    let here = folder.path().to_str().unwrap();
    for (arguments, code) in [
        (&["report", "guest.log"][..], 0),
        (&["report", empty], 1),
        (&["advise", empty], 1),
        (&["status", "--root", here], 1),
        (&["report", "--format=xml"], 2),
        (&["map"], 2),
        (&["map", "01:00"], 2),
        (&["report", "not-there.log"], 3),
        (&["map", "01:00.0", "--root", here], 3),
        (&["report", "--svg=/not/there.svg", "guest.log"], 3),
        (&["report", "-", "-"], 2),
        (&["--help"], 0),
        (&["--version"], 0),
    ] {
        assert_eq!(run(arguments).status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn maps() {
    for device in ["e1000e", "e1000", "edu", "nvme"] {
        let dump = format!("{device}.lspci");
        let text = all(&["map", "--dump", &dump]);
        expect_file![format!("expected/map-{device}.txt")].assert_eq(&text);
    }
    expect_file!["expected/map.json"].assert_eq(&all(&[
        "map",
        "--dump=e1000e.lspci",
        "--format=json",
    ]));
    expect_file!["expected/map-gpu.txt"].assert_eq(&all(&["map", "--dump=gpu.lspci", "--row=16"]));
}

#[test]
fn a_map_as_drawing_and_in_colour() {
    let folder = tempfile::tempdir().unwrap();
    let svg = folder.path().join("map.svg");
    run(&["map", "--dump=nvme.lspci", "--svg", svg.to_str().unwrap()]);
    expect_file!["expected/map.svg"].assert_eq(&fs::read_to_string(svg).unwrap());
    let colour = all(&["map", "--dump=edu.lspci", "--color=always"]);
    assert!(colour.contains("\u{1b}["), "{colour}");
    let plain = anstream::adapter::strip_str(&colour).to_string();
    assert_eq!(plain, all(&["map", "--dump=edu.lspci"]));
}

#[test]
fn advice() {
    let arguments = [
        &["advise", "--id=01:00.0=8086:10D3", "--root=/nowhere"][..],
        &ALL_LOGS,
    ]
    .concat();
    expect_file!["expected/advise.txt"].assert_eq(&all(&arguments));
    let json = all(&["advise", "--format=json", "--root=/nowhere", "guest.log"]);
    expect_file!["expected/advise.json"].assert_eq(&json);
}

#[test]
fn advice_asks_sysfs_what_devices_are() {
    let machine = machine(&[
        ("sys/bus/pci/devices/0000:01:00.0/vendor", "0x8086\n"),
        ("sys/bus/pci/devices/0000:01:00.0/device", "0x10d3\n"),
        ("sys/bus/pci/devices/0000:04:00.0/vendor", "0x1111\n"),
        ("sys/bus/pci/devices/0000:04:00.0/device", "0x2222\n"),
    ]);
    let root = machine.path().to_str().unwrap();
    let text = all(&["advise", "--root", root, "guest.log", "enriched.log"]);
    assert!(
        text.contains("uaccess_allow_ids=8086:10d3@160-163\n"),
        "{text}"
    );
    // The log is another machine's, whose 04:00.0 is none of ours.
    assert!(!text.contains("1111:2222"), "{text}");
    assert!(
        text.contains("0000:04:00.0 on passthrough1 may need more: its id is unknown"),
        "{text}"
    );
}

const RELEASE: (&str, &str) = ("proc/sys/kernel/osrelease", "7.3.4\n");
const PARAMETERS: &str = "sys/module/vfio_pci_audit/parameters";

#[test]
fn status_says_what_is_missing() {
    for (name, files) in [
        ("nothing", &[RELEASE][..]),
        (
            "off",
            &[
                RELEASE,
                (
                    "boot/config-7.3.4",
                    "# CONFIG_VFIO_PCI_UNASSIGNED_ACCESS_AUDIT is not set\n",
                ),
            ],
        ),
        (
            "not-loaded",
            &[
                RELEASE,
                (
                    "boot/config-7.3.4",
                    "CONFIG_VFIO_PCI_UNASSIGNED_ACCESS_AUDIT=y\n",
                ),
            ],
        ),
    ] {
        let machine = machine(files);
        let text = all(&["status", "--root", machine.path().to_str().unwrap()]);
        expect_file![format!("expected/status-{name}.txt")].assert_eq(&text);
    }
}

#[test]
fn status_of_a_kernel_that_has_it() {
    let parameter = |name: &str| format!("{PARAMETERS}/{name}");
    let mut files = vec![
        (RELEASE.0.to_owned(), RELEASE.1),
        (parameter("block_pci_unassigned_read"), "N\n"),
        (parameter("block_pci_unassigned_write"), "Y\n"),
        (parameter("uaccess_allow_ids"), "10de:1eb8,8086:0a54\n"),
        (parameter("audit_rate"), "1\n"),
        (parameter("audit_burst"), "24\n"),
    ];
    let status = |files: &[(String, &str)], format: &str| {
        let files: Vec<_> = files.iter().map(|(name, text)| (&**name, *text)).collect();
        let machine = machine(&files);
        all(&["status", format, "--root", machine.path().to_str().unwrap()])
    };
    expect_file!["expected/status-no-debugfs.txt"].assert_eq(&status(&files, "--format=text"));
    files.push((
        "sys/kernel/debug/vfio_pci_audit/sessions".to_owned(),
        "device=0000:01:00.0 state=open reads=7 writes=2 blocked_reads=0 blocked_writes=2 \
         records=8 suppressed=1 lost=0\n",
    ));
    expect_file!["expected/status.txt"].assert_eq(&status(&files, "--format=text"));
    expect_file!["expected/status.json"].assert_eq(&status(&files, "--format=json"));
}

#[test]
fn status_says_what_is_dangerous() {
    let read = format!("{PARAMETERS}/block_pci_unassigned_read");
    let write = format!("{PARAMETERS}/block_pci_unassigned_write");
    for (values, dangerous) in [(["Y", "N"], true), (["Y", "Y"], false), (["N", "Y"], false)] {
        let machine = machine(&[RELEASE, (&read, values[0]), (&write, values[1])]);
        let text = all(&["status", "--root", machine.path().to_str().unwrap()]);
        assert_eq!(
            text.contains("DANGEROUS: reads are blocked and writes are not"),
            dangerous,
            "{text}"
        );
    }
}

#[test]
fn status_names_the_virtual_machine() {
    let parameter = format!("{PARAMETERS}/block_pci_unassigned_write");
    let machine = machine(&[
        RELEASE,
        (&parameter, "Y"),
        (
            "sys/kernel/debug/vfio_pci_audit/sessions",
            "device=0000:01:00.0 state=open reads=1 writes=2 blocked_reads=0 blocked_writes=2 \
             records=3 suppressed=0 lost=0\n",
        ),
        ("sys/bus/pci/devices/0000:01:00.0/x", ""),
        ("proc/42/fd/x", ""),
        ("proc/42/cmdline", "/usr/bin/qemu\0-name\0guest=win11\0"),
    ]);
    let at = |name: &str| machine.path().join(name);
    let link = std::os::unix::fs::symlink::<&str, std::path::PathBuf>;
    link(
        "../../../kernel/iommu_groups/17",
        at("sys/bus/pci/devices/0000:01:00.0/iommu_group"),
    )
    .unwrap();
    link("/dev/vfio/17", at("proc/42/fd/7")).unwrap();
    let root = machine.path().to_str().unwrap();
    let text = all(&["status", "--root", root]);
    assert!(
        text.contains("0000:01:00.0 open, VM win11: 1 read (0 blocked), 2 writes"),
        "{text}"
    );
    let json = all(&["status", "--format=json", "--root", root]);
    assert!(json.contains("\"name\": \"win11\""), "{json}");
}

#[test]
fn completions_and_manual() {
    for shell in ["bash", "zsh", "fish"] {
        let script = String::from_utf8(run(&["completions", shell]).stdout).unwrap();
        for word in ["status", "map", "report", "advise", "--heat"] {
            assert!(
                script.contains(word.trim_start_matches('-')),
                "{shell}: no {word}"
            );
        }
    }
    let page = String::from_utf8(run(&["man"]).stdout).unwrap();
    assert!(
        page.contains(".TH vfio-pci-audit 1") && page.contains("Exit codes"),
        "{page}"
    );
    let folder = tempfile::tempdir().unwrap();
    run(&["man", folder.path().to_str().unwrap()]);
    for page in [
        "vfio-pci-audit.1",
        "vfio-pci-audit-report.1",
        "vfio-pci-audit-map.1",
    ] {
        let text = fs::read_to_string(folder.path().join(page)).unwrap();
        for heading in ["SYNOPSIS", "EXAMPLES", "FILES"] {
            assert!(
                text.contains(&format!(".SH {heading}\n")),
                "{page}: no {heading}"
            );
        }
        assert!(
            text.contains("\n\\fBvfio\\-pci\\-audit "),
            "{page}: no example: {text}"
        );
    }
    expect_file!["expected/help.txt"].assert_eq(&all(&["report", "--help"]));
}
