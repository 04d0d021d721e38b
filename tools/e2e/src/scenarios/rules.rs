// SPDX-License-Identifier: GPL-2.0

//! Loaded audit rules, as on real hosts: they change neither what is recorded nor the duration of
//! an access.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{ensure, Result};
use rustix::process::Signal;
use vfio_client::stream::{self, Op, Plan};
use vfio_client::{sysfs, Device};

use super::{access_text, access_texts, every_kind, expect_single, spot, Scenario};
use crate::account::{self, Loss, Truth};
use crate::kernel;
use crate::lab::Lab;
use crate::rules::{GUIDE, WATCH};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "rules/one-watch",
        "with a watch on a file one access is one record, and so is each record of other kinds",
        |lab| one_record(lab, WATCH),
    )
    .rules(false),
    Scenario::new(
        "rules/guide",
        "and so it is with the rules of a security guide",
        |lab| one_record(lab, GUIDE),
    )
    .rules(false),
    Scenario::new(
        "rules/sessions",
        "30 sessions of 48 accesses each, a daemon that reads and the default queue: audit loses \
         nothing",
        sessions,
    )
    .rules(true),
    Scenario::new(
        "rules/slowest-access",
        "with a daemon that does not read and a full queue no access takes 50 ms",
        slowest_access,
    )
    .rules(true),
    Scenario::new(
        "rules/panic",
        "with auditctl -f 2 and the default queue, sessions and streams of one device for 20 s do \
         not panic the machine",
        |lab| panic(lab, Duration::from_secs(20)),
    )
    .rules(true),
    Scenario::new("rules/panic-minute", "nor do they in a minute", |lab| {
        panic(lab, Duration::from_secs(60))
    })
    .long()
    .rules(true),
];

fn one_record(lab: &mut Lab, rules: &[&str]) -> Result<()> {
    lab.audit().load_rules(rules)?;
    let bdf = lab.express()?;
    let before = lab.audit().lines()?.len();
    let device = Device::open(bdf)?;
    let at = spot(device.map())?;
    device.read_vec(at as u64, 4)?;
    let records = lab.take(bdf)?;
    let texts = access_texts(&records);
    ensure!(
        texts == [access_text(bdf, Op::Read, at, 4, true)],
        "recorded were {texts:#?}"
    );
    expect_single(lab, &records)?;
    // The op=open and the access. No rule matches them.
    let lines = lab.audit().lines()?;
    let new: Vec<_> = lines[before..]
        .iter()
        .filter(|line| !line.contains("e2e-drain-"))
        .collect();
    ensure!(
        new.len() == 2,
        "an access left {} lines: {new:#?}",
        new.len()
    );
    drop(device);
    lab.take_session(bdf)?;

    // Records of every kind. The previous session is not part of this account.
    lab.forget_all()?;
    let records = every_kind(lab)?;
    let events: BTreeSet<u64> = records.iter().map(|record| record.serial).collect();
    ensure!(
        events.len() == records.len(),
        "{} records are in {} events",
        records.len(),
        events.len()
    );
    expect_single(lab, &records)
}

fn sessions(lab: &mut Lab) -> Result<()> {
    const SESSIONS: u64 = 30;

    let bdf = lab.express()?;
    let lost_before = lab.audit().status("lost")?;
    let mut truth = Truth::default();
    for _ in 0..SESSIONS {
        let device = Device::open(bdf)?;
        let at = spot(device.map())?;
        for _ in 0..24 {
            device.read_vec(at as u64, 4)?;
            truth.add(Op::Read, true, at..at + 4);
            device.write(at as u64, &[0])?;
            truth.add(Op::Write, true, at..at + 1);
        }
    }
    let lost = lab.audit().status("lost")? - lost_before;
    ensure!(lost == 0, "audit has lost {lost}");
    lab.fill()?;
    lab.settle_all(bdf, &truth, Loss::None).map(drop)
}

fn slowest_access(lab: &mut Lab) -> Result<()> {
    /// The first records fill the queue while kauditd retries to reach the daemon.
    const ACCESSES: usize = 20_000;
    const MOST: Duration = Duration::from_millis(50);

    let bdf = lab.express()?;
    // Without limits, each access would be recorded until audit's queue is full.
    kernel::set_parameter(kernel::RATE, "0")?;
    let device = Device::open(bdf)?;
    let at = spot(device.map())?;
    let mut truth = Truth::default();
    let mut took = Vec::with_capacity(ACCESSES);
    let lost_before = lab.audit().status("lost")?;
    // No command may query audit until the daemon reads again: auditctl would wait for it.
    lab.audit().signal(Signal::STOP)?;
    let measured = (0..ACCESSES).try_for_each(|_| {
        let started = Instant::now();
        device.read_vec(at as u64, 4)?;
        took.push(started.elapsed());
        truth.add(Op::Read, true, at..at + 4);
        anyhow::Ok(())
    });
    lab.audit().signal(Signal::CONT)?;
    measured?;
    took.sort_unstable();
    let slowest: Vec<_> = took.iter().rev().take(3).collect();
    lab.note(format!(
        "the slowest of {ACCESSES} accesses took {slowest:?}, half of them {:?} or less",
        took[ACCESSES / 2]
    ));
    ensure!(
        *slowest[0] < MOST,
        "with a full queue an access took {:?}",
        slowest[0]
    );
    let lost = lab.audit().status("lost")? - lost_before;
    ensure!(
        lost > 0,
        "the queue was never full, so that this shows nothing"
    );
    lab.settle(device, &truth, Loss::Unnoticed).map(drop)
}

fn panic(lab: &mut Lab, span: Duration) -> Result<()> {
    let bdf = lab.express()?;
    let at = spot(&sysfs::config_map(bdf)?)?;
    lab.audit().ctl(&["-b", "64"])?;
    lab.audit().ctl(&["-f", "2"])?;
    let started = Instant::now();
    let (mut opened, mut made) = (0_u64, 0_u64);
    while started.elapsed() < span {
        for _ in 0..5 {
            let device = Device::open(bdf)?;
            for _ in 0..24 {
                device.read_vec(at as u64, 4)?;
                device.write(at as u64, &[0])?;
            }
            opened += 1;
            made += 48;
        }
        let plan = Plan {
            seed: opened,
            count: 5_000,
            threads: 4,
            ..Plan::default()
        };
        stream::run(&Device::open(bdf)?, &plan)?;
        opened += 1;
        made += plan.count;
    }
    let lost = lab.audit().status("lost")?;
    lab.audit().ctl(&["-f", "1"])?;
    lab.note(format!(
        "{opened} sessions, {made} accesses in {:?}",
        started.elapsed()
    ));
    ensure!(lost == 0, "audit has lost {lost}");
    let records = lab.records_of(bdf)?;
    let found = account::accesses(&records);
    ensure!(found > 0, "nothing is recorded");
    Ok(())
}
