// SPDX-License-Identifier: GPL-2.0

//! Records wherever hosts keep them, in whatever order, and questions about some of them.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::{all, fed, program, run};
use serde_json::{json, Value};

const UUID: &str = "8f3b2c11-1c2d-4e5f-8a9b-0c1d2e3f4a5b";

/// One record: its time and number, its type, and its text.
#[derive(Clone)]
struct Record(u64, u64, &'static str, String);

impl Record {
    fn stamp(&self) -> String {
        format!("audit({}.{:03}:{}): ", self.0 / 1000, self.0 % 1000, self.1)
    }

    /// As auditd writes it.
    fn line(&self) -> String {
        format!("type={} msg={}{}", self.2, self.stamp(), self.3)
    }
}

fn lines(records: &[Record]) -> String {
    records.iter().map(|record| record.line() + "\n").collect()
}

const START: u64 = 1_796_000_000_000;

/// A session of a virtual machine: its start, a read, two writes of which one is blocked, a report, its end.
fn session(start: u64, number: u64, pid: u64, device: &str) -> Vec<Record> {
    let text = |rest: &str| {
        format!(
            "device=\"{device}\" {}",
            rest.replace("NUMBER", &number.to_string())
        )
    };
    let task = format!("ppid=1 pid={pid} auid=4294967295 uid=64055 tty=(none) ses=4294967295 comm=\"CPU 0/KVM\" exe=\"/usr/bin/qemu-system-x86_64\" subj=unconfined");
    [
        (0, format!("op=open session=NUMBER {task} res=1")),
        (1, "op=read offset=0x298 size=4 session=NUMBER res=1".into()),
        (20, "op=write offset=0x298 size=1 session=NUMBER res=1".into()),
        (30, "op=write offset=0x299 size=1 session=NUMBER res=0".into()),
        (900, "op=suppressed access=read session=NUMBER count=134 lost=0 ranges=1 res=1".into()),
        (900, "op=touched access=read offset=0x4c size=64 session=NUMBER res=1".into()),
        (999, "op=close session=NUMBER reads=135 writes=2 blocked_reads=0 blocked_writes=1 records=3 suppressed=134 lost=0 res=1".into()),
    ]
    .into_iter()
    .zip(0..)
    .map(|((after, rest), at)| Record(start + after, number * 100 + at, "PCI", text(&rest)))
    .collect()
}

fn virt(time: u64, kind: &'static str, inner: &str) -> Record {
    let text = format!("pid=1510 uid=0 auid=4294967295 ses=4294967295 msg='virt=kvm {inner} exe=\"/usr/sbin/libvirtd\" hostname=? addr=? terminal=? res=success'");
    Record(time, 1, kind, text)
}

/// Two machines that had one device one after the other. libvirt says so after they opened it.
fn two_machines() -> Vec<Record> {
    let mut records = session(START, 1, 4242, "0000:01:00.1");
    let vm = |name: &str, uuid: &str| format!("vm=\"{name}\" uuid={uuid}");
    let (one, two) = (
        vm("win11-gpu", UUID),
        vm("build", "00000000-0000-4000-8000-000000000002"),
    );
    let control = |time, rest: String| virt(START + time, "VIRT_CONTROL", &rest);
    records.push(control(
        5000,
        format!("op=start reason=booted {one} vm-pid=4242 init-pid=0"),
    ));
    records.push(control(
        60_000,
        format!("op=stop reason=shutdown {one} vm-pid=-1"),
    ));
    records.extend(session(START + 70_000, 2, 4300, "0000:01:00.1"));
    records.push(control(
        75_000,
        format!("op=start reason=booted {two} vm-pid=4300 init-pid=0"),
    ));
    records
}

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn put(&self, name: &str, text: &str) -> String {
        fs::write(self.0.path().join(name), text).unwrap();
        self.path(name)
    }
}

fn report(arguments: &[&str]) -> Value {
    let output = run(&[&["report", "--format=json"][..], arguments].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text} {:?}", output.stderr))
}

fn report_of(text: &str) -> Value {
    let files = Files::new();
    report(&[&files.put("log", text)])
}

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
    let export = |record: &Record| {
        format!(
            "__CURSOR=x\n_SOURCE_REALTIME_TIMESTAMP={}\n_AUDIT_TYPE=1340\n_AUDIT_ID={}\nMESSAGE=AUDIT1340 {}\n",
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
fn what_is_no_log_is_said() {
    let files = Files::new();
    for (name, text, word) in [
        (
            "dmesg",
            "[    0.000000] Booting\n[    1.000000] pci 0000:01:00.0: x\n",
            "the log of a kernel",
        ),
        (
            "lspci",
            "01:00.0 Ethernet controller: x\n00: 86 80\n",
            "map --dump reads that",
        ),
        ("text", "hello\nworld\n", "text of another kind"),
    ] {
        let output = all(&["report", &files.put(name, text)]);
        assert!(
            output.contains("not one line is an audit record: it looks like"),
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
    // Without numbers, sessions are told by their order only; the first one reaches into the second log.
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
    // In one file they cannot be put in order.
    let both = files.put(
        "both",
        &(fs::read_to_string(&new).unwrap() + &fs::read_to_string(&old).unwrap()),
    );
    let output = all(&["report", &both]);
    assert!(
        output.contains("both:11: time runs backwards here, by 1h"),
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
                "have {common} records in common: each counts once"
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
        output.contains("weak: the clock was set in between"),
        "{output}"
    );
    assert!(output.contains("weak: seen for 0s only"), "{output}");
}

#[test]
fn threads_are_one_holder() {
    let records = [1, 2, 3].map(|n| session(START + n * 100_000, n, 4242, "0000:01:00.1"));
    let text = lines(&records.concat()).replacen("CPU 0/KVM", "qemu-system-x86", 1);
    let told = report_of(&text.replacen("CPU 0/KVM", "CPU 7/KVM", 1));
    let holders = &told["devices"][0]["sessions"]["holders"];
    assert_eq!(holders.as_array().unwrap().len(), 1, "{holders}");
    assert_eq!(
        (&holders[0]["sessions"], &holders[0]["name"]),
        (&json!(3), &json!("qemu-system-x86_64"))
    );
}

#[test]
fn virtual_machines_have_names() {
    let files = Files::new();
    let log = files.put("log", &lines(&two_machines()));
    let told = report(&[&log]);
    let sessions = &told["devices"][0]["sessions"];
    let vm = json!({"name": "win11-gpu", "uuid": UUID});
    assert_eq!(sessions["holders"][0]["vm"], vm);
    assert_eq!(sessions["recent"][0]["vm"], vm);
    assert_eq!(sessions["recent"][1]["vm"]["name"], "build");
    let text = all(&["report", &log]);
    let held = format!("held by   VM win11-gpu ({UUID}), qemu-system-x86_64 4242");
    assert!(text.contains(&held), "{text}");
    let csv = all(&["report", "--format=csv", &log]);
    assert!(csv.contains(",build win11-gpu,"), "{csv}");
    let advice = all(&["advise", "--root=/nowhere", &log]);
    assert!(advice.contains("VMs: build, win11-gpu"), "{advice}");
    // Another machine's process of the same number is another one.
    let other = files.put(
        "other",
        &lines(&two_machines()).replace("type=PCI", "node=x type=PCI"),
    );
    assert_eq!(
        report(&[&other])["devices"][0]["sessions"]["recent"][0]["vm"],
        Value::Null
    );
}

fn counts(told: &Value) -> Vec<(String, u64)> {
    let devices = told["devices"].as_array().unwrap().iter();
    devices
        .flat_map(|device| device["accesses"].as_array().unwrap())
        .map(|cell| {
            let name = format!("{} {}", cell["op"], cell["result"]).replace('"', "");
            (name, cell["recorded"].as_u64().unwrap())
        })
        .collect()
}

#[test]
fn questions() {
    let files = Files::new();
    let mut records = two_machines();
    records.extend(session(START + 86_400_000, 3, 5000, "0000:02:00.0"));
    let log = files.put("log", &lines(&records));
    let ask = |arguments: &[&str]| report(&[&[&*log][..], arguments].concat());
    let cells = |counts: &[(&str, u64)]| -> Vec<(String, u64)> {
        counts
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect()
    };
    let everything = cells(&[
        ("write allowed", 1),
        ("write blocked", 1),
        ("read allowed", 1),
    ]);

    let device = ask(&["--device=02:00.0"]);
    assert_eq!(counts(&device), everything);
    assert_eq!(device["devices"][0]["device"], "0000:02:00.0");
    assert_eq!(ask(&["--device=03:00.0"])["devices"], json!([]));
    assert_eq!(ask(&["--node=x"])["records"], 0);

    let blocked = ask(&["--blocked"]);
    assert_eq!(
        counts(&blocked),
        cells(&[("write blocked", 2), ("write blocked", 1)])
    );
    // Who it was is known all the same.
    assert_eq!(
        blocked["devices"][0]["sessions"]["recent"][0]["vm"]["name"],
        "win11-gpu"
    );
    assert_eq!(blocked["devices"][0]["sessions"]["missing_records"], 0);
    let reads = ask(&["--op=read", "--device=02:00.0"]);
    assert_eq!(counts(&reads), cells(&[("read allowed", 1)]));
    assert_eq!(reads["devices"][0]["accesses"][0]["suppressed"], 134);

    for vm in ["build", "00000000-0000-4000-8000-000000000002"] {
        let told = ask(&["--vm", vm]);
        assert_eq!(counts(&told), everything);
        assert_eq!(told["devices"][0]["sessions"]["count"], 1);
        assert_eq!(told["devices"][0]["sessions"]["recent"][0]["session"], 2);
    }
    assert_eq!(ask(&["--vm=other"])["records"], 0);
    let input = fed(
        &["report", "--format=json", "--vm=build", "-"],
        lines(&records).as_bytes(),
    );
    assert_eq!(counts(&serde_json::from_str(&input).unwrap()), everything);

    // 2026-11-30 00:53:20 UTC, and a minute later; the next day.
    assert_eq!(counts(&ask(&["--since=2026-12-01"])), everything);
    assert_eq!(
        counts(&ask(&[
            "--since",
            "11/30/2026 00:54:00",
            "--until",
            "2026-11-30T01:00:00Z"
        ])),
        everything
    );
    let middle = ask(&["--since=@1796000000.015", "--until=@1796000000.025"]);
    assert_eq!(counts(&middle), cells(&[("write allowed", 1)]));
    assert_eq!(middle["devices"][0]["sessions"]["recent"][0]["pid"], 4242);
    assert_eq!(middle["devices"][0]["sessions"]["missing_records"], 0);
    let wrong = all(&["report", &log, "--since=soon"]);
    assert!(
        wrong.contains("\"soon\" is not a time") && wrong.ends_with("exit code 3\n"),
        "{wrong}"
    );
}

#[test]
fn a_virtual_machine_of_a_kernel_without_numbers() {
    let text = lines(&two_machines())
        .replace(" session=1", "")
        .replace(" session=2", "");
    let files = Files::new();
    let log = files.put("log", &text);
    let told = report(&["--vm=build", &log]);
    assert_eq!(told["devices"][0]["sessions"]["count"], 1);
    assert_eq!(told["devices"][0]["sessions"]["recent"][0]["pid"], 4300);
    assert_eq!(told["records"], 7);
}

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
            "kind": "access", "time": "2026-11-30T00:53:20.030Z", "host": "h", "device": "0000:01:00.1", "session": 1,
            "serial": 103, "op": "write", "result": "blocked", "offset": 0x299, "size": 1, "count": 1, "lost": 0,
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
    // Kernels without numbers have sessions, too.
    let unnumbered = text.replace(" session=1", "").replace(" session=2", "");
    let vms: Vec<Value> = rows(&["-"], Some(&unnumbered))
        .iter()
        .map(|row| row["vm"].clone())
        .collect();
    let expected: Vec<Value> = all_rows.iter().map(|row| row["vm"].clone()).collect();
    assert_eq!(vms, expected);
}

/// Each of three machines makes a report; put together they are that of a collector, which has all logs.
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
        twice.contains("at the same time: it would count twice"),
        "{twice}"
    );
    assert!(twice.ends_with("exit code 3\n"), "{twice}");
    let log = merge(&[], &[files.path("a")]);
    assert!(log.contains("is no report of --format json"), "{log}");
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

#[test]
fn two_periods() {
    let files = Files::new();
    let mut records = two_machines();
    // Later, writes go elsewhere, and reads are blocked.
    let mut later = session(START + 86_400_000, 3, 5000, "0000:01:00.1");
    later[1].3 = later[1].3.replace("res=1", "res=0");
    later[2].3 = later[2].3.replace("offset=0x298", "offset=0x2a0");
    let old = files.put("old", &lines(&records));
    let new = files.put("new", &lines(&later));
    let expected = "0000:01:00.1: 2 sessions, then 1; watched for 1m 10s, then 0s
  holders gone: VM build, VM win11-gpu
  holders new: qemu-system-x86_64
  accesses               before       after      change
    write allowed              2           1          -1
      no more at 0x298
      new at 0x2a0
    write blocked              2           1          -1
    read  allowed            270         134        -136
      no more at 0x298-0x29b
    read  blocked              0           1          +1
      new at 0x298-0x29b
exit code 0
";
    assert_eq!(all(&["diff", &old, &new]), expected);
    records.extend(later);
    let both = files.put("both", &lines(&records));
    let periods = ["diff", "..2026-12-01", "2026-12-01..", "--log", &both];
    assert_eq!(all(&periods), expected);
    let json = all(&["diff", "--format=json", &old, &new]);
    assert!(
        json.contains("\"holders_new\": [\n        \"qemu-system-x86_64\""),
        "{json}"
    );
    let same = all(&["diff", &old, &old]);
    assert!(
        !same.contains("holders") && !same.contains(" at 0x"),
        "{same}"
    );
    assert!(all(&["diff", "nowhere", &new]).ends_with("exit code 3\n"));
}

#[test]
fn times_are_local_ones() {
    let files = Files::new();
    let log = files.put("log", &lines(&session(START, 1, 10, "0000:01:00.1")));
    let text = |utc: bool| {
        let mut command = program(&["report", &log]);
        command
            .env("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
            .args(utc.then_some("--utc"));
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert!(
        text(false).contains("2026-11-30 01:53:20.000 to 2026-11-30 01:53:20.999 (CET)"),
        "{}",
        text(false)
    );
    assert!(
        text(true).contains("2026-11-30T00:53:20.000Z to 2026-11-30T00:53:20.999Z\n"),
        "{}",
        text(true)
    );
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
    files.put("entries", &format!("{entry}\n"));
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *--version*) exit 0;; *_AUDIT_TYPE=1340*) cat {};; esac\n",
        files.path("entries")
    );
    fs::create_dir(files.path("bin")).unwrap();
    let journalctl = files.put("bin/journalctl", &script);
    fs::set_permissions(&journalctl, fs::Permissions::from_mode(0o755)).unwrap();
    let ask = |root: &str| {
        let mut command = program(&["report", "--root", root]);
        command.env("PATH", format!("{}:/usr/bin:/bin", files.path("bin")));
        let output = command.output().unwrap();
        let (out, err) = (
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        );
        (out, err, output.status.code())
    };
    let (out, err, code) = ask(&files.path(""));
    assert!(err.contains("read is what the journal has"), "{err}");
    assert!(out.contains("0000:01:00.1 on here"), "{out}");
    assert_eq!(code, Some(0));
    // auditd's log comes first.
    let log = Path::new(&files.path("")).join("var/log/audit/audit.log");
    fs::create_dir_all(log.parent().unwrap()).unwrap();
    fs::write(log, record.line()).unwrap();
    let (out, err, _) = ask(&files.path(""));
    assert!(
        err.is_empty() && out.contains("0000:01:00.1: "),
        "{out}{err}"
    );
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
