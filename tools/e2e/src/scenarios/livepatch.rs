// SPDX-License-Identifier: GPL-2.0

//! Enabling and disabling the livepatch of a stock kernel while devices are open.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use vfio_client::stream::{self, Op, Plan};
use vfio_client::Device;

use super::leaks::compare;
use super::{access_text, access_texts, expect_verdict, spot, Scenario, Verdict};
use crate::account::{self, Loss, Truth};
use crate::audit::wait_until;
use crate::insmod;
use crate::kernel::{self, Messages};
use crate::lab::{Lab, Skip};
use crate::livepatch;
use crate::record::{Kind, Record, Totals};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "livepatch/open-device",
        "a device that is open already is covered from the next access, until the livepatch goes",
        open_device,
    ),
    Scenario::new(
        "livepatch/core-later",
        "loaded first, it covers vfio-pci-core from its first device, and when it has gone and \
         come",
        core_later,
    ),
    Scenario::new(
        "livepatch/at-boot",
        "the file for modprobe.d has it come before vfio-pci-core, with each of its options",
        at_boot,
    ),
    Scenario::new(
        "livepatch/under-flood",
        "5 times loaded and unloaded while four threads access a device",
        |lab| under_flood(lab, 5),
    ),
    Scenario::new(
        "livepatch/replaced",
        "another livepatch that replaces it leaves nothing behind: unloaded, and a device closed, \
         there is no complaint",
        replaced,
    ),
    Scenario::new("livepatch/thousand-rounds", "1000 times the same", |lab| {
        under_flood(lab, 1000)
    })
    .long(),
];

fn needs_livepatch(lab: &Lab) -> Result<()> {
    if !lab.modules.stock() {
        bail!(Skip(
            "this kernel calls vfio_pci_audit by itself; make e2e FRONT=stock runs this".into()
        ));
    }
    Ok(())
}

/// The totals of the only session that began and ended in the records.
fn whole_session(records: &[Record]) -> Result<&Totals> {
    let count = |open: bool| {
        let wanted = |record: &&Record| match record.kind {
            Kind::Open => open,
            Kind::Close(_) => !open,
            _ => false,
        };
        records.iter().filter(wanted).count()
    };
    ensure!(
        count(true) == 1 && count(false) == 1,
        "not one session: {records:#?}"
    );
    records
        .iter()
        .find_map(|record| match &record.kind {
            Kind::Close(totals) => Some(totals),
            _ => None,
        })
        .context("no op=close")
}

fn open_device(lab: &mut Lab) -> Result<()> {
    needs_livepatch(lab)?;
    lab.modules.unload()?;
    lab.modules.load_unpatched()?;
    lab.bind()?;
    let bdf = lab.express()?;
    let device = Device::open(bdf)?;
    let at = spot(device.map())?;

    for round in 0..2 {
        device.read_vec(at as u64, 4)?;
        let records = lab.take(bdf)?;
        ensure!(
            records.is_empty(),
            "the hook is not active, but there are {records:?}"
        );

        let blocked = format!("vfio_pci_audit.{}=Y", kernel::BLOCK_WRITE);
        lab.modules.load_livepatch(&[blocked])?;
        expect_verdict(
            lab,
            &device,
            Verdict {
                read: true,
                write: false,
            },
        )
        .with_context(|| format!("round {round}"))?;
        device.write(at as u64, &[0; 2])?;
        lab.modules.unload_livepatch()?;

        let records = lab.take_session(bdf)?;
        let expected = [access_text(bdf, Op::Write, at, 2, false)];
        ensure!(
            access_texts(&records) == expected
                && matches!(
                    records.last().map(|r| &r.kind),
                    Some(Kind::Close(t)) if t.records == 3
                ),
            "the session ended with {records:#?}"
        );
    }

    lab.modules.load_livepatch(&[])?;
    device.read_vec(at as u64, 4)?;
    drop(device);
    let mut truth = Truth::default();
    truth.add(Op::Read, true, at..at + 4);
    // A work item writes op=close soon after, and the module's exit waits for it.
    lab.modules.unload_livepatch()?;
    let records = lab.take_session(bdf)?;
    whole_session(&records)?;
    account::check(&records, &truth, Loss::None).map(drop)
}

fn core_later(lab: &mut Lab) -> Result<()> {
    needs_livepatch(lab)?;
    lab.modules.unload()?;
    lab.modules.load_livepatch(&[])?;
    ensure!(
        !kernel::has_module("vfio_pci_core"),
        "the livepatch brought vfio-pci-core along"
    );
    for round in 0..2 {
        lab.modules.load_unpatched()?;
        lab.bind()?;
        let device = Device::open(lab.express()?)?;
        expect_verdict(lab, &device, super::PASSED).with_context(|| format!("round {round}"))?;
        drop(device);
        lab.modules.unload_vfio()?;
    }
    ensure!(
        !kernel::has_module("vfio_pci_core"),
        "vfio-pci-core did not go while the livepatch was there"
    );
    lab.reload(&[])
}

fn at_boot(lab: &mut Lab) -> Result<()> {
    needs_livepatch(lab)?;
    let packaged = fs::read_to_string(lab.top.join("packaging/modprobe.conf"))?;
    // With the options that are commented out, which an administrator may enable.
    let text = packaged.replace("\n#options ", "\noptions ");
    let file = Path::new("/run/modprobe.conf");
    fs::write(file, &text)?;
    let options: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|line| line.strip_prefix("options vfio_pci_audit "))
        .flat_map(str::split_whitespace)
        .filter_map(|option| option.split_once('='))
        .collect();
    ensure!(options.len() >= 5, "too few options in {text}");

    lab.modules.unload()?;
    lab.modules.load_by(file)?;
    // The newest comes first.
    let modules = fs::read_to_string("/proc/modules")?;
    let at = |name: &str| {
        modules
            .lines()
            .position(|line| line.split(' ').next() == Some(name))
            .with_context(|| format!("{name} was not loaded"))
    };
    ensure!(
        at(livepatch::NAME)? > at("vfio_pci_core")?,
        "vfio-pci-core came first"
    );
    for (name, value) in options {
        let now = kernel::parameter(name)?;
        ensure!(now == value, "{name} is {now} and not {value}");
    }
    lab.reload(&[])
}

fn under_flood(lab: &mut Lab, rounds: u64) -> Result<()> {
    needs_livepatch(lab)?;
    let bdf = lab.express()?;
    lab.audit().ctl(&["-b", "8192"])?;
    let device = Device::open(bdf)?;
    let at = spot(device.map())?;
    let livepatch = lab.modules.livepatch()?;
    let stop = AtomicBool::new(false);

    livepatch.unload()?;
    lab.forget_all()?;
    thread::scope(|scope| {
        let flooding = scope.spawn(|| -> Result<()> {
            // Lower the priority of this thread and of those it starts, so that the flood does not
            // delay loading.
            rustix::process::setpriority_process(None, 10)?;
            let mut seed = 0;
            while !stop.load(Ordering::Relaxed) {
                let plan = Plan {
                    seed,
                    count: 2000,
                    threads: 4,
                    ..Plan::default()
                };
                stream::run(&device, &plan)?;
                seed += 1;
            }
            Ok(())
        });
        let done = compare(lab, 2, rounds, |lab, _| {
            // Each round needs an op=open, and an op=close that is not delayed by limits.
            lab.fill()?;
            livepatch.load()?;
            device.read_vec(at as u64, 4)?;
            livepatch.unload()?;
            let records = lab.take_logged_session(bdf)?;
            let t = whole_session(&records)?;
            ensure!(
                t.reads > 0 && t.reads + t.writes == t.records + t.suppressed + t.lost,
                "the account does not add up: {t:?}"
            );
            Ok(())
        });
        stop.store(true, Ordering::Relaxed);
        flooding.join().expect("flooding does not panic")?;
        done
    })
}

fn replaced(lab: &mut Lab) -> Result<()> {
    needs_livepatch(lab)?;
    // Rounds of another scenario may have left vfio_pci_audit without the livepatch.
    lab.reload(&[])?;
    let replacing = lab.modules.replacing()?;
    let bdf = lab.express()?;
    let mut messages = Messages::follow()?;
    for round in 0..2 {
        let device = Device::open(bdf)?;
        let at = spot(device.map())?;
        let mut truth = Truth::default();
        device.read_vec(at as u64, 4)?;
        truth.add(Op::Read, true, at..at + 4);

        // A livepatch that replaces another does not run the callbacks of the other one.
        insmod::load(&replacing, "")?;
        let replaced = wait_until(Duration::from_secs(60), || {
            Ok(!Path::new("/sys/kernel/livepatch")
                .join(livepatch::NAME)
                .exists())
        })?;
        ensure!(replaced, "the livepatch was not replaced");
        let line = fs::read_to_string("/proc/cmdline")?;
        ensure!(
            line.starts_with("replaced"),
            "the other is not in force: {line}"
        );
        // No hook is active now.
        device.read_vec(at as u64, 4)?;

        let started = Instant::now();
        lab.modules.unload_livepatch()?;
        let took = started.elapsed();
        lab.note(format!("round {round}: unloading took {took:?}"));
        ensure!(
            took < Duration::from_secs(5),
            "unloading what was replaced took {took:?} while a device is open"
        );
        let probes = fs::read_to_string("/sys/kernel/debug/kprobes/list")?;
        ensure!(!probes.contains("vfio"), "a probe stays: {probes}");
        let records = lab.take_session(bdf)?;
        account::check(&records, &truth, Loss::None)?;

        drop(device);
        let gone = insmod::unload("e2e_replace");
        ensure!(gone.is_err(), "a livepatch that is in force was unloaded");
        fs::write("/sys/kernel/livepatch/e2e_replace/enabled", "0")?;
        let left = wait_until(Duration::from_secs(60), || {
            Ok(insmod::unload("e2e_replace").is_ok())
        })?;
        ensure!(left, "the other livepatch stays");
        // Load our livepatch again, as the guide describes.
        lab.modules.load_livepatch(&[])?;
        let device = Device::open(bdf)?;
        expect_verdict(lab, &device, super::PASSED)?;
        drop(device);
        lab.take_session(bdf)?;
    }
    let said = messages.read()?;
    let complaint = said.iter().find(|message| kernel::is_complaint(message));
    ensure!(complaint.is_none(), "the kernel says {complaint:?}");
    Ok(())
}
