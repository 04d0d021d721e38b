// SPDX-License-Identifier: GPL-2.0

//! What a record says, and that ausearch finds it.

use std::fs;

use anyhow::{ensure, Result};
use vfio_client::stream::Op;
use vfio_client::Device;

use super::{access_text, audit_reads, event_of_read, expect_accesses, spot, Scenario};
use crate::audit::search_in;
use crate::lab::Lab;

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
        "records/syscall",
        "with an audit rule loaded a record joins the event of its system call",
        syscall,
    ),
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
    expect_accesses(lab, bdf, &expected)
}

fn ausearch(lab: &mut Lab) -> Result<()> {
    let bdf = lab.express()?;
    let device = Device::open(bdf)?;
    let at = spot(device.map())?;
    device.read_vec(at as u64, 4)?;
    lab.audit().drain()?;
    let expected = access_text(bdf, Op::Read, at, 4, true);
    let text = lab.audit().search(&["-m", "PCI"])?;
    ensure!(
        text.lines()
            .any(|line| line.starts_with("type=PCI msg=audit(") && line.ends_with(&expected)),
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
    let expected = access_text(bdf, Op::Read, at, 4, true);
    ensure!(
        found.contains(&expected),
        "ausearch -m PCI does not find UNKNOWN[1340]: {found:?}"
    );
    Ok(())
}

fn syscall(lab: &mut Lab) -> Result<()> {
    let device = Device::open(lab.express()?)?;
    audit_reads(lab)?;
    let event = event_of_read(lab, &device)?;
    for kind in ["type=PCI ", "type=SYSCALL "] {
        ensure!(event.contains(kind), "no {kind}in the event: {event}");
    }
    Ok(())
}
