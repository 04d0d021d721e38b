// SPDX-License-Identifier: GPL-2.0

//! Logs that are followed while they grow.

mod common;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use common::logs::{lines, session, two_machines, Files, Record, START, UUID};
use common::{all, fed, program};
use serde_json::Value;

/// Longer than anything takes here, on a machine that does other things, too.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program, which follows a log.
struct Watch {
    child: Child,
    rows: Receiver<String>,
    errors: thread::JoinHandle<String>,
}

impl Watch {
    fn start(arguments: &[&str]) -> Self {
        let mut child = program(&[&["watch", "--root=/nowhere"][..], arguments].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, rows) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in out.lines() {
                let _ = sender.send(line.unwrap());
            }
        });
        let mut stderr = child.stderr.take().unwrap();
        let errors = thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        Self {
            child,
            rows,
            errors,
        }
    }

    /// The next line that it prints.
    fn line(&self) -> String {
        self.rows.recv_timeout(PATIENCE).expect("a line in time")
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    /// Whether it prints nothing for a while.
    fn is_quiet(&self) -> bool {
        let next = self.rows.recv_timeout(Duration::from_millis(600));
        next == Err(RecvTimeoutError::Timeout)
    }

    /// Its exit code, and what it said, when it ends by itself.
    fn end(mut self) -> (i32, String) {
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "it does not end");
            thread::sleep(Duration::from_millis(20));
        }
        let code = self.child.wait().unwrap().code().unwrap();
        (code, self.errors.join().unwrap())
    }

    /// What it said until it is killed.
    fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.errors.join().unwrap()
    }
}

fn append(file: &str, text: &str) {
    let mut file = File::options()
        .create(true)
        .append(true)
        .open(file)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// A record of an access, told apart by its offset.
fn access(number: u64, offset: usize) -> Record {
    let text = format!(
        "device=\"0000:01:00.1\" op=write offset={offset:#x} size=1 session={number} res=0"
    );
    Record(
        START + 200_000 + offset as u64,
        900 + offset as u64,
        "PCI",
        text,
    )
}

fn offsets(watch: &Watch, count: usize) -> Vec<u64> {
    (0..count)
        .map(|_| watch.json()["offset"].as_u64().unwrap())
        .collect()
}

#[test]
fn what_is_there_tells_who_and_what_comes_is_told() {
    let files = Files::new();
    let log = files.put("audit.log", &lines(&two_machines()));
    let watch = Watch::start(&["--utc", &log]);
    // It is quiet when it has come to the end of the log.
    assert!(watch.is_quiet());
    append(&log, &lines(&[access(2, 0x298)]));
    let expected = "2026-11-30T00:56:40.664Z 0000:01:00.1 write 0x298 blocked, VM build, \
                    qemu-system-x86_64 (pid 4300), session 2";
    assert_eq!(watch.line(), expected);
    // Half of a line is none yet.
    let more = lines(&[access(2, 0x299)]);
    append(&log, &more[..40]);
    assert!(watch.is_quiet());
    append(&log, &more[40..]);
    assert!(watch.line().contains("write 0x299 blocked"));
    assert_eq!(watch.kill(), "");
}

#[test]
fn a_log_is_rotated() {
    let files = Files::new();
    let log = files.put("audit.log", &lines(&session(START, 1, 7, "0000:01:00.1")));
    let watch = Watch::start(&["--format=json", &log]);
    assert!(watch.is_quiet());
    let mut expected = Vec::new();
    for round in 0..4 {
        // What is written just before and just after is told as well, and nothing twice.
        for offset in [2 * round, 2 * round + 1] {
            append(&log, &lines(&[access(1, 0x100 + offset)]));
            expected.push(0x100 + offset as u64);
            if offset % 2 == 0 {
                let (one, two) = (files.path("audit.log.1"), files.path("audit.log.2"));
                let _ = fs::rename(&one, two);
                fs::rename(&log, &one).unwrap();
            }
        }
        if round % 2 == 1 {
            assert_eq!(offsets(&watch, expected.len()), expected);
            expected.clear();
        }
    }
    // Where more is written than was there, a file looks as if it had grown.
    append(&log, &lines(&[access(1, 0x1ff)]));
    assert_eq!(offsets(&watch, 1), [0x1ff]);
    fs::write(&log, lines(&[access(1, 0x200)])).unwrap();
    assert_eq!(offsets(&watch, 1), [0x200]);
    assert!(watch.is_quiet());
    let said = watch.kill();
    assert!(said.contains("audit.log was truncated"), "{said}");
}

#[test]
fn filters_and_forms() {
    let text = lines(&two_machines());
    let told = |arguments: &[&str]| -> Vec<(String, u64)> {
        let arguments = [
            &["watch", "--root=/nowhere", "--format=json", "-"][..],
            arguments,
        ];
        let text = fed(&arguments.concat(), text.as_bytes());
        text.lines()
            .map(|line| {
                let row: Value = serde_json::from_str(line).unwrap();
                let kind = row["kind"].as_str().unwrap().to_owned();
                (kind, row["session"].as_u64().unwrap())
            })
            .collect()
    };
    let kinds = ["access", "access", "access", "suppressed", "touched"];
    let both: Vec<_> = [1, 2]
        .into_iter()
        .flat_map(|session| kinds.map(|kind| (kind.to_owned(), session)))
        .collect();
    assert_eq!(told(&[]), both);
    assert_eq!(told(&["--blocked"]).len(), 2);
    assert_eq!(told(&["--op=read"]).len(), 6);
    assert_eq!(told(&["--device=02:00.0"]).len(), 0);
    assert_eq!(told(&["--node=other"]).len(), 0);
    // Only then has libvirt said whose they are.
    let late = [text.clone(), lines(&[access(2, 0x80)])].concat();
    let row = |vm: &str| {
        let arguments = ["watch", "--root=/nowhere", "--format=json", "-", "--vm", vm];
        fed(&arguments, late.as_bytes())
    };
    let rows = row("build");
    assert_eq!(rows.lines().count(), 1, "{rows}");
    let row: Value = serde_json::from_str(&rows).unwrap();
    assert_eq!(
        (&row["vm"], &row["offset"]),
        (&"build".into(), &0x80.into())
    );
    assert_eq!(
        rows,
        self::fed(
            &[
                "watch",
                "--root=/nowhere",
                "--format=json",
                "-",
                "--vm",
                "00000000-0000-4000-8000-000000000002"
            ],
            late.as_bytes(),
        )
    );
    assert!(!rows.contains(UUID));
}

#[test]
fn what_a_log_has_since_a_time() {
    let files = Files::new();
    let log = files.put("audit.log", &lines(&two_machines()));
    let since = format!("@{}", (START + 60_000) / 1000);
    let told = all(&[
        "watch",
        "--root=/nowhere",
        "--format=json",
        "--for=1ms",
        "--since",
        &since,
        &log,
    ]);
    assert_eq!(told.matches("\"kind\":\"access\"").count(), 3, "{told}");
    assert!(told.ends_with("exit code 0\n"), "{told}");
    // Without it there is nothing to tell within that time.
    let told = all(&["watch", "--root=/nowhere", "--for=1ms", &log]);
    assert_eq!(told, "exit code 1\n");
}

#[test]
fn an_alarm_ends_it() {
    let files = Files::new();
    let log = files.put("audit.log", &lines(&session(START, 1, 7, "0000:01:00.1")));
    let watch = Watch::start(&["--fail-on=blocked-write,lost", "--format=json", &log]);
    assert!(watch.is_quiet());
    let read = access(1, 0x10);
    let allowed = [
        Record(
            read.0,
            read.1,
            read.2,
            read.3.replace("op=write", "op=read"),
        ),
        Record(read.0, read.1, read.2, read.3.replace("res=0", "res=1")),
    ];
    append(&log, &lines(&allowed));
    assert_eq!(offsets(&watch, 2), [0x10, 0x10]);
    // What comes with it, and later, is not told.
    append(&log, &lines(&[access(1, 0x11), access(1, 0x12)]));
    assert_eq!(offsets(&watch, 1), [0x11]);
    assert_eq!(watch.end(), (4, String::new()));
}

#[test]
fn a_command_runs_for_each_access() {
    let files = Files::new();
    let (env, rows) = (files.path("env"), files.path("rows"));
    let command = format!(
        "echo \"$VFIO_PCI_AUDIT_DEVICE $VFIO_PCI_AUDIT_OP $VFIO_PCI_AUDIT_RESULT \
         $VFIO_PCI_AUDIT_OFFSET [$VFIO_PCI_AUDIT_VM] $VFIO_PCI_AUDIT_MISSED\" >>{env}; cat >>{rows}"
    );
    let text = lines(&[access(1, 0x10), access(1, 0x11)]);
    let arguments = [
        "watch",
        "--root=/nowhere",
        "--format=json",
        "-",
        "--exec",
        &command,
    ];
    let told = fed(&arguments, text.as_bytes());
    // It got the rows that were told, in one run or in two, and was waited for.
    assert_eq!(fs::read_to_string(rows).unwrap(), told);
    let env = fs::read_to_string(env).unwrap();
    let expected = "0000:01:00.1 write blocked 16 [] 0";
    assert_eq!(env.lines().next(), Some(expected), "{env}");
}

#[test]
fn a_slow_command_holds_nothing_up() {
    const MANY: usize = 12_000;

    let files = Files::new();
    let (runs, go, got) = (files.path("runs"), files.path("go"), files.path("got"));
    let command = format!(
        ": >{runs}; until [ -e {go} ]; do sleep 0.05; done; echo \"$VFIO_PCI_AUDIT_ROWS \
         $VFIO_PCI_AUDIT_MISSED\" >>{got}"
    );
    let log = files.put("audit.log", "");
    let watch = Watch::start(&[
        "--format=json",
        "--exec",
        &command,
        "--fail-on=allowed-read",
        &log,
    ]);
    assert!(watch.is_quiet());
    append(&log, &lines(&[access(1, 0x10)]));
    assert_eq!(offsets(&watch, 1), [0x10]);
    // It runs, and waits; all others are told meanwhile.
    let deadline = Instant::now() + PATIENCE;
    while !Path::new(&runs).exists() {
        assert!(Instant::now() < deadline, "it does not run");
        thread::sleep(Duration::from_millis(20));
    }
    let many: Vec<_> = (0..MANY).map(|at| access(1, at % 0x1000)).collect();
    append(&log, &lines(&many));
    let last = access(1, 0x20);
    let read = last
        .3
        .replace("op=write", "op=read")
        .replace("res=0", "res=1");
    append(&log, &lines(&[Record(last.0, last.1, last.2, read)]));
    assert_eq!(offsets(&watch, MANY).len(), MANY);
    assert_eq!(watch.json()["op"], "read");
    fs::write(go, "").unwrap();
    let (code, said) = watch.end();
    assert_eq!(code, 4);
    let missed = MANY + 1 - 10_000;
    let expected = format!("the command of --exec is too slow: {missed} rows dropped");
    assert!(said.contains(&expected), "{said}");
    let got = fs::read_to_string(got).unwrap();
    assert_eq!(got, format!("1 0\n10000 {missed}\n"));
}

#[test]
fn a_command_that_fails_is_named() {
    let text = lines(&[access(1, 0x10)]);
    let run = |command: &str| {
        let mut child = program(&["watch", "--root=/nowhere", "-", "--exec", command])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            output.stdout.iter().filter(|byte| **byte == b'\n').count(),
            1
        );
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, said) = run("exit 7");
    assert_eq!(code, Some(0));
    assert!(
        said.contains("ended with exit status: 7 (1 failure so far)"),
        "{said}"
    );
    // What it prints does not get between the rows.
    let (_, said) = run("echo hello");
    assert_eq!(said, "hello\n");
}

#[test]
fn what_cannot_be_watched_is_named() {
    let files = Files::new();
    let absent = all(&["watch", &files.path("absent")]);
    assert!(
        absent.contains("absent: No such file") && absent.ends_with("exit code 3\n"),
        "{absent}"
    );
    let timed = all(&["watch", "--for=1s", "-"]);
    assert!(
        timed.contains("is not a file: --for takes a file"),
        "{timed}"
    );
    let other = "2026 hello\n".repeat(12);
    let log = files.put("other", &other);
    let told = all(&["watch", "--for=1ms", &log]);
    assert!(told.contains("no line is an audit record so far"), "{told}");
    let broken = files.put(
        "broken",
        "type=PCI msg=audit(5.000:1): device=\"x\" op=read\n",
    );
    let told = all(&["watch", "--for=1ms", &broken]);
    assert!(told.contains("broken:1: invalid device="), "{told}");
}

/// The first session after a boot has the number of the first one before it.
#[test]
fn a_boot_brings_other_holders() {
    let line = |text: &str| format!("Nov 30 00:53:20 vmhost17 kernel: {text}\n");
    let boot = |serial: u64, pid: u64| {
        let record = |serial: u64, text: &str| {
            line(&format!(
                "audit: type=1340 audit(1796000000.{serial:03}:{serial}): \
                 device=\"0000:01:00.1\" {text}"
            ))
        };
        let open = format!("op=open session=1 pid={pid} comm=\"q\" exe=\"/q\" res=1");
        let write = "op=write offset=0x298 size=1 session=1 res=0";
        line("[    0.000000] Linux version 6.1.0 (x@y) #1 SMP")
            + &record(serial, &open)
            + &record(serial + 1, write)
    };
    let text = boot(5, 900) + &boot(7, 300);
    let arguments = ["watch", "--root=/nowhere", "--format=json", "-"];
    let pids: Vec<u64> = fed(&arguments, text.as_bytes())
        .lines()
        .map(|row| {
            serde_json::from_str::<Value>(row).unwrap()["pid"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert_eq!(pids, [900, 300]);
}
