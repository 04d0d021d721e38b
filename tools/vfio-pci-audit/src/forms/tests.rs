// SPDX-License-Identifier: GPL-2.0

use jiff::tz::TimeZone;

use super::*;
use crate::log::{Item, LogReader};

const STAMP: &str = "audit(1747758000.123:456): ";
const TEXT: &str = r#"device="0000:01:00.1" op=write offset=0x298 size=1 session=7 res=0"#;

/// What comes out of lines, with `|` between what comes of each.
fn undo(lines: &[&str]) -> String {
    let mut forms = Forms::new(TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap());
    let mut all = Vec::new();
    let text = |found: Found<'_>| match found {
        Found::Record(bytes) | Found::Records(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Found::Other => "other".to_owned(),
        Found::Unprinted(count) => format!("{count} unprinted"),
        Found::Boot(host) => format!("boot of {}", host.unwrap_or("?")),
        Found::None => "none".to_owned(),
    };
    for line in lines {
        all.push(text(forms.line(line.as_bytes())));
    }
    all.push(text(forms.end()));
    all.join("|")
}

fn one(line: &str) -> String {
    let all = undo(&[line]);
    all.strip_suffix("|none").unwrap_or(&all).to_owned()
}

/// A line of each form, in which every byte is a character.
fn samples() -> Vec<String> {
    let record = format!("type=1340 {STAMP}{TEXT}");
    let plain = format!("type=PCI msg={STAMP}{TEXT}");
    let open = "op=open session=7 pid=42 comm=43505520302F4B564D exe=\"/q\" subj=a (b) res=1";
    vec![
        plain.clone(),
        format!("node=h {plain}"),
        format!("type=PCI msg={STAMP}device=\"0000:01:00.1\" {open}"),
        format!(
            "type=VIRT_CONTROL msg={STAMP}pid=1 msg='virt=kvm op=start vm=61 uuid=b vm-pid=7 \
             res=success'"
        ),
        format!("<5>[  123.400100] audit: {record}"),
        format!("May 20 16:20:00 vmhost17 kernel: [  123.4] audit: {record}"),
        format!("2025-05-20T16:20:00.123456+00:00 vmhost17 kernel: audit: {record}"),
        format!("<13>1 2025-05-20T16:20:00.123456Z vmhost17 kernel - - - audit: {record}"),
        format!("May 20 16:20:00 log audispd: node=vmhost17 {plain}"),
        "[  1.0] kauditd_printk_skb: 37 callbacks suppressed".to_owned(),
        entry("1340", &format!("AUDIT1340 {TEXT}")),
        format!(
            "type=PCI msg=audit(05/20/2025 18:20:00.123:456) : {}",
            TEXT.replace('"', "").replace("res=0", "res=no")
        ),
        "{\"ID\":\"1747758000.123:456\",\"PCI\":[{\"comm\":\"a%2Bb\"}]}".to_owned(),
        "{\"@timestamp\":\"2025-05-20T16:20:00.123Z\",\"auditd\":{\"message_type\":\"pci\"}}"
            .to_owned(),
    ]
}

/// Read a line as far as reports do.
fn read(line: &str) {
    let mut reader = LogReader::new(line.as_bytes(), TimeZone::UTC);
    let more = reader.step(|_, item| {
        if let Item::Event(record::Event::Pci(record)) = item {
            record::Holder::parse(record.text);
        }
    });
    assert!(more.is_ok());
    time(line.as_bytes(), &TimeZone::UTC);
}

#[test]
fn characters_of_several_bytes_may_be_anywhere() {
    for line in samples() {
        for wide in ["\u{e9}", "\u{20ac}", "\u{1f980}"] {
            for at in 0..=line.len() {
                let (before, behind) = line.split_at(at);
                read(&format!("{before}{wide}{behind}"));
                // All that comes behind it stays where it was.
                if let Some(rest) = behind.get(wide.len()..) {
                    read(&format!("{before}{wide}{rest}"));
                }
            }
        }
    }
}

#[test]
fn auditds_own_lines_stay() {
    for line in [
        format!("type=PCI msg={STAMP}{TEXT}"),
        format!("node=h type=UNKNOWN[1340] msg={STAMP}{TEXT}"),
        "type=SYSCALL msg=audit(1.000:1): a=b".to_owned(),
        "type=PCI msg=audit(05/2".to_owned(),
    ] {
        assert_eq!(one(&line), line);
    }
}

#[test]
fn what_the_kernel_prints() {
    let record = format!("type=1340 {STAMP}{TEXT}");
    for (prefix, node) in [
        ("[  123.400100] audit: ", None),
        ("<5>[  123.400100] audit: ", None),
        ("audit: ", None),
        ("6,416,1758426,-;audit: ", None),
        ("[Tue May 20 16:20:00 2025] audit: ", None),
        ("2025-05-20T16:20:00,123456+00:00 audit: ", None),
        (
            "May 20 16:20:00 vmhost17 kernel: [  123.4] audit: ",
            Some("vmhost17"),
        ),
        ("May  2 16:20:00 vmhost17 kernel: audit: ", Some("vmhost17")),
        (
            "May 20 16:20:00.123456 vmhost17 kernel: audit: ",
            Some("vmhost17"),
        ),
        (
            "2025-05-20T16:20:00.123456+00:00 vmhost17 kernel: [ 1.0] audit: ",
            Some("vmhost17"),
        ),
        (
            "<13>1 2025-05-20T16:20:00.123456Z vmhost17 kernel - - - audit: ",
            Some("vmhost17"),
        ),
        (
            "<6>May 20 16:20:00 vmhost17 kernel: audit: ",
            Some("vmhost17"),
        ),
    ] {
        let expected = match node {
            Some(node) => format!("node={node} {record}"),
            None => record.clone(),
        };
        assert_eq!(one(&format!("{prefix}{record}")), expected, "{prefix}");
    }
    for (prefix, host) in [
        ("[    0.000000] ", "?"),
        ("[    0.000000][    T0] ", "?"),
        (
            "May 20 16:20:00 vmhost17 kernel: [    0.000000] ",
            "vmhost17",
        ),
        ("May 20 16:20:00 vmhost17 kernel: ", "vmhost17"),
    ] {
        let line = format!("{prefix}Linux version 7.3.4 (x@y)");
        assert_eq!(one(&line), format!("boot of {host}"), "{prefix}");
    }
    assert_eq!(one("May 20 16:20:00 h app[7]: Linux version 7.3.4"), "none");
    let first = format!("type=2000 {STAMP}state=initialized audit_enabled=0 res=1");
    assert_eq!(
        one(&format!("May 20 16:20:00 vmhost17 kernel: audit: {first}")),
        format!("node=vmhost17 {first}")
    );
    assert_eq!(
        one("[  1.0] kauditd_printk_skb: 37 callbacks suppressed"),
        "37 unprinted"
    );
    assert_eq!(one("[  1.0] x_printk: 37 callbacks suppressed"), "none");
    assert_eq!(one("[  1.0] pci 0000:01:00.0: BAR 0"), "none");
    assert_eq!(one("audit(1.000:1) alone"), "none");
}

#[test]
fn what_programs_send_to_syslog() {
    let record = format!("type=PCI msg={STAMP}{TEXT}");
    let prefix = "May 20 16:20:00 log audispd: ";
    assert_eq!(
        one(&format!("{prefix}{record}")),
        format!("node=log {record}")
    );
    let noded = format!("node=vmhost17 {record}");
    assert_eq!(one(&format!("{prefix}{noded}")), noded);
}

/// An entry as `journalctl -o json` prints it.
fn entry(audit_type: &str, message: &str) -> String {
    serde_json::json!({
        "__CURSOR": "s=1",
        "__REALTIME_TIMESTAMP": "1747758000200000",
        "_SOURCE_REALTIME_TIMESTAMP": "1747758000123000",
        "_TRANSPORT": "audit",
        "_AUDIT_TYPE": audit_type,
        "_AUDIT_ID": "456",
        "_HOSTNAME": "vmhost17",
        "_BOOT_ID": "c0ffee",
        "_AUDIT_FIELD_OP": "write",
        "MESSAGE": message,
    })
    .to_string()
}

#[test]
fn the_journal_as_json() {
    let expected = format!("node=vmhost17 boot=c0ffee type=PCI msg={STAMP}{TEXT}");
    assert_eq!(one(&entry("1340", &format!("AUDIT1340 {TEXT}"))), expected);
    let virt = "pid=1 msg='virt=kvm op=start vm=\"a\" uuid=b vm-pid=7 res=success'";
    assert_eq!(
        one(&entry("2500", &format!("VIRT_CONTROL {virt}"))),
        format!("node=vmhost17 boot=c0ffee type=VIRT_CONTROL msg={STAMP}{virt}")
    );
    assert_eq!(one(&entry("1300", "SYSCALL arch=c000003e")), "other");
    // What is no text comes as bytes, and what the kernel printed has the stamp in it.
    let bytes: Vec<u8> = format!("AUDIT1340 {TEXT}").into_bytes();
    let text = entry("1340", "x").replace("\"x\"", &serde_json::to_string(&bytes).unwrap());
    assert_eq!(one(&text), expected);
    let printed = serde_json::json!({
        "__REALTIME_TIMESTAMP": "1",
        "_TRANSPORT": "kernel",
        "_HOSTNAME": "vmhost17",
        "_BOOT_ID": "c0ffee",
        "MESSAGE": format!("audit: type=1340 {STAMP}{TEXT}"),
    });
    assert_eq!(
        one(&printed.to_string()),
        format!("node=vmhost17 boot=c0ffee type=1340 {STAMP}{TEXT}")
    );
    // A user may have said the same.
    for transport in ["syslog", "stdout", "journal"] {
        let said = printed
            .to_string()
            .replace("\"kernel\"", &format!("\"{transport}\""));
        assert_eq!(one(&said), "none", "{said}");
    }
    assert_eq!(
        one("{\"__REALTIME_TIMESTAMP\":\"1\",\"MESSAGE\":\"1340\"}"),
        "none"
    );
    assert_eq!(one("{\"__REALTIME_TIMESTAMP\":\"1340\""), "none");
}

#[test]
fn the_journal_as_it_is_exported() {
    let message = format!("MESSAGE=AUDIT1340 {TEXT}");
    let entry = [
        "__CURSOR=s=1",
        "_BOOT_ID=c0ffee",
        "_SOURCE_REALTIME_TIMESTAMP=1747758000123000",
        "_AUDIT_TYPE=1340",
        "_AUDIT_ID=456",
        "_HOSTNAME=vmhost17",
        &message,
    ];
    let expected = format!("node=vmhost17 boot=c0ffee type=PCI msg={STAMP}{TEXT}");
    let with_end = [&entry[..], &[""]].concat();
    assert_eq!(
        undo(&with_end),
        format!("{}{expected}|none", "other|".repeat(7))
    );
    // The last one may have no empty line.
    assert_eq!(undo(&entry), format!("{}{expected}", "other|".repeat(7)));
    assert_eq!(
        undo(&["__CURSOR=s=1", "MESSAGE=x", ""]),
        "other|other|other|none"
    );
    let printed = format!("MESSAGE=audit: type=1340 {STAMP}{TEXT}");
    let by = |transport: &str| undo(&["__CURSOR=s=1", transport, &printed, ""]);
    assert_eq!(
        by("_TRANSPORT=kernel"),
        format!("other|other|other|type=1340 {STAMP}{TEXT}|none")
    );
    assert_eq!(by("_TRANSPORT=syslog"), "other|other|other|other|none");
}

#[test]
fn bytes_of_a_message_are_not_fields() {
    let kernel = format!("_TRANSPORT=kernel\nMESSAGE=audit: type=1340 {STAMP}{TEXT}\n\n");
    let plain = format!("type=PCI msg={STAMP}{TEXT}\n");
    let real = format!("__CURSOR=s=2\n{kernel}");
    let events = |message: &str| {
        let text = [
            b"__CURSOR=s=1\n_TRANSPORT=journal\nMESSAGE\n",
            &(message.len() as u64).to_le_bytes()[..],
            message.as_bytes(),
            b"\n\n",
            real.as_bytes(),
        ]
        .concat();
        let mut reader = LogReader::new(&*text, TimeZone::UTC);
        let mut events = 0;
        loop {
            let more = reader.step(|_, item| events += usize::from(matches!(item, Item::Event(_))));
            match more {
                Ok(true) => {}
                Ok(false) => return Some(events),
                Err(_) => return None,
            }
        }
    };
    // The second has a newline in its length, and the last two are too long for a line.
    for filler in [
        "",
        &"x".repeat(10),
        &"x".repeat(1 << 17),
        &"x".repeat(3 << 20),
        "type=SYSCALL msg=audit(1.000:1): x\r\n",
    ] {
        for forged in [
            "",
            &kernel,
            &plain,
            &format!("\n{real}"),
            &format!("{plain}\r"),
        ] {
            assert_eq!(
                events(&format!("{filler}{forged}")),
                Some(1),
                "{filler}{forged}"
            );
        }
    }
}

#[test]
fn a_log_that_ends_within_a_field_is_not_whole() {
    let text = b"__CURSOR=s=1\n_TRANSPORT=kernel\nMESSAGE\n";
    let (length, message) = (3u64.to_le_bytes(), b"a\nb\n\n");
    let why = |length: &[u8]| {
        let text = [text, length, message].concat();
        let mut reader = LogReader::new(&*text, TimeZone::UTC);
        loop {
            match reader.step(|_, _| ()) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(broken) => return Some(broken.cause.to_string()),
            }
        }
    };
    assert_eq!(why(&length), None);
    // What is no text in UTF-8 becomes U+FFFD on its way through a program that expects text.
    let changed = String::from_utf8_lossy(b"\xbb\0\0\0\0\0\0\0").into_owned();
    assert_eq!(why(changed.as_bytes()).as_deref(), Some(CUT_OFF));
}

#[test]
fn laurel() {
    let event = serde_json::json!({
        "ID": "1747758000.123:456",
        "NODE": "vmhost17",
        "UNKNOWN[1340]": [
            {
                "device": "0000:01:00.1", "op": "open", "session": 7,
                "pid": 42, "UID": "root", "comm": "CPU 0/KVM", "exe": "/q", "res": 1,
            },
            {
                "device": "0000:01:00.1", "op": "write", "offset": "0x298", "size": 1,
                "session": 7, "res": 0,
            },
        ],
        "SYSCALL": {"pid": 42},
    });
    let lines = one(&event.to_string());
    let lines: Vec<_> = lines.split('\n').collect();
    assert_eq!(lines.len(), 2);
    let fields = |text: &str| {
        let mut all: Vec<_> = text.split(' ').map(str::to_owned).collect();
        all.sort();
        all.join(" ")
    };
    let start = format!("node=vmhost17 type=PCI msg={STAMP}");
    assert_eq!(fields(lines[1]), fields(&format!("{start}{TEXT}")));
    let open =
        r#"device="0000:01:00.1" op=open session=7 pid=42 comm=43505520302F4B564D exe="/q" res=1"#;
    assert_eq!(fields(lines[0]), fields(&format!("{start}{open}")));
    let other = "{\"ID\":\"1.000:1\",\"SYSCALL\":{\"pid\":1}}";
    assert_eq!(one(other), "other");
    assert_eq!(one("{\"ID\":\"x\",\"PCI\":[{}]}"), "none");
    let virt = r#"{"ID":"1747758000.123:456","VIRT_CONTROL":[{"pid":1,"msg":{"op":"start","vm":"a","uuid":"b","vm-pid":7}}]}"#;
    let undone = one(virt);
    assert!(
        undone.starts_with(&format!("type=VIRT_CONTROL msg={STAMP}msg='")),
        "{undone}"
    );
    assert!(
        undone.contains("vm=\"a\"") && undone.contains("vm-pid=7"),
        "{undone}"
    );
}

#[test]
fn laurel_writes_some_bytes_as_numbers() {
    let name = |written: &str| {
        let event = format!(
            r#"{{"ID":"1747758000.123:456","VIRT_CONTROL":[{{"msg":{{"op":"start","vm":"{written}","uuid":"b","vm-pid":7}}}}]}}"#
        );
        let undone = one(&event);
        match record::event(undone.as_bytes()) {
            Ok(Some(record::Event::Virt(virt))) => virt.vm.into_owned(),
            other => panic!("{undone}: {other:?}"),
        }
    };
    assert_eq!(name("c%2B%2B-100%25"), "c++-100%");
    assert_eq!(name("a%2"), "a%2");
    assert_eq!(name("%zz%ä"), "%zz%ä");
}

#[test]
fn auditbeat() {
    let event = serde_json::json!({
        "@timestamp": "2025-05-20T16:20:00.123Z",
        "host": {"hostname": "vmhost17"},
        "auditd": {
            "sequence": 456,
            "message_type": "unknown[1340]",
            "result": "fail",
            "data": {
                "device": "0000:01:00.1", "op": "write", "offset": "0x298", "size": "1",
                "session": "7",
            },
        },
        "process": {"pid": 42, "name": "qemu", "executable": "/q"},
    });
    let undone = one(&event.to_string());
    assert!(
        undone.starts_with(&format!("node=vmhost17 type=PCI msg={STAMP}")),
        "{undone}"
    );
    let Ok(Some(record)) = record::parse(undone.as_bytes()) else {
        panic!("{undone}");
    };
    assert_eq!(
        (record.time, record.serial, record.res),
        (1_747_758_000_123, 456, Some(false))
    );
    assert_eq!(record.device.to_string(), "0000:01:00.1");
    let holder = record::Holder::parse(record.text);
    assert_eq!(
        (holder.pid, &*holder.comm, &*holder.exe),
        (Some(42), "qemu", "/q")
    );
    let other = event.to_string().replace("unknown[1340]", "user_login");
    assert_eq!(one(&other), "other");
}

#[test]
fn what_ausearch_interprets() {
    let words = "device=0000:01:00.1 op=write offset=0x298 size=1 session=7 res=no";
    // 18:20 in Berlin is 16:20 UTC.
    for date in ["05/20/2025", "05/20/25", "2025-05-20"] {
        let line = format!("type=PCI msg=audit({date} 18:20:00.123:456) : {words} ");
        assert_eq!(one(&line), format!("type=PCI msg={STAMP}{TEXT}"), "{date}");
    }
    let open = "node=h type=UNKNOWN[1340] msg=audit(05/20/2025 18:20:00.123:456) : \
                device=0000:01:00.1 op=open session=7 pid=42 uid=libvirt-qemu comm=CPU 0/KVM \
                exe=/usr/bin/q res=yes";
    assert_eq!(
        one(open),
        format!("node=h type=PCI msg={STAMP}device=\"0000:01:00.1\" op=open session=7 pid=42 uid=libvirt-qemu comm=43505520302F4B564D exe=\"/usr/bin/q\" res=1")
    );
    let virt = "type=VIRT_CONTROL msg=audit(05/20/2025 18:20:00.123:456) : pid=1 uid=root \
                msg='virt=kvm op=start vm=win 11 uuid=b vm-pid=7 res=success' ";
    let undone = one(virt);
    let Ok(Some(record::Event::Virt(virt))) = record::event(undone.as_bytes()) else {
        panic!("{undone}");
    };
    assert_eq!(virt.vm, "win 11");
    // Days of other locales.
    for date in ["20/05/2025", "20.05.2025"] {
        let line = format!("type=PCI msg=audit({date} 18:20:00.123:456) : {words}");
        assert_eq!(one(&line), line);
        assert_eq!(record::parse(line.as_bytes()), Err(record::Error::Stamp));
    }
}

#[test]
fn times_of_every_form() {
    for line in [
        format!("type=SYSCALL msg={STAMP}x"),
        format!("[  1.0] audit: type=1340 {STAMP}x"),
        entry("1340", "x"),
        "_SOURCE_REALTIME_TIMESTAMP=1747758000123000".to_owned(),
        "{\"ID\":\"1747758000.123:456\"}".to_owned(),
        "{\"@timestamp\":\"2025-05-20T16:20:00.123Z\"}".to_owned(),
        "type=PCI msg=audit(05/20/2025 16:20:00.123:456) : x".to_owned(),
        "node=h type=PCI msg=audit(2025-05-20 16:20:00.123:456) : x".to_owned(),
    ] {
        let time = time(line.as_bytes(), &TimeZone::UTC).unwrap();
        assert_eq!(time, 1_747_758_000_123, "{line}");
    }
    for line in [
        "",
        "audit(",
        "audit(x",
        "audit(05/20/2025",
        "audit(20/05/2025 16:20:00.123:456)",
        "\"@timestamp\":\"x\"",
        "hello",
    ] {
        assert_eq!(time(line.as_bytes(), &TimeZone::UTC), None, "{line}");
    }
}

proptest::proptest! {
    #[test]
    fn no_line_panics(line in "(\\{|type=PCI msg=audit\\(|node=|<[0-9]|__CURSOR=|\"ID\"|\"auditd\"|\
                               May 20 |2025-05-20T|audit\\(|1340|\u{e9}|\u{20ac}|.){0,12}") {
        one(&line);
        read(&line);
    }
}
