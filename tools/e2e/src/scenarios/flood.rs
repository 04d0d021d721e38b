// SPDX-License-Identifier: GPL-2.0

//! Floods of accesses, while the audit daemon is slow, stopped or absent.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{ensure, Result};
use rustix::process::Signal;
use vfio_client::stream::{self, Generator, Mix, Op, Plan};
use vfio_client::{Bdf, Device};

use super::{access_text, access_texts, spot, Scenario};
use crate::account::{self, Loss, Truth};
use crate::kernel;
use crate::lab::Lab;
use crate::record::Totals;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "flood/threads",
        "100,000 accesses from four threads: the account is right to the unit and to the byte",
        threads,
    ),
    Scenario::new(
        "flood/blocked",
        "the same while everything is blocked",
        blocked,
    ),
    Scenario::new(
        "flood/changing",
        "the same while the decision changes, each part counted apart",
        changing,
    ),
    Scenario::new(
        "flood/backlog-1",
        "with room for one record in audit's queue",
        |lab| backlog(lab, "1", "1", 100_000),
    ),
    Scenario::new(
        "flood/backlog-64",
        "with audit's default queue and no limit of our own",
        |lab| backlog(lab, "64", "0", 20_000),
    ),
    Scenario::new("flood/rate-0", "without a limit of our own", rate_0),
    Scenario::new("flood/rate-24", "with 24 records a second", rate_24),
    Scenario::new(
        "flood/auditd-stopped",
        "a daemon that does not read: no access waits for it, and the account is right",
        |lab| auditd_stopped(lab, "1"),
    ),
    Scenario::new(
        "flood/auditd-stopped-rate-0",
        "the same without a limit of our own, so that audit's queue is full",
        |lab| auditd_stopped(lab, "0"),
    ),
    Scenario::new(
        "flood/auditd-restarted",
        "a daemon that is killed and comes back: what audit took is in the log",
        auditd_restarted,
    ),
    Scenario::new(
        "flood/auditd-killed-midway",
        "a daemon that is killed while it writes: the totals are right",
        auditd_killed,
    ),
    Scenario::new(
        "flood/neighbours",
        "two devices flood while a third makes ten accesses, each of which is recorded",
        neighbours,
    ),
    Scenario::new(
        "flood/panic",
        "with auditctl -f 2 and the default queue a flood does not panic the machine",
        panic,
    ),
    Scenario::new(
        "flood/million",
        "1,000,000 accesses from four threads: the account is right to the unit and to the byte",
        million,
    )
    .long(),
];

fn plan(seed: u64, count: u64) -> Plan {
    Plan {
        seed,
        count,
        threads: 4,
        ..Plan::default()
    }
}

/// A stream of accesses on a device, with an unchanging policy.
fn stream(device: &Device, plan: &Plan, allowed: bool, truth: &mut Truth) -> Result<()> {
    let done = stream::sum(&stream::run(device, plan)?);
    truth.add_stream(&done, allowed, allowed);
    Ok(())
}

fn tell(lab: &mut Lab, totals: &Totals) {
    lab.note(format!("{totals:?}"));
}

/// Runs one stream on one device, and checks the account.
fn flood(lab: &mut Lab, plan: &Plan, allowed: bool, loss: Loss) -> Result<Totals> {
    let device = Device::open(lab.express()?)?;
    let mut truth = Truth::default();
    stream(&device, plan, allowed, &mut truth)?;
    let totals = lab.settle(device, &truth, loss)?;
    tell(lab, &totals);
    Ok(totals)
}

fn threads(lab: &mut Lab) -> Result<()> {
    flood(lab, &plan(1, 100_000), true, Loss::None).map(drop)
}

fn million(lab: &mut Lab) -> Result<()> {
    flood(lab, &plan(2, 1_000_000), true, Loss::None).map(drop)
}

fn blocked(lab: &mut Lab) -> Result<()> {
    lab.block(true, true)?;
    flood(lab, &plan(3, 100_000), false, Loss::None).map(drop)
}

fn changing(lab: &mut Lab) -> Result<()> {
    let device = Device::open(lab.express()?)?;
    let mut truth = Truth::default();
    for (seed, allowed) in [(4, true), (5, false), (6, true), (7, false)] {
        lab.block(!allowed, !allowed)?;
        stream(&device, &plan(seed, 10_000), allowed, &mut truth)?;
    }
    let totals = lab.settle(device, &truth, Loss::None)?;
    tell(lab, &totals);
    Ok(())
}

fn backlog(lab: &mut Lab, limit: &str, rate: &str, count: u64) -> Result<()> {
    lab.audit().ctl(&["-b", limit])?;
    kernel::set_parameter(kernel::RATE, rate)?;
    flood(lab, &plan(8, count), true, Loss::Refused).map(drop)
}

fn rate_0(lab: &mut Lab) -> Result<()> {
    lab.unlimited()?;
    let totals = flood(lab, &plan(9, 10_000), true, Loss::None)?;
    ensure!(totals.suppressed == 0, "suppressed without a limit");
    Ok(())
}

fn rate_24(lab: &mut Lab) -> Result<()> {
    kernel::set_parameter(kernel::RATE, "24")?;
    flood(lab, &plan(10, 100_000), true, Loss::None).map(drop)
}

/// The longest access of a stream.
fn slowest(device: &Device, plan: &Plan, truth: &mut Truth) -> Result<Duration> {
    let mut generator = Generator::new(plan, 0, device.map());
    let mut buffer = Vec::new();
    let mut done = stream::Totals::default();
    let mut slowest = Duration::ZERO;
    for _ in 0..plan.count {
        let Some(access) = generator.access() else {
            break;
        };
        let started = Instant::now();
        generator.perform(device, access, &mut buffer)?;
        slowest = slowest.max(started.elapsed());
        done.count(access, device.map());
    }
    truth.add_stream(&done, true, true);
    Ok(slowest)
}

fn auditd_stopped(lab: &mut Lab, rate: &str) -> Result<()> {
    kernel::set_parameter(kernel::RATE, rate)?;
    let bdf = lab.express()?;
    let device = Device::open(bdf)?;
    let mut truth = Truth::default();
    let lost_before = lab.audit().status("lost")?;
    // No command may query audit until the daemon reads again: auditctl would wait for it.
    lab.audit().signal(Signal::STOP)?;
    let flooded = slowest(&device, &plan(11, 20_000), &mut truth);
    let resumed = lab.audit().signal(Signal::CONT);
    let slowest = flooded?;
    resumed?;
    // Audit would make callers that may sleep wait for a minute. The machine is emulated, so wait
    // only a second.
    lab.note(format!("the slowest access took {slowest:?}"));
    ensure!(
        slowest < Duration::from_secs(1),
        "an access took {slowest:?} while the daemon was stopped"
    );
    let totals = match lab.settle(device, &truth, Loss::Refused) {
        Ok(totals) => totals,
        // Without limits, audit accepts more than it can keep while the daemon is stopped, and
        // counts what it drops.
        Err(error) if rate == "0" => {
            let records = lab.records_of(bdf)?;
            let totals = account::check(&records, &truth, Loss::Unnoticed)?;
            let missing = totals.records - account::accesses(&records);
            let dropped = lab.audit().status("lost")? - lost_before;
            ensure!(
                missing + totals.lost <= dropped,
                "{error:#}; audit says lost={dropped}"
            );
            lab.note(format!("audit took {missing} records and dropped them"));
            totals
        }
        Err(error) => return Err(error),
    };
    tell(lab, &totals);
    Ok(())
}

/// Whether the kernel keeps records while there is no daemon. It does if audit was enabled at boot.
fn keeps_records() -> Result<bool> {
    Ok(std::fs::read_to_string("/proc/cmdline")?
        .split_whitespace()
        .any(|word| word == "audit=1"))
}

fn auditd_restarted(lab: &mut Lab) -> Result<()> {
    // Enlarge the backlog for the records that arrive without a daemon.
    lab.audit().ctl(&["-b", "8192"])?;
    let device = Device::open(lab.express()?)?;
    let mut truth = Truth::default();
    stream(&device, &plan(12, 10_000), true, &mut truth)?;
    // Wait for the reports, so that no record is on its way to the daemon when it is killed.
    thread::sleep(Duration::from_secs(3));
    lab.audit().drain()?;
    lab.audit().stop(Signal::KILL)?;
    // A daemon discards the first message after it starts, because it takes it for the reply to its
    // registration (audit_set_pid() in libaudit). Send one that is not a record of the test.
    lab.audit().ctl(&["-m", "e2e-first-of-those-held"])?;
    stream(&device, &plan(13, 10_000), true, &mut truth)?;
    lab.audit().start()?;
    stream(&device, &plan(14, 10_000), true, &mut truth)?;
    let loss = match keeps_records()? {
        true => Loss::None,
        false => Loss::Unnoticed,
    };
    let totals = lab.settle(device, &truth, loss)?;
    tell(lab, &totals);
    Ok(())
}

fn auditd_killed(lab: &mut Lab) -> Result<()> {
    lab.audit().ctl(&["-b", "8192"])?;
    kernel::set_parameter(kernel::RATE, "1000")?;
    let device = Device::open(lab.express()?)?;
    let mut truth = Truth::default();
    thread::scope(|scope| -> Result<()> {
        let flooding = scope.spawn(|| stream(&device, &plan(15, 60_000), true, &mut truth));
        for _ in 0..2 {
            thread::sleep(Duration::from_millis(300));
            lab.audit().stop(Signal::KILL)?;
            thread::sleep(Duration::from_millis(200));
            lab.audit().start()?;
        }
        flooding.join().expect("the flood does not panic")
    })?;
    // Records that the daemon had received and not yet written are lost.
    let totals = lab.settle(device, &truth, Loss::Unnoticed)?;
    tell(lab, &totals);
    Ok(())
}

fn neighbours(lab: &mut Lab) -> Result<()> {
    let floods = [lab.express()?, lab.second_express()?];
    let quiet: Bdf = lab.nvme()?;
    let devices = floods
        .into_iter()
        .map(Device::open)
        .collect::<Result<Vec<_>, _>>()?;
    let third = Device::open(quiet)?;
    let at = spot(third.map())?;
    let mut truths = [Truth::default(), Truth::default()];
    let mut quiet_truth = Truth::default();
    thread::scope(|scope| -> Result<()> {
        let flooding: Vec<_> = devices
            .iter()
            .zip(&mut truths)
            .enumerate()
            .map(|(number, (device, truth))| {
                let plan = Plan {
                    threads: 2,
                    ..plan(16 + number as u64, 60_000)
                };
                scope.spawn(move || stream(device, &plan, true, truth))
            })
            .collect();
        for number in 0..10 {
            thread::sleep(Duration::from_millis(50));
            third.read_vec((at + number) as u64, 1)?;
            quiet_truth.add(Op::Read, true, at + number..at + number + 1);
        }
        flooding
            .into_iter()
            .try_for_each(|flood| flood.join().expect("the flood does not panic"))
    })?;
    let records = lab.records_of(quiet)?;
    let expected: Vec<_> = (0..10)
        .map(|number| access_text(quiet, Op::Read, at + number, 1, true))
        .collect();
    let found = access_texts(&records);
    ensure!(
        found == expected,
        "of the third device is recorded {found:?}"
    );
    lab.settle(third, &quiet_truth, Loss::None)?;
    for (device, truth) in devices.into_iter().zip(&truths) {
        // Two bursts at once may exceed the default backlog.
        let totals = lab.settle(device, truth, Loss::Refused)?;
        tell(lab, &totals);
    }
    Ok(())
}

fn panic(lab: &mut Lab) -> Result<()> {
    lab.audit().ctl(&["-b", "64"])?;
    lab.audit().ctl(&["-f", "2"])?;
    // Reads and writes separately: each then has the time of the other as well.
    for mix in [Mix::Both, Mix::Reads, Mix::Writes] {
        let device = Device::open(lab.express()?)?;
        let plan = Plan {
            mix,
            ..plan(18, 50_000)
        };
        stream::run(&device, &plan)?;
        // The worst case for reports: many ranges.
        for offset in device.map().all_runs().into_iter().flatten().step_by(2) {
            device.read_vec(offset as u64, 1)?;
        }
        drop(device);
    }
    let lost = lab.audit().status("lost")?;
    lab.audit().ctl(&["-f", "1"])?;
    ensure!(lost == 0, "audit has lost {lost}");
    Ok(())
}
