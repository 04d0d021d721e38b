// SPDX-License-Identifier: GPL-2.0

//! The contents of records, and whether ausearch finds them.

use std::fs;
use std::iter;

use anyhow::{ensure, Context, Result};
use vfio_client::stream::Op;
use vfio_client::{Bdf, Device};

use super::{access_text, audit_reads, expect_single, spot, Scenario};
use crate::audit::search_in;
use crate::lab::Lab;
use crate::record::{session_field, Record};
use crate::trace::Calls;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "records/fields",
        "an access has exactly the fields it should, in their order",
        fields,
    ),
    Scenario::new(
        "records/ausearch",
        "ausearch finds the records as text, and by device node of the event",
        ausearch,
    ),
    Scenario::new(
        "records/older-daemon",
        "ausearch finds records that a daemon wrote without knowing their type",
        older_daemon,
    ),
    Scenario::new(
        "records/own-event",
        "though a rule has audit record the system call, the access is an event of its own, of \
         one record",
        own_event,
    ),
    Scenario::new(
        "records/before-the-device",
        "audit has the record before an access reaches the device, and a blocked one never does",
        before_the_device,
    )
    .rules(false),
];

fn fields(lab: &mut Lab) -> Result<()> {
    let bdf = lab.express()?;
    let device = Device::open(bdf)?;
    let at = spot(device.map())?;
    let mut expected = Vec::new();
    for (block_read, block_write) in [(false, true), (true, false)] {
        lab.block(block_read, block_write)?;
        for size in [1, 2, 3, 4, 8, 17] {
            device.read_vec(at as u64, size)?;
            device.write(at as u64, &vec![0; size])?;
            expected.push(access_text(bdf, Op::Read, at, size, !block_read));
            expected.push(access_text(bdf, Op::Write, at, size, !block_write));
        }
    }
    let records = lab.take(bdf)?;
    let session = records.first().context("nothing is recorded")?.session;
    ensure!(session.is_some(), "no number: {records:?}");
    // From the first byte to the last.
    let number = session_field(session);
    let expected: Vec<_> = expected
        .iter()
        .map(|text| text.replace(" res=", &format!(" {number} res=")))
        .collect();
    let found: Vec<_> = records
        .iter()
        .filter(|record| record.is_access())
        .map(|record| &record.text)
        .collect();
    ensure!(
        found.iter().copied().eq(&expected),
        "recorded were {found:#?}, and expected {expected:#?}"
    );
    Ok(())
}

/// The record of the last access, which was a read of four bytes.
fn last_access(lab: &mut Lab, bdf: Bdf) -> Result<Record> {
    let records = lab.records_of(bdf)?;
    let last = records.into_iter().rfind(Record::is_access);
    let last = last.context("no access is recorded")?;
    ensure!(last.plain.contains(" op=read "), "{last:?}");
    Ok(last)
}

fn ausearch(lab: &mut Lab) -> Result<()> {
    let bdf = lab.express()?;
    let device = Device::open(bdf)?;
    let at = spot(device.map())?;
    device.read_vec(at as u64, 4)?;
    lab.audit().drain()?;
    let record = last_access(lab, bdf)?;
    let text = lab.audit().search(&["-m", "PCI"])?;
    ensure!(
        text.lines()
            .any(|line| line.starts_with("type=PCI msg=audit(") && line.ends_with(&record.text)),
        "ausearch -m PCI prints {text:?}"
    );
    let none = lab.audit().search(&["-m", "ANOM_PROMISCUOUS"])?;
    ensure!(none.is_empty(), "another type finds {none:?}");
    Ok(())
}

fn older_daemon(lab: &mut Lab) -> Result<()> {
    let bdf = lab.express()?;
    let device = Device::open(bdf)?;
    let at = spot(device.map())?;
    device.read_vec(at as u64, 4)?;
    lab.audit().drain()?;
    let log = lab.audit().log();
    let text = fs::read_to_string(&log)?;
    ensure!(text.contains("type=PCI "), "the log has no type=PCI");
    let old = log.with_file_name("old.log");
    fs::write(&old, text.replace("type=PCI ", "type=UNKNOWN[1340] "))?;
    let prefix = lab.audit().prefix().to_owned();
    let found = search_in(&prefix, &old, &["-m", "PCI", "--raw"])?;
    let record = last_access(lab, bdf)?;
    ensure!(
        found.contains(&record.text),
        "ausearch -m PCI does not find UNKNOWN[1340]: {found:?}"
    );
    Ok(())
}

fn own_event(lab: &mut Lab) -> Result<()> {
    let device = Device::open(lab.express()?)?;
    let (bdf, at) = (device.bdf(), spot(device.map())?);
    audit_reads(lab)?;
    device.read_vec(at as u64, 4)?;
    let records = lab.take(bdf)?;
    ensure!(records.len() == 2, "recorded were {records:?}");
    expect_single(lab, &records)?;
    let lines = lab.audit().lines()?;
    ensure!(
        lines
            .iter()
            .any(|line| line.contains("type=SYSCALL ") && line.contains(" key=\"e2e\"")),
        "the rule does not match the read, so that this shows nothing"
    );
    Ok(())
}

/// Audit's function that queues a record, and the kernel's last ones before the device.
const CALLS: &[(&str, &str)] = &[
    ("record", "audit_log_end"),
    ("read1", "pci_user_read_config_byte"),
    ("read4", "pci_user_read_config_dword"),
    ("write1", "pci_user_write_config_byte"),
    ("write4", "pci_user_write_config_dword"),
];

fn before_the_device(lab: &mut Lab) -> Result<()> {
    let bdf = lab.express()?;
    let calls = Calls::new(CALLS)?;
    let thread = rustix::thread::gettid().as_raw_nonzero().get();
    let trace = calls.trace(Some(thread.unsigned_abs()))?;
    // An aligned dword, a byte and a longer access take ways of their own through the module.
    for (size, [read, write], pieces) in [
        (1, ["read1", "write1"], 1),
        (4, ["read4", "write4"], 1),
        (8, ["read4", "write4"], 2),
    ] {
        let device = Device::open(bdf)?;
        let at = spot(device.map())? as u64;
        let reaches = |call: &'static str| iter::repeat_n(call, pieces);
        // The first record is op=open.
        let allowed: Vec<_> = ["record", "record"]
            .into_iter()
            .chain(reaches(read))
            .chain(["record"])
            .chain(reaches(write))
            .collect();
        for (block, expected) in [(false, allowed), (true, vec!["record", "record"])] {
            lab.block(block, block)?;
            trace.forget()?;
            device.read_vec(at, size)?;
            device.write(at, &vec![0; size])?;
            let events = trace.events()?;
            let order: Vec<_> = events.iter().map(|(name, _)| *name).collect();
            ensure!(
                order == expected,
                "{size} bytes, blocked: {block}; the calls were {order:?}, and expected \
                 {expected:?}"
            );
        }
    }
    Ok(())
}
