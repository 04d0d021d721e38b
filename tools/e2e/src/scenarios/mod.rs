// SPDX-License-Identifier: GPL-2.0

//! The table of scenarios, and what many of them do.

mod accepted;
mod audit_off;
mod blocked;
mod builtin;
mod day;
mod device_limits;
mod differential;
mod faults;
mod fleet;
mod flood;
mod guest;
mod holders;
mod kselftest;
mod leaks;
mod limits;
mod livepatch;
mod operator;
mod policy;
mod policy_list;
mod race;
mod records;
mod refused;
mod rules;
mod samples;
mod sessions;
mod spans;
mod tracing;
mod turns;
mod unpatched;
mod variant;

use anyhow::{bail, ensure, Context, Result};
use vfio_client::stream::Op;
use vfio_client::{hex, sysfs, Bdf, ConfigMap, Device};

use crate::account::{Loss, Truth};
use crate::lab::Lab;
use crate::record::Record;

/// Something to try.
pub(crate) struct Scenario {
    /// `file/what`.
    pub(crate) name: &'static str,
    /// What passing means.
    pub(crate) shows: &'static str,
    /// Only run when asked for.
    pub(crate) long: bool,
    /// Whether audit rules are loaded, where that is not left to its place in the list.
    pub(crate) rules: Option<bool>,
    /// Runs it on a machine that was just reset.
    pub(crate) run: fn(&mut Lab) -> Result<()>,
}

impl Scenario {
    const fn new(name: &'static str, shows: &'static str, run: fn(&mut Lab) -> Result<()>) -> Self {
        Self {
            name,
            shows,
            long: false,
            rules: None,
            run,
        }
    }

    const fn long(mut self) -> Self {
        self.long = true;
        self
    }

    /// Audit rules are loaded, or are not, wherever it stands.
    const fn rules(mut self, loaded: bool) -> Self {
        self.rules = Some(loaded);
        self
    }
}

/// Every scenario, in the order in which they run.
pub(crate) fn all() -> impl Iterator<Item = &'static Scenario> {
    [
        policy::SCENARIOS,
        policy_list::SCENARIOS,
        records::SCENARIOS,
        unpatched::SCENARIOS,
        fleet::SCENARIOS,
        spans::SCENARIOS,
        audit_off::SCENARIOS,
        tracing::SCENARIOS,
        samples::SCENARIOS,
        variant::SCENARIOS,
        differential::SCENARIOS,
        sessions::SCENARIOS,
        limits::SCENARIOS,
        race::SCENARIOS,
        flood::SCENARIOS,
        leaks::SCENARIOS,
        operator::SCENARIOS,
        faults::SCENARIOS,
        kselftest::SCENARIOS,
        guest::SCENARIOS,
        livepatch::SCENARIOS,
        builtin::SCENARIOS,
        holders::SCENARIOS,
        turns::SCENARIOS,
        blocked::SCENARIOS,
        accepted::SCENARIOS,
        refused::SCENARIOS,
        device_limits::SCENARIOS,
        day::SCENARIOS,
        // These may end the machine where they fail.
        rules::SCENARIOS,
    ]
    .into_iter()
    .flatten()
}

/// Bytes that no device has by chance.
const OLD: [u8; 4] = [0xa1, 0xb2, 0xc3, 0xd4];
const NEW: [u8; 4] = [0x5e, 0x6d, 0x7c, 0x8b];

/// An aligned unassigned dword with unassigned bytes on both sides.
fn spot(map: &ConfigMap) -> Result<usize> {
    let run = map
        .all_runs()
        .into_iter()
        .max_by_key(ExactSizeIterator::len)
        .context("the device has no unassigned byte")?;
    ensure!(
        run.len() >= 0x40,
        "no unassigned run of {} bytes or more",
        0x40
    );
    Ok(run.start.next_multiple_of(16) + 16)
}

/// What became of a read and of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Verdict {
    read: bool,
    write: bool,
}

const PASSED: Verdict = Verdict {
    read: true,
    write: true,
};
const BLOCKED: Verdict = Verdict {
    read: false,
    write: false,
};

/// Read and write an unassigned dword through VFIO, and look past VFIO what reached the device.
fn try_both(device: &Device) -> Result<Verdict> {
    let (bdf, at) = (device.bdf(), spot(device.map())?);
    sysfs::write_config_at(bdf, at as u64, &OLD)?;
    let read = match device.read_vec(at as u64, 4)? {
        seen if seen == OLD => true,
        seen if seen == [0; 4] => false,
        seen => bail!("a read gave {}", hex::plain(&seen)),
    };
    device.write(at as u64, &NEW)?;
    let write = match sysfs::config_at(bdf, at as u64, 4)? {
        now if now == NEW => true,
        now if now == OLD => false,
        now => bail!("after a write the device holds {}", hex::plain(&now)),
    };
    Ok(Verdict { read, write })
}

/// The text that DESIGN.md gives the record of an access, without its session.
fn access_text(bdf: Bdf, op: Op, offset: usize, size: usize, allowed: bool) -> String {
    let op = match op {
        Op::Read => "read",
        Op::Write => "write",
    };
    format!(
        "device=\"{bdf}\" op={op} offset={offset:#x} size={size} res={}",
        u8::from(allowed)
    )
}

/// The texts of those records that are of an access, without their session.
fn access_texts(records: &[Record]) -> Vec<&str> {
    records
        .iter()
        .filter(|record| record.is_access())
        .map(|record| record.plain.as_str())
        .collect()
}

/// Check the accesses that were recorded since the last look.
fn expect_accesses(lab: &mut Lab, bdf: Bdf, expected: &[String]) -> Result<()> {
    let records = lab.take(bdf)?;
    let found = access_texts(&records);
    ensure!(
        found == expected,
        "recorded were {found:#?}, and expected {expected:#?}"
    );
    let nameless = records.iter().find(|record| record.session.is_none());
    ensure!(nameless.is_none(), "no session has {nameless:?}");
    Ok(())
}

/// Check that a read and a write have a verdict, and that they are recorded with it.
fn expect_verdict(lab: &mut Lab, device: &Device, expected: Verdict) -> Result<()> {
    let found = try_both(device)?;
    ensure!(
        found == expected,
        "{}: {found:?}, expected {expected:?}",
        device.bdf()
    );
    let (bdf, at) = (device.bdf(), spot(device.map())?);
    let texts = [
        access_text(bdf, Op::Read, at, 4, expected.read),
        access_text(bdf, Op::Write, at, 4, expected.write),
    ];
    expect_accesses(lab, bdf, &texts)
}

/// Have audit record the system calls by which this process reads.
fn audit_reads(lab: &mut Lab) -> Result<()> {
    let pid = format!("pid={}", std::process::id());
    let rule = ["-F", "arch=b64", "-S", "pread", "-F", &pid, "-k", "e2e"];
    lab.audit()
        .ctl(&[["-a", "always,exit"].as_slice(), &rule].concat())
        .map(drop)
}

/// The number of the event that a line of the log belongs to.
fn serial(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once(" msg=audit(")?;
    let (stamp, _) = rest.split_once("):")?;
    stamp.split_once(':')?.1.parse().ok()
}

/// Check that no record of another type belongs to the event of any of these.
fn expect_single(lab: &mut Lab, records: &[Record]) -> Result<()> {
    let lines = lab.audit().lines()?;
    for record in records {
        let event: Vec<_> = lines
            .iter()
            .filter(|line| serial(line) == Some(record.serial))
            .collect();
        ensure!(
            event.len() == 1,
            "one record became an event of {}: {event:#?}",
            event.len()
        );
    }
    Ok(())
}

/// A session that leaves records of every kind; all of them.
fn every_kind(lab: &mut Lab) -> Result<Vec<Record>> {
    let device = Device::open(lab.express()?)?;
    let (bdf, at) = (device.bdf(), spot(device.map())?);
    let mut truth = Truth::default();
    for allowed in [true, false] {
        lab.block(!allowed, !allowed)?;
        // More, together, than the limits let through, and not all of it allowed.
        for number in 0..if allowed { 4 } else { 60 } {
            let offset = at + number % 16;
            device.read_vec(offset as u64, 1)?;
            truth.add(Op::Read, allowed, offset..offset + 1);
            device.write(offset as u64, &[0; 2])?;
            truth.add(Op::Write, allowed, offset..offset + 2);
        }
    }
    lab.settle(device, &truth, Loss::None)?;
    let records = lab.records_of(bdf)?;
    for op in [
        "op=open ",
        "op=read ",
        "op=write ",
        "op=suppressed access=read ",
        "op=suppressed access=write ",
        "op=touched access=read ",
        "op=touched access=write ",
        "op=close ",
        "res=1",
        "res=0",
    ] {
        ensure!(
            records.iter().any(|record| record.text.contains(op)),
            "no {op}among {records:?}"
        );
    }
    Ok(records)
}
