// SPDX-License-Identifier: GPL-2.0

//! Many hosts: rows for a database, and reports that are put together.

mod common;

use std::fs;

use common::logs::{lines, report, session, two_machines, Files, Record, START, UUID};
use common::{all, fed, run};
use serde_json::{json, Value};

/// The rows that are exported, from a file or standard input.
fn rows(arguments: &[&str], input: Option<&str>) -> Vec<Value> {
    let arguments = [&["export", "--root=/nowhere"][..], arguments].concat();
    let text = match input {
        Some(input) => fed(&arguments, input.as_bytes()),
        None => String::from_utf8(run(&arguments).stdout).unwrap(),
    };
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn rows_for_a_database() {
    let files = Files::new();
    let text = lines(&two_machines()).replace("type=", "node=h type=");
    let log = files.put("log", &text);
    let all_rows = rows(&[&log], None);
    let kinds = |rows: &[Value]| -> Vec<String> {
        rows.iter()
            .map(|row| row["kind"].as_str().unwrap().to_owned())
            .collect()
    };
    let of_session = ["access", "access", "access", "suppressed", "touched"];
    let expected = [&of_session[..], &of_session, &["session"; 2]].concat();
    assert_eq!(kinds(&all_rows), expected);
    // libvirt says only later whose the first accesses were.
    assert_eq!(
        all_rows[2],
        json!({
            "kind": "access", "time": "2026-11-30T00:53:20.030Z",
            "host": "h", "device": "0000:01:00.1", "session": 1, "serial": 103,
            "op": "write", "result": "blocked", "offset": 0x299, "size": 1,
            "count": 1, "lost": 0, "register": null,
            "vm": "win11-gpu", "uuid": UUID, "program": "qemu-system-x86_64", "pid": 4242,
        })
    );
    assert_eq!(
        (&all_rows[3]["count"], &all_rows[3]["offset"]),
        (&json!(134), &Value::Null)
    );
    assert_eq!(
        (&all_rows[4]["count"], &all_rows[4]["offset"]),
        (&json!(0), &json!(0x4c))
    );
    let second = &all_rows[11];
    assert_eq!(
        (&second["vm"], &second["reads"], &second["complete"]),
        (&json!("build"), &json!(135), &json!(true))
    );

    // Counts of rows are those that sessions have.
    let sum = |kind: &str, session: u64, field: &str| -> u64 {
        let of = all_rows
            .iter()
            .filter(|each| each["kind"] == kind && each["session"] == session);
        of.map(|each| each[field].as_u64().unwrap()).sum()
    };
    for session in [1, 2] {
        assert_eq!(
            sum("access", session, "count") + sum("suppressed", session, "count"),
            137
        );
        assert_eq!(
            sum("session", session, "reads") + sum("session", session, "writes"),
            137
        );
    }

    assert_eq!(rows(&["-"], Some(&text)), all_rows);
    assert_eq!(
        kinds(&rows(&[&log, "--rows=sessions"], None)),
        ["session"; 2]
    );
    assert_eq!(
        kinds(&rows(&[&log, "--rows=accesses", "--vm=build"], None)),
        of_session
    );
    assert_eq!(
        kinds(&rows(&[&log, "--blocked", "--rows=accesses"], None)),
        ["access"; 2]
    );
    // Kernels without numbers have sessions, too, and a module that is loaded again counts anew.
    let unnumbered = text.replace(" session=1", "").replace(" session=2", "");
    let again = text.replace(" session=2", " session=1");
    let holders = |rows: &[Value]| -> Vec<(Value, Value)> {
        rows.iter()
            .map(|row| (row["vm"].clone(), row["pid"].clone()))
            .collect()
    };
    for text in [unnumbered, again] {
        assert_eq!(holders(&rows(&["-"], Some(&text))), holders(&all_rows));
    }
}

/// Each of three machines makes a report; put together they are that of a collector, which has all
/// logs.
#[test]
fn reports_of_many_machines() {
    let files = Files::new();
    let mut collected = String::new();
    let mut made = Vec::new();
    for (at, host) in ["a", "b", "c"].into_iter().enumerate() {
        let at = at as u64;
        let mut records = two_machines();
        records.extend(session(START + 200_000 + at, 3, 77 + at, "0000:05:00.0"));
        let log = files.put(host, &lines(&records));
        collected += &lines(&records).replace("type=", &format!("node={host} type="));
        let root = common::machine(&[("proc/sys/kernel/hostname", host)]);
        let output = run(&[
            "report",
            "--format=json",
            "--root",
            root.path().to_str().unwrap(),
            &log,
        ]);
        made.push(files.put(
            &format!("{host}.json"),
            &String::from_utf8(output.stdout).unwrap(),
        ));
    }
    let merge = |arguments: &[&str], files: &[String]| {
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        all(&[&["report", "--merge"][..], arguments, &files].concat())
    };
    let all_logs = files.put("collected", &collected);
    let expected = report(&[&all_logs]);
    let merged = merge(&["--format=json"], &made);
    let merged: Value = serde_json::from_str(merged.trim_end_matches("exit code 0\n")).unwrap();
    for field in ["devices", "records", "lines", "first", "last"] {
        assert_eq!(merged[field], expected[field], "{field}");
    }
    let without_head = |text: String| text.split_once('\n').unwrap().1.to_owned();
    let text = without_head(merge(&[], &made));
    assert_eq!(text, without_head(all(&["report", &all_logs])));
    // The same one twice would count twice.
    let twice = merge(&[], &[made[0].clone(), made[0].clone()]);
    assert!(
        twice.contains("at the same time: it would be counted twice"),
        "{twice}"
    );
    assert!(twice.ends_with("exit code 3\n"), "{twice}");
    let log = merge(&[], &[files.path("a")]);
    assert!(log.contains("is not a report of --format json"), "{log}");
}

/// Two periods of one machine, between sessions.
#[test]
fn reports_of_two_periods() {
    let files = Files::new();
    let root = common::machine(&[("proc/sys/kernel/hostname", "a")]);
    let root = root.path().to_str().unwrap();
    let (old, mut new) = (
        session(START, 1, 10, "0000:01:00.1"),
        session(START + 100_000, 2, 10, "0000:01:00.1"),
    );
    new[1].3 = new[1]
        .3
        .replace("offset=0x298", "offset=0x29b")
        .replace("res=1", "res=0");
    new[2].3 = new[2].3.replace("offset=0x298", "offset=0x297");
    let made = |name: &str, records: &[Record]| {
        let log = files.put("log", &lines(records));
        let output = run(&["report", "--format=json", "--root", root, &log]);
        files.put(name, &String::from_utf8(output.stdout).unwrap())
    };
    let both = [old.clone(), new.clone()].concat();
    let (old, new, both) = (made("old", &old), made("new", &new), made("both", &both));
    let merged = run(&["report", "--merge", "--format=json", &new, &old]).stdout;
    let merged: Value = serde_json::from_slice(&merged).unwrap();
    let mut expected: Value = serde_json::from_str(&fs::read_to_string(both).unwrap()).unwrap();
    expected["devices"][0]["node"] = json!("a");
    assert_eq!(merged["devices"], expected["devices"]);
}

/// Three periods of one machine, named in any order; a session goes on from the second one into the
/// third.
#[test]
fn reports_of_periods_in_any_order() {
    let files = Files::new();
    let root = common::machine(&[("proc/sys/kernel/hostname", "a")]);
    let root = root.path().to_str().unwrap();
    let device = "0000:01:00.1";
    let mut records = session(START, 1, 10, device);
    records.extend(session(START + 100_000, 2, 10, device));
    let made: Vec<String> = [&records[..7], &records[7..10], &records[10..]]
        .into_iter()
        .zip(["1.json", "2.json", "3.json"])
        .map(|(records, name)| {
            let log = files.put("log", &lines(records));
            let output = run(&["report", "--format=json", "--root", root, &log]);
            files.put(name, &String::from_utf8(output.stdout).unwrap())
        })
        .collect();
    let merge = |order: [usize; 3]| {
        let names = order.map(|at| &*made[at]);
        all(&[&["report", "--merge"][..], &names].concat())
    };
    let told = merge([0, 1, 2]);
    let warning = format!(
        "warning: the last session on {device} on a in {} has no end: if it goes on in {}, it is \
         counted twice",
        made[1], made[2]
    );
    assert_eq!(told.matches("warning: ").count(), 1, "{told}");
    assert!(told.contains(&warning), "{told}");
    assert!(told.contains("sessions  3, 1 of them complete"), "{told}");
    for order in [[0, 2, 1], [2, 0, 1], [2, 1, 0], [1, 0, 2]] {
        assert_eq!(merge(order), told, "{order:?}");
    }
}
