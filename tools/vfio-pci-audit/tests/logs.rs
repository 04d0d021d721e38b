// SPDX-License-Identifier: GPL-2.0

//! Records wherever hosts keep them, and in whatever order.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use common::logs::{lines, report, report_of, session, two_machines, Files, Record, START};
use common::{all, fed, program, run};
use serde_json::{json, Value};

#[test]
fn every_form_says_the_same() {
    let records = session(START, 1, 4242, "0000:01:00.1");
    let each = |line: &dyn Fn(&Record) -> String| {
        records
            .iter()
            .map(|record| line(record) + "\n")
            .collect::<String>()
    };
    let expected = report_of(&lines(&records))["devices"].clone();
    assert_eq!(expected[0]["sessions"]["recent"][0]["totals"]["reads"], 135);
    let journal = |record: &Record| {
        json!({
            "__CURSOR": "x",
            "__REALTIME_TIMESTAMP": "1",
            "_SOURCE_REALTIME_TIMESTAMP": (record.0 * 1000).to_string(),
            "_TRANSPORT": "audit",
            "_AUDIT_TYPE": "1340",
            "_AUDIT_ID": record.1.to_string(),
            "MESSAGE": format!("AUDIT1340 {}", record.3),
        })
        .to_string()
    };
    let printed = |record: &Record| {
        json!({
            "__CURSOR": "x",
            "__REALTIME_TIMESTAMP": "1",
            "_TRANSPORT": "kernel",
            "MESSAGE": format!("audit: type=1340 {}{}", record.stamp(), record.3),
        })
        .to_string()
    };
    let export = |record: &Record| {
        format!(
            "__CURSOR=x\n_SOURCE_REALTIME_TIMESTAMP={}\n_AUDIT_TYPE=1340\n_AUDIT_ID={}\n\
             MESSAGE=AUDIT1340 {}\n",
            record.0 * 1000,
            record.1,
            record.3
        )
    };
    let interpreted = |record: &Record| {
        let time = jiff::Timestamp::from_millisecond(record.0 as i64).unwrap();
        let words = record
            .3
            .replace('"', "")
            .replace("res=1", "res=yes")
            .replace("res=0", "res=no");
        // Users' names are not numbers again.
        format!(
            "----\ntype=PCI msg=audit({}:{}) : {words} ",
            time.strftime("%m/%d/%Y %H:%M:%S.%3f"),
            record.1
        )
    };
    for (name, text) in [
        (
            "number",
            each(&|r| r.line().replace("type=PCI", "type=1340")),
        ),
        (
            "older daemon",
            each(&|r| r.line().replace("type=PCI", "type=UNKNOWN[1340]")),
        ),
        (
            "dmesg",
            "[    0.0] Booting\n".to_owned()
                + &each(&|r| format!("[  12.3] audit: type=1340 {}{}", r.stamp(), r.3)),
        ),
        (
            "console",
            each(&|r| format!("[  12.3] audit: type=1340 {}{}\r", r.stamp(), r.3)),
        ),
        ("journal", each(&journal)),
        // journald has what the kernel printed, too, before or after.
        (
            "journal of both",
            each(&|r| journal(r) + "\n" + &printed(r)),
        ),
        (
            "journal of both",
            each(&|r| printed(r) + "\n" + &journal(r)),
        ),
        ("export", each(&export)),
        ("ausearch -i", each(&interpreted)),
    ] {
        let told = report_of(&text);
        assert_eq!(told["records"], 7, "{name}: {told}");
        assert_eq!(told["broken_lines"], 0, "{name}: {told}");
        assert_eq!(told["failures"], json!([]), "{name}: {told}");
        assert_eq!(told["devices"], expected, "{name}");
    }
    // Forwarders name the host.
    let syslog = report_of(&each(&|r| {
        format!(
            "Nov 30 00:53:20 vmhost17 kernel: audit: type=1340 {}{}",
            r.stamp(),
            r.3
        )
    }));
    assert_eq!(syslog["devices"][0]["node"], "vmhost17");
    assert_eq!(syslog["devices"][0]["sessions"], expected[0]["sessions"]);
}

#[test]
fn what_the_kernel_did_not_print_is_said() {
    let files = Files::new();
    let record = &session(START, 1, 4242, "0000:01:00.1")[0];
    let log = files.put(
        "log",
        &format!(
            "[ 1.0] audit: type=1340 {}{}\n[ 2.0] kauditd_printk_skb: 37 callbacks suppressed\n",
            record.stamp(),
            record.3
        ),
    );
    let output = all(&["report", &log]);
    assert!(
        output.contains("warning: the kernel did not print 37 records"),
        "{output}"
    );
}

#[test]
fn no_rotated_log_is_left_out() {
    let files = Files::new();
    let at = |hour: u64| lines(&session(START + hour * 3_600_000, hour, 10, "0000:01:00.1"));
    files.put("audit.log", &at(3));
    files.put("audit.log-2025-05-20_16", &at(2));
    let packed = zstd::encode_all(at(1).as_bytes(), 1).unwrap();
    fs::write(files.path("audit.log.2.zst"), packed).unwrap();
    let told = report(&[&files.path("")]);
    assert_eq!((&told["files"], &told["records"]), (&json!(3), &json!(21)));
    // What cannot be unpacked is not passed over in silence.
    for (name, bytes, program) in [
        ("audit.log.3.bz2", &b"BZh91AY"[..], "bzcat"),
        ("audit.log-oldest.lz4", b"\x04\x22\x4d\x18", "lz4cat"),
    ] {
        fs::write(files.path(name), bytes).unwrap();
        let output = all(&["report", &files.path("")]);
        let words = format!("{name}: it is compressed with ");
        assert!(output.contains(&words), "{output}");
        assert!(output.contains(program), "{output}");
        assert!(output.starts_with("21 PCI records"), "{output}");
        assert!(output.ends_with("exit code 3\n"), "{output}");
    }
}

#[test]
fn what_is_no_log_is_said() {
    let files = Files::new();
    for (name, text, word) in [
        (
            "dmesg",
            "[    0.000000] Booting\n[    1.000000] pci 0000:01:00.0: x\n",
            "a kernel or system log",
        ),
        (
            "lspci",
            "01:00.0 Ethernet controller: x\n00: 86 80\n",
            "map --dump reads it",
        ),
        ("text", "hello\nworld\n", "other text"),
    ] {
        let output = all(&["report", &files.put(name, text)]);
        assert!(
            output.contains("no line is an audit record: it looks like"),
            "{output}"
        );
        assert!(output.contains(word), "{output}");
        assert!(output.ends_with("exit code 3\n"), "{output}");
    }
    // A log without PCI records is one, and so is an empty file.
    for text in ["type=SYSCALL msg=audit(1.000:1): x=1\n", ""] {
        let output = all(&["report", &files.put("other", text)]);
        assert!(output.ends_with("exit code 1\n"), "{output}");
    }
}

#[test]
fn logs_in_any_order() {
    let files = Files::new();
    let first = session(START, 1, 10, "0000:01:00.1");
    let second = session(START + 3_600_000, 2, 20, "0000:01:00.1");
    // Without numbers, sessions are told by their order only; the first one reaches into the second
    // log.
    let unnumbered = |records: &[Record]| {
        lines(records)
            .replace(" session=1", "")
            .replace(" session=2", "")
    };
    let old = files.put("audit.log.1", &unnumbered(&first[..4]));
    let new = files.put(
        "audit.log",
        &(unnumbered(&first[4..]) + &unnumbered(&second)),
    );
    let right = report(&[&old, &new]);
    assert_eq!(right["devices"][0]["sessions"]["complete"], 2);
    let wrong = all(&["report", "--format=json", &new, &old]);
    assert_eq!(wrong, all(&["report", "--format=json", &old, &new]));
    assert!(!wrong.contains("warning"), "{wrong}");
    // The first record may come late, and a file without one stays where it is.
    let other = "Nov 30 00:53:20 h cron[1]: hello\n".repeat(5000);
    let late = files.put("late", &(other.clone() + &unnumbered(&first[..4])));
    let none = files.put("none", &other);
    let told = all(&["report", &none, &late, &new]);
    assert!(!told.contains("time goes backwards"), "{told}");
    // In one file they cannot be put in order.
    let both = files.put(
        "both",
        &(fs::read_to_string(&new).unwrap() + &fs::read_to_string(&old).unwrap()),
    );
    let output = all(&["report", &both]);
    assert!(
        output.contains("both:11: time goes backwards by 1h"),
        "{output}"
    );
}

#[test]
fn a_log_that_is_given_twice_counts_once() {
    let files = Files::new();
    let mut records = session(START, 1, 10, "0000:01:00.1");
    let part = lines(&records);
    records.extend(session(START + 60_000, 2, 10, "0000:01:00.1"));
    let log = files.put("audit.log", &lines(&records));
    let once = report(&[&log]);
    let same = |told: &Value| {
        assert_eq!(told["devices"], once["devices"]);
        assert_eq!(told["records"], once["records"]);
    };
    let named = all(&["report", &log, &log]);
    assert!(named.contains("is named twice: it is read once"), "{named}");
    same(&report(&[&log, &log]));
    // A copy, and one that was made before the log grew.
    for (name, text, common) in [("copy", &lines(&records), 14), ("earlier", &part, 7)] {
        let copy = files.put(name, text);
        same(&report(&[&log, &copy]));
        same(&report(&[&copy, &log]));
        assert_eq!(report(&[&copy, &log])["twice"], common, "{name}");
        let said = all(&["report", &copy, &log]);
        assert!(
            said.contains(&format!(
                "have {common} records in common: each is counted once"
            )),
            "{said}"
        );
    }
    let text = lines(&records);
    let with_input = fed(&["report", "--format=json", "-", &log], text.as_bytes());
    same(&serde_json::from_str(&with_input).unwrap());
    // What advise thinks of it does not get better either.
    let advice = |logs: &[&str]| run(&[&["advise", "--root=/nowhere"][..], logs].concat()).stdout;
    assert_eq!(advice(&[&log, &files.path("copy")]), advice(&[&log]));
}

/// A shell that lets a program have few files open.
fn with_few_descriptors(arguments: &[&str]) -> Command {
    let inner = program(arguments);
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", "ulimit -n 64; exec \"$@\"", "sh"])
        .arg(inner.get_program())
        .args(inner.get_args());
    shell
}

#[test]
fn logs_of_many_machines_are_not_compared_with_each_other() {
    const HOSTS: usize = 100;

    let files = Files::new();
    let text = |host: usize| {
        let node = format!("node=h{host} type=");
        lines(&session(START, 1, 10, "0000:01:00.1")).replace("type=", &node)
    };
    let mut logs: Vec<_> = (0..HOSTS)
        .map(|host| files.put(&format!("log{host}"), &text(host)))
        .collect();
    // One of them is there twice.
    logs.push(files.put("copy", &text(HOSTS - 1)));
    let names = logs.iter().map(String::as_str);
    let arguments: Vec<_> = ["report", "--format=json"]
        .into_iter()
        .chain(names)
        .collect();
    let output = with_few_descriptors(&arguments).output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["records"], 7 * HOSTS);
    assert_eq!(told["twice"], 7);
    // Without names, all are of one machine. What is not compared is said.
    let told = |count: usize| {
        let later = session(START + 60_000, 2, 10, "0000:01:00.1");
        let log = lines(&[session(START, 1, 10, "0000:01:00.1"), later].concat());
        let other = |at: usize| log.replace(":1", &format!(":{at}1"));
        let logs: Vec<_> = (1..=count)
            .map(|at| files.put(&format!("unnamed{at}"), &other(at)))
            .collect();
        all(&[
            &["report"][..],
            &logs.iter().map(String::as_str).collect::<Vec<_>>(),
        ]
        .concat())
    };
    let words = "more than 32 logs have records of one machine at the same time";
    assert!(!told(33).contains(words));
    assert_eq!(told(40).matches(words).count(), 1);
}

#[test]
fn a_clock_that_was_set_is_a_weakness() {
    let mut records = session(12_100, 1, 10, "0000:01:00.1");
    if let Some(last) = records.last_mut() {
        last.0 = START;
    }
    let files = Files::new();
    let output = all(&[
        "advise",
        "--root=/nowhere",
        &files.put("log", &lines(&records)),
    ]);
    assert!(
        output.contains("weak: the clock was set during this time"),
        "{output}"
    );
    assert!(output.contains("weak: the logs cover 0s only"), "{output}");
}

#[test]
fn without_auditd_the_journal_is_read() {
    let files = Files::new();
    let record = &session(START, 1, 10, "0000:01:00.1")[0];
    let entry = json!({
        "__REALTIME_TIMESTAMP": "1",
        "_SOURCE_REALTIME_TIMESTAMP": (record.0 * 1000).to_string(),
        "_AUDIT_TYPE": "1340",
        "_AUDIT_ID": "1",
        "_HOSTNAME": "here",
        "MESSAGE": format!("AUDIT1340 {}", record.3),
    });
    journal(&files, &format!("{entry}\n"), "");
    let ask = || with_journal(&files, &["report"]);
    let (out, err, code) = ask();
    assert!(err.contains("reading the journal"), "{err}");
    assert!(out.contains("0000:01:00.1 on here"), "{out}");
    assert_eq!(code, Some(0));
    // auditd's log comes first.
    let log = Path::new(&files.path("")).join("var/log/audit/audit.log");
    fs::create_dir_all(log.parent().unwrap()).unwrap();
    fs::write(log, record.line()).unwrap();
    let (out, err, _) = ask();
    assert!(
        err.is_empty() && out.contains("0000:01:00.1: "),
        "{out}{err}"
    );
}

/// Put a journalctl in front that prints entries and does something else.
fn journal(files: &Files, entries: &str, then: &str) {
    files.put("entries", entries);
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in\n*--version*) exit 0;;\n*--system*_AUDIT_TYPE=1340*) cat {}; \
         {then};;\nesac\n",
        files.path("entries")
    );
    fs::create_dir(files.path("bin")).unwrap();
    let journalctl = files.put("bin/journalctl", &script);
    fs::set_permissions(&journalctl, fs::Permissions::from_mode(0o755)).unwrap();
}

/// What a command prints, complains of and ends with on a machine that has that journal.
fn with_journal(files: &Files, arguments: &[&str]) -> (String, String, Option<i32>) {
    let root = files.path("");
    let mut command = program(&[arguments, &["--root", &root]].concat());
    command.env("PATH", format!("{}:/usr/bin:/bin", files.path("bin")));
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        text(output.stdout),
        text(output.stderr),
        output.status.code(),
    )
}

#[test]
fn a_journal_that_cannot_be_read_is_a_failure() {
    let record = &session(START, 1, 10, "0000:01:00.1")[0];
    let entry = json!({
        "__REALTIME_TIMESTAMP": "1",
        "_TRANSPORT": "kernel",
        "MESSAGE": format!("audit: type=1340 {}{}", record.stamp(), record.3),
    });
    // All of it, and its end.
    for (entries, records) in [(String::new(), 0), (format!("{entry}\n"), 1)] {
        let files = Files::new();
        journal(&files, &entries, "echo permission >&2; exit 1");
        let (out, err, code) = with_journal(&files, &["report"]);
        assert!(out.starts_with(&format!("{records} PCI record")), "{out}");
        assert!(
            err.contains("permission\nwarning: the journal: journalctl ended with exit status: 1"),
            "{err}"
        );
        assert_eq!(code, Some(3), "{err}");
        // Where the journal is kept to be read twice, there is no result.
        let (_, err, code) = with_journal(&files, &["export"]);
        assert!(err.contains("the journal: journalctl ended with"), "{err}");
        assert_eq!(code, Some(3), "{err}");
    }
}

#[test]
fn a_journal_without_records_is_one() {
    let files = Files::new();
    let entry = json!({
        "__REALTIME_TIMESTAMP": "1",
        "_TRANSPORT": "kernel",
        "MESSAGE": "pci 0000:01:00.0: BAR 0",
    });
    journal(&files, &format!("{entry}\n"), "");
    for arguments in [
        &["report"][..],
        &["report", "--vm", "a"],
        &["advise"],
        &["export"],
    ] {
        let (_, err, code) = with_journal(&files, arguments);
        assert!(!err.contains("warning"), "{arguments:?}: {err}");
        assert_eq!(code, Some(1), "{arguments:?}: {err}");
    }
}

#[test]
fn a_drawing_on_standard_output_is_all_there_is() {
    let files = Files::new();
    let log = files.put("log", &lines(&session(START, 1, 10, "0000:01:00.1")));
    let output = all(&["report", "--svg=-", &log]);
    assert!(output.starts_with("<svg "), "{output}");
    assert!(output.ends_with("</svg>\nexit code 0\n"), "{output}");
    let output = all(&["map", "--svg=-", "--dump=edu.lspci"]);
    assert!(
        output.starts_with("<svg ") && output.ends_with("</svg>\nexit code 0\n"),
        "{output}"
    );
}

/// What a holder calls itself is told, but neither to the terminal nor as lines.
#[test]
fn names_are_no_commands_for_a_terminal() {
    let hex = |text: &str| {
        let digits = text.bytes().map(|byte| format!("{byte:02X}"));
        digits.collect::<String>()
    };
    let forged = "2026-11-30 forged";
    let name = format!("/tmp/\x1b]0;x\x07\x1b[2J\n{forged}\u{202e}\u{9b}");
    let named = lines(&two_machines())
        .replace("\"CPU 0/KVM\"", &hex(&name))
        .replace("\"/usr/bin/qemu-system-x86_64\"", &hex(&name))
        .replace("\"win11-gpu\"", &hex(&name));
    assert_eq!(named.matches(&hex(&name)).count(), 6, "{named}");
    let files = Files::new();
    let log = files.put("log", &named);
    for arguments in [
        &["report", &log][..],
        &["report", "--format=json", &log],
        &["report", "--format=csv", &log],
        &["advise", "--root=/nowhere", &log],
        &["export", "--root=/nowhere", &log],
        &["diff", &log, &log],
        &["watch", "--root=/nowhere", "--since=@0", "--for=1ms", &log],
    ] {
        let told = all(arguments);
        let obeyed = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!told.contains(obeyed), "{arguments:?}: {told:?}");
        let lines = told.lines().filter(|line| line.starts_with(forged));
        assert_eq!(lines.count(), 0, "{arguments:?}: {told}");
    }
    assert!(all(&["report", &log]).contains("\\u{1b}]0;x"));
}

#[test]
fn lines_are_as_wide_as_the_terminal() {
    let files = Files::new();
    let log = files.put("log", &lines(&two_machines()));
    for columns in [60, 90] {
        for arguments in [
            &["report", "--heat", "--root=/nowhere", &log][..],
            &["map", "--dump=e1000e.lspci"],
        ] {
            let mut command = program(arguments);
            let output = command
                .env("COLUMNS", columns.to_string())
                .output()
                .unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= columns, "{columns}: {text}");
        }
    }
}
