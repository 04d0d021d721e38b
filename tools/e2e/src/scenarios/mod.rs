// SPDX-License-Identifier: GPL-2.0

//! The table of scenarios, and functions that many of them use.

mod accepted;
mod audit_off;
mod backlog;
mod blocked;
mod builtin;
mod cfg_size;
mod day;
mod device_limits;
mod differential;
mod disarmed;
mod dpdk;
mod exceptions;
mod failing;
mod faults;
mod filled;
mod fleet;
mod flood;
mod fuzzing;
mod guest;
mod guest_driver;
mod holders;
mod kselftest;
mod leaks;
mod limits;
mod list_length;
mod livepatch;
mod observe;
mod observe_unit;
mod operator;
mod other_sources;
mod policy;
mod policy_list;
mod race;
mod race_ranges;
mod records;
mod refused;
mod remembered;
mod rules;
mod samples;
mod sessions;
mod soak;
mod spans;
mod tracing;
mod tried_again;
mod turns;
mod unpatchable;
mod unpatched;
mod variant;
mod watch;

use anyhow::{bail, ensure, Context, Result};
use vfio_client::stream::Op;
use vfio_client::{hex, sysfs, Bdf, ConfigMap, Device};

use crate::account::{Loss, Truth};
use crate::lab::Lab;
use crate::record::Record;

/// A scenario.
pub(crate) struct Scenario {
    /// Its name, `file/what`.
    pub(crate) name: &'static str,
    /// What it shows if it passes.
    pub(crate) shows: &'static str,
    /// Whether it only runs on request.
    pub(crate) long: bool,
    /// Whether audit rules are loaded. `None` if the position in the list decides.
    pub(crate) rules: Option<bool>,
    /// Runs on a machine that was just reset.
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

    /// Fixes whether audit rules are loaded, independent of the position in the list.
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
        exceptions::SCENARIOS,
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
        race_ranges::SCENARIOS,
        flood::SCENARIOS,
        leaks::SCENARIOS,
        operator::SCENARIOS,
        watch::SCENARIOS,
        faults::SCENARIOS,
        kselftest::SCENARIOS,
        dpdk::SCENARIOS,
        guest::SCENARIOS,
        guest_driver::SCENARIOS,
        livepatch::SCENARIOS,
        observe::SCENARIOS,
        observe_unit::SCENARIOS,
        builtin::SCENARIOS,
        holders::SCENARIOS,
        turns::SCENARIOS,
        blocked::SCENARIOS,
        accepted::SCENARIOS,
        refused::SCENARIOS,
        device_limits::SCENARIOS,
        day::SCENARIOS,
        backlog::SCENARIOS,
        remembered::SCENARIOS,
        filled::SCENARIOS,
        failing::SCENARIOS,
        disarmed::SCENARIOS,
        cfg_size::SCENARIOS,
        other_sources::SCENARIOS,
        tried_again::SCENARIOS,
        list_length::SCENARIOS,
        unpatchable::SCENARIOS,
        soak::SCENARIOS,
        fuzzing::SCENARIOS,
        // These may crash the machine if they fail.
        rules::SCENARIOS,
    ]
    .into_iter()
    .flatten()
}

/// A value that no device contains by chance.
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

/// The effects of a read and of a write.
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

/// Reads and writes an unassigned dword through VFIO, and checks on another path what reached the
/// device.
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

/// The expected text of the record of an access, without the session.
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

/// The texts of the access records among these, without their sessions.
fn access_texts(records: &[Record]) -> Vec<&str> {
    records
        .iter()
        .filter(|record| record.is_access())
        .map(|record| record.plain.as_str())
        .collect()
}

/// Checks the accesses recorded since the last call.
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

/// Checks the outcome of a read and of a write, and that they are recorded with it.
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

/// Adds an audit rule for the read system calls of this process.
fn audit_reads(lab: &mut Lab) -> Result<()> {
    let pid = format!("pid={}", std::process::id());
    let rule = ["-F", "arch=b64", "-S", "pread", "-F", &pid, "-k", "e2e"];
    lab.audit()
        .ctl(&[["-a", "always,exit"].as_slice(), &rule].concat())
        .map(drop)
}

/// The serial number of the event that a line of the log belongs to.
fn serial(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once(" msg=audit(")?;
    let (stamp, _) = rest.split_once("):")?;
    stamp.split_once(':')?.1.parse().ok()
}

/// Checks that the events of these records have no record of another type.
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

/// Runs a session that produces records of every kind. Returns all of them.
fn every_kind(lab: &mut Lab) -> Result<Vec<Record>> {
    let device = Device::open(lab.express()?)?;
    let (bdf, at) = (device.bdf(), spot(device.map())?);
    let mut truth = Truth::default();
    for allowed in [true, false] {
        lab.block(!allowed, !allowed)?;
        // More accesses than the limits allow, some of them blocked.
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

/// Makes one more access, so that what was left while auditing was off is written, too.
fn touch(bdf: Bdf, truth: Option<&mut Truth>) -> Result<()> {
    let device = Device::open(bdf)?;
    let at = spot(device.map())?;
    device.read_vec(at as u64, 4)?;
    if let Some(truth) = truth {
        truth.add(Op::Read, true, at..at + 4);
    }
    Ok(())
}
