// SPDX-License-Identifier: GPL-2.0

//! Sessions: from the opening of a device to its last close.

use anyhow::{ensure, Context, Result};
use vfio_client::stream::Op;
use vfio_client::{sysfs, Device};

use super::{access_texts, spot, Scenario};
use crate::account::{self, Loss, Truth};
use crate::holder::Holder;
use crate::lab::Lab;
use crate::record::Kind;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "sessions/silent",
        "a session that touches no unassigned byte writes no record",
        silent,
    ),
    Scenario::new(
        "sessions/totals",
        "op=open comes first and op=close tells the totals, exactly",
        totals,
    ),
    Scenario::new(
        "sessions/one-after-the-other",
        "each session has a number and an account of its own, and the limits are the device's",
        one_after_the_other,
    ),
    Scenario::new(
        "sessions/last-close",
        "a device that is opened twice has one session, which ends with the last close",
        last_close,
    ),
    Scenario::new(
        "sessions/killed",
        "op=open names the process that holds the device; op=close comes even if it is killed",
        killed,
    ),
];

fn silent(lab: &mut Lab) -> Result<()> {
    for bdf in lab.kinds()? {
        let device = Device::open(bdf)?;
        device.read_vec(0, 64)?;
        device.write(0x3c, &[1])?;
        drop(device);
        let records = lab.take(bdf)?;
        ensure!(records.is_empty(), "recorded were {records:?}");
    }
    Ok(())
}

fn totals(lab: &mut Lab) -> Result<()> {
    let device = Device::open(lab.express()?)?;
    let at = spot(device.map())?;
    let mut truth = Truth::default();
    for (reads, writes, read, write) in [
        (3, 2, true, true),
        (1, 4, false, true),
        (2, 1, true, false),
        (5, 3, false, false),
    ] {
        lab.block(!read, !write)?;
        for _ in 0..reads {
            device.read_vec(at as u64, 4)?;
            truth.add(Op::Read, read, at..at + 4);
        }
        for _ in 0..writes {
            device.write(at as u64, &[0; 2])?;
            truth.add(Op::Write, write, at..at + 2);
        }
    }
    let totals = lab.settle(device, &truth, Loss::None)?;
    ensure!(totals.suppressed == 0 && totals.records == 21, "{totals:?}");
    Ok(())
}

fn one_after_the_other(lab: &mut Lab) -> Result<()> {
    let bdf = lab.express()?;
    let mut numbers = Vec::new();
    for round in 0..3 {
        // The burst except for the op=open, and not what the previous session has used up.
        lab.fill()?;
        let device = Device::open(bdf)?;
        let at = spot(device.map())?;
        let mut truth = Truth::default();
        for _ in 0..23 {
            device.read_vec(at as u64, 1)?;
            truth.add(Op::Read, true, at..at + 1);
        }
        drop(device);
        let records = lab.take_session(bdf)?;
        let totals = account::check(&records, &truth, Loss::None)
            .with_context(|| format!("session {round}"))?;
        ensure!(totals.records == 23, "session {round}: {totals:?}");
        numbers.push(records[0].session);
    }
    let mut different = numbers.clone();
    different.sort_unstable();
    different.dedup();
    ensure!(different == numbers, "the sessions are {numbers:?}");
    Ok(())
}

fn last_close(lab: &mut Lab) -> Result<()> {
    let bdf = lab.express()?;
    let first = Device::open(bdf)?;
    let second = first.open_again()?;
    let at = spot(first.map())?;
    let mut truth = Truth::default();
    first.read_vec(at as u64, 4)?;
    second.read_vec(at as u64, 4)?;
    drop(first);
    second.read_vec(at as u64, 4)?;
    (0..3).for_each(|_| truth.add(Op::Read, true, at..at + 4));
    let early = lab.records_of(bdf)?;
    ensure!(
        !early.iter().any(|r| matches!(r.kind, Kind::Close(_))),
        "closed while it is open: {early:?}"
    );
    lab.settle(second, &truth, Loss::None).map(drop)
}

fn killed(lab: &mut Lab) -> Result<()> {
    let bdf = lab.express()?;
    let at = spot(&sysfs::config_map(bdf)?)?;
    let mut holder = Holder::start(bdf)?;
    holder.read(at)?;
    holder.kill()?;

    let records = lab.take_session(bdf)?;
    let open = &records[0];
    ensure!(open.kind == Kind::Open, "first came {:?}", open.text);
    let exe = format!("exe=\"{}\"", holder.program());
    for field in [
        &format!(" pid={} ", holder.pid()),
        " comm=\"vfio-client\"",
        " uid=0 ",
        &exe,
    ] {
        ensure!(open.text.contains(field), "no {field} in {}", open.text);
    }
    ensure!(access_texts(&records).len() == 1, "{records:?}");
    let mut truth = Truth::default();
    truth.add(Op::Read, true, at..at + 4);
    account::check(&records, &truth, Loss::None).map(drop)
}
