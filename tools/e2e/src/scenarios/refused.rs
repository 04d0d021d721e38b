// SPDX-License-Identifier: GPL-2.0

//! Records that audit refuses: they are kept with the device, in bounded memory, and nothing waits
//! for them.

use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use vfio_client::stream::Op;
use vfio_client::{sysfs, Bdf, Device};

use super::{spot, Scenario};
use crate::account::{Loss, Truth};
use crate::audit::wait_until;
use crate::kernel::{self, Messages};
use crate::lab::Lab;
use crate::trace::{Event, Trace};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "refused/comes-out",
        "50 sessions that audit refuses leave one pending end and no message; without the rule \
         all of it comes out",
        |lab| comes_out(lab, 50),
    ),
    Scenario::new(
        "refused/comes-out-300",
        "300 sessions that audit refuses leave no more",
        |lab| comes_out(lab, 300),
    )
    .long(),
    Scenario::new(
        "refused/unload",
        "devices and modules go within two seconds though audit refuses what closed sessions have \
         to say",
        unload,
    ),
    Scenario::new(
        "refused/no-work-without-auditing",
        "while auditing is off nothing of ours runs, and what is pending comes out when it is on \
         again",
        no_work,
    ),
];

const RULE: [&str; 3] = ["always,exclude", "-F", "msgtype=1340"];

/// Timeout for the removal of a device or a module.
const PATIENCE: Duration = Duration::from_secs(2);

fn exclude(lab: &mut Lab, verb: &str) -> Result<()> {
    lab.audit()
        .ctl(&[[verb].as_slice(), &RULE].concat())
        .map(drop)
}

/// Sessions of one read each.
fn sessions(bdf: Bdf, rounds: u64, truth: &mut Truth) -> Result<()> {
    let at = spot(&sysfs::config_map(bdf)?)?;
    for _ in 0..rounds {
        let device = Device::open(bdf)?;
        device.read_vec(at as u64, 4)?;
        truth.add(Op::Read, true, at..at + 4);
    }
    Ok(())
}

/// Checks that each device has at most one pending op=close, and that the kernel log has no message
/// per record.
fn expect_little(lab: &mut Lab, messages: &mut Messages, devices: &[Bdf]) -> Result<()> {
    let shown = kernel::sessions()?;
    ensure!(
        shown.iter().all(|shown| !shown.open),
        "a session is open still: {shown:?}"
    );
    for bdf in devices {
        let device = bdf.to_string();
        let pending = shown.iter().filter(|s| s.device == device).count();
        ensure!(pending == 1, "{bdf} has {pending} pending ends, not one");
    }
    let said = messages.read()?;
    let ours: Vec<_> = said
        .iter()
        .filter(|message| message.contains("pci_audit") || message.contains("audit refused"))
        .collect();
    lab.note(format!("the kernel said {} lines about it", ours.len()));
    ensure!(ours.len() <= 1, "the kernel says {ours:#?}");
    Ok(())
}

fn comes_out(lab: &mut Lab, rounds: u64) -> Result<()> {
    let devices = [lab.express()?, lab.nvme()?];
    let mut truths = [Truth::default(), Truth::default()];
    let mut messages = Messages::follow()?;
    exclude(lab, "-a")?;
    for (bdf, truth) in devices.iter().zip(&mut truths) {
        sessions(*bdf, rounds, truth)?;
    }
    // By now the worker has tried to write the last records.
    std::thread::sleep(Duration::from_secs(3));
    expect_little(lab, &mut messages, &devices)?;
    exclude(lab, "-d")?;
    for (bdf, truth) in devices.iter().zip(&mut truths) {
        // Pending records are written after the next one that audit accepts.
        sessions(*bdf, 1, truth)?;
        let totals = lab.settle_all(*bdf, truth, Loss::Refused)?;
        lab.note(format!("{bdf}: {totals:?}"));
        // Audit refused the records that the limits allowed. The other accesses were suppressed.
        ensure!(
            totals.reads == rounds + 1 && totals.lost > 0 && totals.records <= 1,
            "{bdf}: {totals:?}"
        );
    }
    ensure!(
        wait_until(Duration::from_secs(10), || Ok(!kernel::has_sessions()))?,
        "ends stay: {:?}",
        kernel::sessions()?
    );
    Ok(())
}

fn unload(lab: &mut Lab) -> Result<()> {
    let devices = lab.kinds()?;
    if lab.modules.built_in() {
        return lab.modules.unload();
    }
    let mut messages = Messages::follow()?;
    exclude(lab, "-a")?;
    for bdf in devices {
        sessions(bdf, 10, &mut Truth::default())?;
    }
    ensure!(
        kernel::has_sessions(),
        "audit did not refuse the ends, so that this shows nothing"
    );
    expect_little(lab, &mut messages, &devices)?;
    for bdf in devices {
        let started = Instant::now();
        kernel::unbind(bdf)?;
        let took = started.elapsed();
        ensure!(took < PATIENCE, "unbinding {bdf} took {took:?}");
    }
    let each = lab.modules.unload_each()?;
    lab.note(format!("unloading took {each:?}"));
    // A livepatch waits for tasks in the functions that it replaced.
    let all: Duration = each
        .iter()
        .filter(|(name, _)| *name != crate::livepatch::NAME)
        .map(|(_, took)| *took)
        .sum();
    ensure!(all < PATIENCE, "unloading the modules took {all:?}");
    let said = messages.read()?;
    let complaint = said.iter().find(|message| kernel::is_complaint(message));
    ensure!(complaint.is_none(), "the kernel says {complaint:?}");
    lab.modules.load(&[])?;
    lab.bind()
}

/// Number of times that a work queue ran work of the module.
fn work_of_ours(trace: &Trace) -> Result<usize> {
    let ours = |text: &&String| text.contains("[vfio_pci_audit");
    Ok(trace.texts()?.iter().filter(ours).count())
}

fn no_work(lab: &mut Lab) -> Result<()> {
    const WORK: &[Event] = &[("workqueue", "workqueue_execute_start")];
    const SPAN: Duration = Duration::from_secs(8);

    if lab.modules.built_in() {
        return lab.modules.unload();
    }
    let bdf = lab.express()?;
    let mut truth = Truth::default();
    let trace = Trace::start(WORK, None)?;
    // Have one report succeed, to see what the module's work looks like in the trace.
    let device = Device::open(bdf)?;
    let at = spot(device.map())?;
    for _ in 0..60 {
        device.read_vec(at as u64, 4)?;
        truth.add(Op::Read, true, at..at + 4);
    }
    let seen = wait_until(Duration::from_secs(10), || Ok(work_of_ours(&trace)? > 0))?;
    ensure!(seen, "no work of ours is seen, so that this shows nothing");
    drop(device);
    lab.fill()?;
    exclude(lab, "-a")?;
    sessions(bdf, 3, &mut truth)?;
    lab.audit().ctl(&["-e", "0"])?;
    // Work that has started may finish.
    std::thread::sleep(Duration::from_secs(1));
    trace.forget()?;
    std::thread::sleep(SPAN);
    let ran = work_of_ours(&trace)?;
    let shown = kernel::sessions()?;
    lab.audit().ctl(&["-e", "1"])?;
    ensure!(
        ran == 0,
        "while auditing was off, work of ours ran {ran} times in {SPAN:?}"
    );
    ensure!(shown.len() == 1, "pending are {shown:?}");
    exclude(lab, "-d")?;
    sessions(bdf, 1, &mut truth).context("at the end")?;
    lab.settle_all(bdf, &truth, Loss::Refused).map(drop)
}
