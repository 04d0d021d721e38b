// SPDX-License-Identifier: GPL-2.0

//! Logs that tests make up.

use std::fs;

use serde_json::Value;

use super::run;

pub(crate) const UUID: &str = "8f3b2c11-1c2d-4e5f-8a9b-0c1d2e3f4a5b";

/// One record: its time and number, its type, and its text.
#[derive(Clone)]
pub(crate) struct Record(
    pub(crate) u64,
    pub(crate) u64,
    pub(crate) &'static str,
    pub(crate) String,
);

impl Record {
    pub(crate) fn stamp(&self) -> String {
        format!("audit({}.{:03}:{}): ", self.0 / 1000, self.0 % 1000, self.1)
    }

    /// As auditd writes it.
    pub(crate) fn line(&self) -> String {
        format!("type={} msg={}{}", self.2, self.stamp(), self.3)
    }
}

pub(crate) fn lines(records: &[Record]) -> String {
    records.iter().map(|record| record.line() + "\n").collect()
}

pub(crate) const START: u64 = 1_796_000_000_000;

/// A session of a virtual machine: its start, a read, two writes of which one is blocked, a report,
/// its end.
pub(crate) fn session(start: u64, number: u64, pid: u64, device: &str) -> Vec<Record> {
    let text = |rest: &str| {
        format!(
            "device=\"{device}\" {}",
            rest.replace("NUMBER", &number.to_string())
        )
    };
    let task = format!(
        "ppid=1 pid={pid} auid=4294967295 uid=64055 tty=(none) ses=4294967295 \
         comm=\"CPU 0/KVM\" exe=\"/usr/bin/qemu-system-x86_64\" subj=unconfined"
    );
    [
        (0, format!("op=open session=NUMBER {task} res=1")),
        (1, "op=read offset=0x298 size=4 session=NUMBER res=1".into()),
        (
            20,
            "op=write offset=0x298 size=1 session=NUMBER res=1".into(),
        ),
        (
            30,
            "op=write offset=0x299 size=1 session=NUMBER res=0".into(),
        ),
        (
            900,
            "op=suppressed access=read session=NUMBER count=134 lost=0 ranges=1 res=1".into(),
        ),
        (
            900,
            "op=touched access=read offset=0x4c size=64 session=NUMBER res=1".into(),
        ),
        (
            999,
            "op=close session=NUMBER reads=135 writes=2 blocked_reads=0 blocked_writes=1 \
             records=3 suppressed=134 lost=0 res=1"
                .into(),
        ),
    ]
    .into_iter()
    .zip(0..)
    .map(|((after, rest), at)| Record(start + after, number * 100 + at, "PCI", text(&rest)))
    .collect()
}

pub(crate) fn virt(time: u64, kind: &'static str, inner: &str) -> Record {
    let text = format!(
        "pid=1510 uid=0 auid=4294967295 ses=4294967295 msg='virt=kvm {inner} \
         exe=\"/usr/sbin/libvirtd\" hostname=? addr=? terminal=? res=success'"
    );
    Record(time, 1, kind, text)
}

/// Two machines that had one device one after the other. libvirt says so after they opened it.
pub(crate) fn two_machines() -> Vec<Record> {
    let mut records = session(START, 1, 4242, "0000:01:00.1");
    let vm = |name: &str, uuid: &str| format!("vm=\"{name}\" uuid={uuid}");
    let (one, two) = (
        vm("win11-gpu", UUID),
        vm("build", "00000000-0000-4000-8000-000000000002"),
    );
    let control = |time, rest: String| virt(START + time, "VIRT_CONTROL", &rest);
    records.push(control(
        5000,
        format!("op=start reason=booted {one} vm-pid=4242"),
    ));
    records.push(control(
        60_000,
        format!("op=stop reason=shutdown {one} vm-pid=-1"),
    ));
    records.extend(session(START + 70_000, 2, 4300, "0000:01:00.1"));
    records.push(control(
        75_000,
        format!("op=start reason=booted {two} vm-pid=4300"),
    ));
    records
}

pub(crate) struct Files(pub(crate) tempfile::TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn put(&self, name: &str, text: &str) -> String {
        fs::write(self.0.path().join(name), text).unwrap();
        self.path(name)
    }
}

pub(crate) fn report(arguments: &[&str]) -> Value {
    let output = run(&[&["report", "--format=json"][..], arguments].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text} {:?}", output.stderr))
}

pub(crate) fn report_of(text: &str) -> Value {
    let files = Files::new();
    report(&[&files.put("log", text)])
}
