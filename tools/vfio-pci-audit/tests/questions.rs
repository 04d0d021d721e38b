// SPDX-License-Identifier: GPL-2.0

//! Who it was, and questions about some of the records.

mod common;

use common::logs::{lines, report, report_of, session, two_machines, Files, START, UUID};
use common::{all, fed, program, run};
use serde_json::{json, Value};

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
        wrong.contains("\"soon\" is not a time") && wrong.ends_with("exit code 2\n"),
        "{wrong}"
    );
}

#[test]
fn what_makes_no_sense_is_a_usage_error() {
    let files = Files::new();
    let log = files.put("log", &lines(&two_machines()));
    for arguments in [
        &["report", "--since=soon", &log][..],
        &["report", "--until=soon"],
        &["advise", "--since=soon", "/nowhere/log"],
        &["diff", "soon..", "..soon", "--log", &log],
        &["report", "-", "-"],
        &["report", "--merge", "--blocked", &log],
        &["watch", "--since=soon", &log],
        &["watch", "--for=1s", "-"],
        &["export", "--format=parquet", &log],
    ] {
        let told = all(arguments);
        assert!(told.starts_with("error: "), "{arguments:?}: {told}");
        assert!(told.ends_with("exit code 2\n"), "{arguments:?}: {told}");
    }
}

#[test]
fn a_virtual_machine_of_sessions_that_numbers_do_not_tell_apart() {
    let text = lines(&two_machines());
    let files = Files::new();
    for text in [
        // A kernel without numbers.
        text.replace(" session=1", "").replace(" session=2", ""),
        // A module that was loaded again.
        text.replace(" session=2", " session=1"),
    ] {
        let log = files.put("log", &text);
        for (vm, pid) in [("--vm=win11-gpu", 4242), ("--vm=build", 4300)] {
            let told = report(&[vm, &log]);
            let sessions = &told["devices"][0]["sessions"];
            assert_eq!(sessions["count"], 1, "{vm} {text}");
            assert_eq!(sessions["recent"][0]["pid"], pid, "{vm} {text}");
            assert_eq!(told["records"], 7, "{vm} {text}");
        }
    }
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
    let expected = "0000:01:00.1: 2 sessions before, 1 after; logs of 1m 10s before, 0s after
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

/// ausearch -i printed local time, which is not UTC because times are told so here.
#[test]
fn words_of_ausearch_are_in_local_time() {
    let files = Files::new();
    let record = &session(START, 1, 10, "0000:01:00.1")[2];
    let words = record.3.replace('"', "").replace("res=1", "res=yes");
    let line = format!("type=PCI msg=audit(11/30/2026 01:53:20.020:102) : {words}\n");
    let log = files.put("log", &line);
    for (zone, told) in [
        ("--utc", "2026-11-30T00:53:20.020Z to"),
        ("--color=never", "2026-11-30 01:53:20.020 to"),
    ] {
        let mut command = program(&["report", &log, zone]);
        command.env("TZ", "CET-1CEST,M3.5.0,M10.5.0/3");
        let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
        assert!(text.contains(told), "{text}");
        let mut command = program(&["watch", "--for=1ms", "--since=2026-01-01", &log, zone]);
        command.env("TZ", "CET-1CEST,M3.5.0,M10.5.0/3");
        let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let told = told.trim_end_matches(" to");
        assert!(text.starts_with(told), "{text}");
    }
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
fn an_end_of_several_sessions() {
    let device = "0000:01:00.1";
    let mut records = session(START, 1, 4242, device);
    let mut second = session(START + 2000, 2, 5353, device);
    // The second began before the log had the end of the first, and both ends are one.
    records.retain(|record| !record.3.contains("op=close"));
    let mut end = second.pop().unwrap();
    end.3 = format!(
        "device=\"{device}\" op=close session=? reads=270 writes=5 blocked_reads=0 \
         blocked_writes=2 records=7 suppressed=268 lost=0 res=1"
    );
    records.extend(second);
    records.push(end);
    let files = Files::new();
    let log = files.put("log", &lines(&records));
    let text = all(&["report", &log]);
    for expected in [
        "  sessions  2, 0 of them complete\n            1 end of several sessions each\n",
        "qemu-system-x86_64 4242: ended, totals only known together with other sessions, 3 \
         accesses recorded\n",
        "qemu-system-x86_64 5353: ended, totals only known together with other sessions, 3 \
         accesses recorded\n",
        "several sessions: 270 reads (0 blocked), 5 writes (2 blocked), 7 recorded, 268 \
         suppressed, 0 lost\n",
    ] {
        assert!(text.contains(expected), "{expected}{text}");
    }
    assert!(
        !text.contains("no end here") && !text.contains("not here"),
        "{text}"
    );
    let told = report(&[&log]);
    let sessions = &told["devices"][0]["sessions"];
    assert_eq!(sessions["open"], false);
    assert_eq!(sessions["missing_records"], 0);
    let output = run(&[
        "export",
        "--rows=sessions",
        "--root=/nowhere",
        "--device=01:00.1",
        &log,
    ]);
    let rows: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect();
    let told: Vec<_> = rows
        .iter()
        .map(|row| (&row["session"], &row["several"], &row["ended_with_others"]))
        .collect();
    let (yes, no) = (&Value::Bool(true), &Value::Bool(false));
    assert_eq!(
        told,
        [
            (&Value::from(1), no, yes),
            (&Value::from(2), no, yes),
            (&Value::Null, yes, no)
        ]
    );
    assert_eq!(rows[2]["suppressed"], 268);
}
