// SPDX-License-Identifier: GPL-2.0

//! Sessions of several boots, of which the numbers begin anew.

mod common;

use common::logs::{report, report_of, Files, Record, START};
use serde_json::{json, Value};

/// Session 1 of a boot that ended with a crash, and that of the next one, half a minute later, each
/// behind the kernel's first record. A host that has few events may have as few before the second.
fn two_boots() -> Vec<(&'static str, Record)> {
    let boot = |id, start, serial, pid: u64| {
        let device = "device=\"0000:01:00.1\"";
        let open = format!("{device} op=open session=1 pid={pid} comm=\"q\" exe=\"/q\" res=1");
        let write = format!("{device} op=write offset=0x298 size=1 session=1 res=1");
        let first = "state=initialized audit_enabled=0 res=1".to_owned();
        [
            (id, Record(start, 1, "KERNEL", first)),
            (id, Record(start + 5000, serial, "PCI", open)),
            (id, Record(start + 5001, serial + 1, "PCI", write)),
        ]
    };
    [boot("a", START, 5, 900), boot("b", START + 30_000, 7, 300)].concat()
}

/// The processes of each session.
fn processes(report: &Value) -> Vec<Vec<u64>> {
    let sessions = report["devices"][0]["sessions"]["recent"].as_array();
    let processes = |session: &Value| {
        let holders = session["holders"].as_array().unwrap();
        holders
            .iter()
            .filter_map(|holder| holder["pid"].as_u64())
            .collect()
    };
    sessions.unwrap().iter().map(processes).collect()
}

#[test]
fn sessions_of_two_boots_are_apart_in_every_form() {
    let records = two_boots();
    let each = |line: &dyn Fn(&str, &Record) -> String| -> String {
        let lines = records.iter().map(|(boot, record)| line(boot, record));
        lines.map(|line| line + "\n").collect()
    };
    let number = |record: &Record| match record.2 {
        "KERNEL" => 2000,
        _ => 1340,
    };
    let printed = |record: &Record| {
        format!(
            "audit: type={} {}{}",
            number(record),
            record.stamp(),
            record.3
        )
    };
    let syslog = |record: &Record| format!("Nov 30 00:53:20 vmhost17 kernel: {}", printed(record));
    // In place of the first record, what the kernel prints before it.
    let banner = |stamp: &str, record: &Record| match record.2 {
        "KERNEL" => {
            format!("Nov 30 00:53:20 vmhost17 kernel: {stamp}Linux version 6.1.0 (x@y) #1 SMP")
        }
        _ => syslog(record),
    };
    let journal = |boot: &str, record: &Record| {
        json!({
            "__REALTIME_TIMESTAMP": "1",
            "_SOURCE_REALTIME_TIMESTAMP": (record.0 * 1000).to_string(),
            "_BOOT_ID": boot,
            "_HOSTNAME": "vmhost17",
            "_TRANSPORT": "audit",
            "_AUDIT_TYPE": number(record).to_string(),
            "_AUDIT_ID": record.1.to_string(),
            "MESSAGE": format!("AUDIT {}", record.3),
        })
    };
    let kernel_journal = |boot: &str, record: &Record| {
        json!({
            "__REALTIME_TIMESTAMP": "1",
            "_BOOT_ID": boot,
            "_HOSTNAME": "vmhost17",
            "_TRANSPORT": "kernel",
            "MESSAGE": printed(record),
        })
    };
    let export = |boot: &str, record: &Record| {
        format!(
            "__CURSOR=x\n_BOOT_ID={boot}\n_SOURCE_REALTIME_TIMESTAMP={}\n_AUDIT_TYPE={}\n\
             _AUDIT_ID={}\nMESSAGE=AUDIT {}\n",
            record.0 * 1000,
            number(record),
            record.1,
            record.3
        )
    };
    let laurel = |record: &Record| {
        let words = record
            .3
            .split(' ')
            .map(|word| word.split_once('=').unwrap());
        let fields: serde_json::Map<_, _> = words
            .map(|(key, value)| (key.to_owned(), json!(value.trim_matches('"'))))
            .collect();
        let stamp = record.stamp().replace("audit(", "").replace("): ", "");
        json!({"ID": stamp, "NODE": "vmhost17", (record.2): [fields]}).to_string()
    };
    // Boots are told by journald's identity alone, too.
    let entries = |entry: &dyn Fn(&str, &Record) -> Value| {
        let all = each(&|boot, record| entry(boot, record).to_string());
        let entries = all.lines().filter(|line| !line.contains("initialized"));
        entries
            .map(|line| line.to_owned() + "\n")
            .collect::<String>()
    };
    for (name, text) in [
        ("auditd", each(&|_, r| r.line())),
        (
            "auditd of a node",
            each(&|_, r| format!("node=h {}", r.line())),
        ),
        (
            "dmesg",
            each(&|_, r| format!("[  1.000000] {}", printed(r))),
        ),
        ("syslog", each(&|_, r| syslog(r))),
        (
            "syslog, the version",
            each(&|_, r| banner("[    0.000000] ", r)),
        ),
        ("journalctl, the version", each(&|_, r| banner("", r))),
        ("journal", entries(&journal)),
        ("journal of the kernel", entries(&kernel_journal)),
        ("export", each(&export)),
        ("laurel", each(&|_, r| laurel(r))),
    ] {
        assert_eq!(
            processes(&report_of(&text)),
            [[900], [300]],
            "{name}: {text}"
        );
    }
    let unmarked = |records: &[(&str, Record)]| -> String {
        let records = records.iter().filter(|(_, record)| record.2 == "PCI");
        records.map(|(_, record)| syslog(record) + "\n").collect()
    };
    // Without any of it they cannot be told from one session of two processes.
    assert_eq!(processes(&report_of(&unmarked(&records))), [[900, 300]]);
    // An hour later numbers that do not rise are those of another boot.
    let mut later = records.clone();
    for (_, record) in &mut later[3..] {
        record.0 += 3_600_000;
        record.1 = record.1.saturating_sub(2);
    }
    assert_eq!(processes(&report_of(&unmarked(&later))), [[900], [300]]);

    // A copy that was made before the log grew has no boots of its own.
    let files = Files::new();
    let text = each(&|_, r| banner("[    0.000000] ", r));
    let log = files.put("kern.log", &text);
    let copy = files.put("copy", text.rsplit_once("Nov 30").unwrap().0);
    for logs in [[&*log, &*copy], [&*copy, &*log]] {
        assert_eq!(processes(&report(&logs)), [[900], [300]], "{logs:?}");
    }
}
