// SPDX-License-Identifier: GPL-2.0

//! After a crash: which access it was, and whose.

mod common;

use common::logs::{lines, two_machines, Files, START};
use common::{all, machine, run};
use serde_json::{json, Value};

/// The console of a host that was booted at [`START`], up to an error of the device that machine
/// "build" has.
const CONSOLE: &str = "\
[    0.000000] Linux version 7.3.4
[    0.000000] audit: type=2000 audit(1796000000.000:1): state=initialized audit_enabled=0 res=1
[   70.100000] pcieport 0000:00:01.0: AER: Uncorrectable (Fatal) Error message received from \
0000:01:00.1
[   70.100200] vfio-pci 0000:01:00.1: PCIe Bus Error: severity=Uncorrectable (Fatal)
[   70.100300] vfio-pci 0000:01:00.1:   [18] MalfTLP           | Receiver ID | Transaction Layer \
(First)
[   71.000000] Kernel panic - not syncing: NMI: Not continuing
";

/// The last accesses of that host, as the kernel prints them after the boot, in both of its forms.
const RING: &str = "\
# tracer: nop
           <...>-4300    [000] .....    70.001000: pci_audit_access: device=\"0000:01:00.1\" \
                    op=read offset=0x298 size=4 session=2 pid=4300 comm=\"qemu-system-x86\" res=1
           <...>-4300    [001] .....    70.020000: pci_audit_access: magic=0x50434101 \
           (1346584833) domain=0x0 (0) bus=(1) devfn=(1) res=(1) op=0x1 (1) offset=0x298 (664) \
                    size=0x1 (1) session=0x2 (2) pid=0x10cc (4300) comm=qemu-system-x86
";

fn json(arguments: &[&str]) -> Value {
    let output = run(&[arguments, &["--format=json"]].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// The files of a host that died.
fn host(files: &Files) -> [String; 3] {
    [
        files.put("console", CONSOLE),
        files.put("audit", &lines(&two_machines())),
        files.put("ring", RING),
    ]
}

#[test]
fn the_last_accesses_have_names_and_the_boot_an_end() {
    let files = Files::new();
    let [console, audit, ring] = host(&files);
    let arguments = [
        "last-boot",
        &ring,
        "--kernel-log",
        &console,
        "--audit-log",
        &audit,
        "--root=/nowhere",
    ];
    let told = json(&arguments);
    assert_eq!(told["ended"]["how"], "panic");
    assert_eq!(told["ended"]["reason"], "NMI: Not continuing");
    assert_eq!((&told["count"], &told["undecoded"]), (&json!(2), &json!(0)));
    let last = &told["accesses"][0];
    for (field, value) in [
        ("device", json!("0000:01:00.1")),
        ("op", json!("write")),
        ("offset", json!(0x298)),
        ("size", json!(1)),
        ("result", json!("allowed")),
        ("vm", json!("build")),
        ("session", json!(2)),
        ("since_boot", json!("70.020000")),
    ] {
        assert_eq!(last[field], value, "{field}: {last}");
    }
    let named = RING.replace("qemu-system-x86", "\x1b[2J");
    let log = CONSOLE.replace("NMI: Not", "NMI:\x1b[2J Not");
    let escape = all(&[
        "last-boot",
        &files.put("named", &named),
        "--kernel-log",
        &files.put("log", &log),
        "--audit-log",
        &audit,
        "--root=/nowhere",
    ]);
    assert!(!escape.contains('\x1b'), "{escape}");
    assert_eq!(escape.matches("\\u{1b}[2J").count(), 3, "{escape}");
    let text = all(&arguments);
    for words in [
        "The last boot ended with a kernel panic: NMI: Not continuing",
        "It left 2 accesses to unassigned bytes",
        "70.020000 s after boot  0000:01:00.1 write 0x298 allowed, VM build (qemu-system-x86 \
         4300), session 2",
        "exit code 0",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn an_error_is_joined_with_the_access_before_it() {
    let files = Files::new();
    let [console, audit, ring] = host(&files);
    let with_ring = ["--trace", &ring];
    let root = ["--root=/nowhere", "--folder=/nowhere"];
    for trace in [&[][..], &with_ring] {
        let arguments = [
            &["blame", &console, "--audit-log", &audit, "--utc"],
            &root[..],
            trace,
        ]
        .concat();
        let told = json(&arguments);
        // The panic is one, too.
        assert_eq!(told["errors"].as_array().unwrap().len(), 2, "{told:#}");
        let error = &told["errors"][0];
        assert_eq!(error["kind"], "aer");
        assert_eq!(error["port"], "0000:00:01.0");
        let culprit = &error["accesses"][error["culprit"].as_u64().unwrap() as usize];
        for (field, value) in [
            ("device", json!("0000:01:00.1")),
            ("op", json!("write")),
            ("offset", json!(0x298)),
            ("vm", json!("build")),
            ("relation", json!("same_function")),
        ] {
            assert_eq!(culprit[field], value, "{field}: {error:#}");
        }
        assert_eq!(culprit["before_us"], 80_000, "{culprit:#}");
        let text = all(&arguments);
        let at = "2026-11-30T";
        for words in [
            at,
            "PCIe error (AER), fatal, 0000:01:00.1, reported by port 0000:00:01.0",
            "80.0 ms before: 0000:01:00.1 write 0x298 allowed, VM build",
            "Suspect: 0000:01:00.1 write 0x298",
            "options vfio_pci_audit block_pci_unassigned_write=Y",
            "exit code 0",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
    assert_eq!(START, 1_796_000_000_000);
}

#[test]
fn what_is_not_there_is_said() {
    let files = Files::new();
    let [console, audit, ring] = host(&files);
    let old = machine(&[("proc/sys/kernel/osrelease", "6.1.0-40-amd64\n")]);
    let root = format!("--root={}", old.path().display());
    let none = ["--folder=/nowhere", "--audit-log", &audit, &root];
    let text = all(&[&["last-boot"][..], &none].concat());
    assert!(text.contains("this kernel is 6.1.0-40-amd64"), "{text}");
    assert!(text.contains("exit code 3"), "{text}");
    let quiet = files.put("quiet", "[    1.000000] hello\n");
    let text = all(&[&["blame", &quiet][..], &none].concat());
    assert!(text.contains("No error was found"), "{text}");
    assert!(text.contains("exit code 1"), "{text}");
    // An error that nothing came before.
    let empty = files.put("empty", "");
    let text = all(&[
        "blame",
        &console,
        "--trace",
        &empty,
        "--audit-log",
        &empty,
        "--root=/nowhere",
    ]);
    assert!(text.contains("No known access is a suspect"), "{text}");
    assert!(text.contains("DMA"), "{text}");
    // Events that the kernel decoded as those of another module, and one that it could not.
    let wrong = RING
        .replace("pci_audit_access: device", "kvm_exit: device")
        .replace("pci_audit_access: magic=0x50434101", "Unknown type 1480 ");
    assert_ne!(wrong, RING);
    let wrong = files.put("wrong", &wrong);
    let text = all(&[
        "last-boot",
        &wrong,
        "--kernel-log",
        &quiet,
        "--audit-log",
        &audit,
        "--root=/nowhere",
    ]);
    for words in [
        "kernel decoded them WRONGLY",
        "cannot be read",
        "exit code 1",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let missing = all(&["last-boot", "/nowhere/ring"]);
    assert!(
        missing.contains("/nowhere/ring") && missing.contains("exit code 3"),
        "{missing}"
    );
    drop(ring);
}

/// A module that was loaded again has given the number of the first session to the second one.
#[test]
fn a_number_that_two_sessions_have_names_the_one_that_made_the_access() {
    let files = Files::new();
    let console = files.put("console", &CONSOLE.replace("[   70.", "[    0."));
    let text = lines(&two_machines()).replace(" session=2", " session=1");
    let audit = files.put("audit", &text);
    let told = json(&[
        "blame",
        &console,
        "--audit-log",
        &audit,
        "--root=/nowhere",
        "--folder=/nowhere",
    ]);
    let error = &told["errors"][0];
    let culprit = &error["accesses"][error["culprit"].as_u64().unwrap() as usize];
    assert_eq!(
        (&culprit["vm"], &culprit["pid"]),
        (&json!("win11-gpu"), &json!(4242)),
        "{error:#}"
    );
}

/// A device of a machine, as sysfs has it.
fn device<'a>(folder: &'a str, vendor: &'a str, device: &'a str) -> [(String, &'a str); 3] {
    let file = |name: &str| format!("sys/bus/pci/devices/{folder}/{name}");
    [
        (file("vendor"), vendor),
        (file("device"), device),
        (file("driver_override"), "vfio-pci\n"),
    ]
}

#[test]
fn a_host_that_stays_dead_is_not_taken_for_the_machine_that_looks() {
    let files = Files::new();
    let [console, audit, ring] = host(&files);
    // The machine that looks has another device at the address, one more that VFIO has, and a log
    // of its own.
    let mut here: Vec<(String, &str)> = Vec::new();
    here.extend(device("0000:01:00.1", "0x8086\n", "0x1533\n"));
    here.extend(device("0000:05:00.0", "0x10de\n", "0x1eb8\n"));
    let own = lines(&two_machines()).replace("\"build\"", "\"own\"");
    here.push(("var/log/audit/audit.log".to_owned(), &own));
    let saved = "var/lib/vfio-pci-audit/boot-4.trace";
    here.push((saved.to_owned(), RING));
    let here: Vec<(&str, &str)> = here.iter().map(|(file, text)| (&**file, *text)).collect();
    let here = machine(&here);
    let root = format!("--root={}", here.path().display());
    let saved = here.path().join(saved).display().to_string();
    let blame = |more: &[&str]| {
        let told = json(&[&["blame", &console, &root, "--folder=/nowhere"][..], more].concat());
        told["errors"][0].clone()
    };
    let options = |error: &Value| error["setting"]["options"].as_str().unwrap().to_owned();
    let notes = |error: &Value| error["setting"]["notes"].to_string();

    // Of this machine: its devices and logs tell.
    let own = blame(&["--trace", &saved]);
    assert_eq!(
        options(&own),
        "block_pci_unassigned_write=Y \
         uaccess_allow_ids=8086:1533@0-297,8086:1533@299-fff,10de:1eb8"
    );
    assert_eq!(own["accesses"][0]["vm"], "own", "{own:#}");
    assert!(!notes(&own).contains("that machine"), "{own:#}");

    // Of another one: nothing of this one does.
    let without_dump = blame(&["--trace", &ring]);
    assert_eq!(options(&without_dump), "block_pci_unassigned_write=Y");
    assert!(notes(&without_dump).contains("--dump"), "{without_dump:#}");
    for access in without_dump["accesses"].as_array().unwrap() {
        assert_eq!(access["offset"], 0x298, "{without_dump:#}");
        assert_eq!(access["vm"], Value::Null, "{without_dump:#}");
    }
    let dump = "01:00.1 Ethernet controller\n00: f4 1a 44 10 00 00 00 00 00 00 00 02 00 00 00 00\n";
    let zeros = |at: usize| format!("{at:02x}:{}\n", " 00".repeat(16));
    let dump = dump.to_owned() + &(1..16).map(|line| zeros(line * 16)).collect::<String>();
    let dump = files.put("lspci", &dump);
    let named = ["--trace", &ring, "--audit-log", &audit, "--dump", &dump];
    let with_dump = blame(&named);
    assert_eq!(
        options(&with_dump),
        "block_pci_unassigned_write=Y uaccess_allow_ids=1af4:1044@0-297,1af4:1044@299-fff"
    );
    assert!(
        notes(&with_dump).contains("the other devices of that machine are unknown here"),
        "{with_dump:#}"
    );
    assert_eq!(with_dump["accesses"][0]["vm"], "build");
    let said = all(&[&["blame", &console, &root][..], &named].concat());
    assert!(said.contains("taken to be of another machine"), "{said}");

    // An audit log that names another machine says so, too, and the last boot is that machine's.
    let other = lines(&two_machines());
    let other = other.lines().map(|line| format!("node=other {line}\n"));
    let named = files.put("named", &other.collect::<String>());
    let elsewhere = blame(&["--audit-log", &named]);
    assert_eq!(options(&elsewhere), "block_pci_unassigned_write=Y");
    let told = json(&["last-boot", &ring, &root]);
    assert_eq!(told["ended"]["how"], "unknown");
    assert_eq!(told["accesses"][0]["vm"], Value::Null);
    // A log of this machine says that the trace is, too.
    let log = here
        .path()
        .join("var/log/audit/audit.log")
        .display()
        .to_string();
    let own = blame(&["--trace", &ring, "--audit-log", &log]);
    assert!(options(&own).ends_with(",10de:1eb8"), "{own:#}");
}
