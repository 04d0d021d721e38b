// SPDX-License-Identifier: GPL-2.0

//! Hours of mixed load.
//!
//! In each cycle, clients use several devices in different ways (`clients`) while the daemon,
//! audit's settings, the policy and the tracepoint change (`disturb`), in an order that depends on
//! a seed (`plan`). After each cycle the account has to be exact, the log within its bound, and
//! nothing left; over all cycles the kernel's memory must not grow (`tally`).

mod clients;
mod disturb;
mod plan;
mod tally;

use std::collections::BTreeMap;
use std::env;
use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ::lab::guest;
use anyhow::{bail, ensure, Context, Result};
use vfio_client::Bdf;

use super::{touch, Scenario};
use crate::account::{self, Loss, Truth};
use crate::audit::wait_until;
use crate::budget::Budget;
use crate::kernel::{self, Messages};
use crate::lab::Lab;
use crate::record::{Record, Totals};
use clients::{Devices, Shared};
use disturb::{Standing, BACKLOG};
use plan::{Cycle, Main, Plan};
use tally::{Memory, Tally};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario::new(
    "soak/mixed-load",
    "clients on five devices while daemon, rules, policy and limits change, for SOAK_SECONDS or \
     until each disturbance came once: exact accounts, a bounded log, no memory left",
    soak,
)
.long()
.rules(false)];

/// The variables that say for how long, and in which order.
const SECONDS: &str = "SOAK_SECONDS";
const SEED: &str = "SOAK_SEED";

fn given<T: FromStr>(name: &str) -> Result<Option<T>> {
    let Ok(text) = env::var(name) else {
        return Ok(None);
    };
    match text.parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => bail!("{name}={text:?} is not a number"),
    }
}

fn soak(lab: &mut Lab) -> Result<()> {
    let span = given::<u64>(SECONDS)?.map(Duration::from_secs);
    let seed = match given(SEED)? {
        Some(seed) => seed,
        None => SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
    };
    let with_guest = guest::is_saved(&lab.paths);
    let mut plan = Plan::new(seed, with_guest);
    let round = plan.round();
    let mut soak = Soak {
        devices: Devices::of(lab)?,
        standing: Standing::default(),
        messages: Messages::follow()?,
        memory: Memory::new(round),
        tally: Tally::default(),
    };
    let guests = if with_guest { "with" } else { "without" };
    eprintln!("    {SEED}={seed}, {guests} guests");
    lab.notes();
    let started = Instant::now();
    let done = |soak: &Soak| match span {
        Some(span) => started.elapsed() >= span,
        None => soak.tally.cycles >= round,
    };
    let mut result = Ok(());
    while result.is_ok() && !done(&soak) {
        let cycle = plan.next();
        result = soak.cycle(lab, &cycle).with_context(|| {
            format!(
                "cycle {} of {SEED}={seed} ({:?})",
                soak.tally.cycles, cycle.main
            )
        });
        // The notes of a cycle are in its line.
        lab.notes();
    }
    soak.tell(lab, seed, started.elapsed());
    result
}

struct Soak {
    devices: Devices,
    standing: Standing,
    messages: Messages,
    memory: Memory,
    tally: Tally,
}

impl Soak {
    /// One cycle, with all checks.
    fn cycle(&mut self, lab: &mut Lab, cycle: &Cycle) -> Result<()> {
        let started = Instant::now();
        lab.forget_all()?;
        lab.audit().ctl(&["-b", BACKLOG])?;
        let lost_before = lab.audit().status("lost")?;
        lab.allow(clients::ALWAYS)?;
        let budget = Budget::start(lab)?;

        // A guest is emulated by the machine that the clients keep busy.
        let pause = if cycle.main == Main::Guest { 30 } else { 1 };
        let shared = Shared::new(Duration::from_millis(pause));
        let (devices, standing) = (&self.devices, &mut self.standing);
        let reset = cycle.main != Main::Guest;
        let ((), done) = devices.work(&shared, cycle.seed, reset, || {
            disturb::disturb(lab, standing, &shared, cycle, devices)
        })?;

        lab.audit().ctl(&["-b", BACKLOG])?;
        if cycle.main.within_budget() {
            let all = by_device(lab)?;
            for bdf in self.devices.all() {
                let records = all.get(&bdf.to_string()).map_or(&[][..], Vec::as_slice);
                budget.check(lab, records)?;
                self.tally.sizes.add(records);
            }
            self.tally.sizes.check()?;
        }
        lab.default_policy()?;
        let mut truths = BTreeMap::new();
        for bdf in self.devices.all() {
            let mut truth = done.get(&bdf).map(|done| done.truth.clone());
            touch(bdf, truth.as_mut())?;
            truths.insert(bdf, truth);
        }
        let totals = settle(lab, &truths, cycle.main.loss())?;
        let ended = wait_until(Duration::from_secs(60), || Ok(!kernel::has_sessions()))?;
        ensure!(ended, "sessions stay: {:?}", kernel::sessions()?);
        if cycle.main.keeps_all() {
            let lost = lab.audit().status("lost")? - lost_before;
            ensure!(lost == 0, "audit has lost {lost}");
            ensure!(totals.lost == 0, "audit refused {} records", totals.lost);
        }
        let complaints = self.messages.read()?;
        let complaint = complaints.iter().find(|text| kernel::is_complaint(text));
        ensure!(complaint.is_none(), "the kernel says {complaint:?}");

        let slab = self.memory.measure()?;
        let sessions: u64 = done.values().map(|done| done.sessions).sum();
        self.tally.cycles += 1;
        self.tally.sessions += sessions;
        self.tally.totals += totals;
        eprintln!(
            "    cycle {} ({:?}): {:.0} s, {sessions} sessions, {}, slab {slab} KiB",
            self.tally.cycles,
            cycle.main,
            started.elapsed().as_secs_f64(),
            say(&totals)
        );
        self.memory.check()
    }

    fn tell(&self, lab: &mut Lab, seed: u64, time: Duration) {
        lab.note(format!(
            "{SEED}={seed}: {} cycles in {:.2} hours, {} sessions, {}",
            self.tally.cycles,
            time.as_secs_f64() / 3600.0,
            self.tally.sessions,
            say(&self.tally.totals)
        ));
        lab.note(format!(
            "records of this size leave at most {:.1} MB of log a day and device",
            self.tally.sizes.day() / 1e6
        ));
        if let Some(growth) = self.memory.growth() {
            lab.note(format!(
                "slab memory grew by {growth} KiB from one half of the cycles to the other, most \
                 of all {:?}",
                self.memory.grown()
            ));
        }
        if self.standing.stuck > 0 {
            lab.note(format!(
                "{} guests were given up, because their QEMU was stuck",
                self.standing.stuck
            ));
        }
    }
}

fn say(totals: &Totals) -> String {
    format!(
        "{} accesses, {} of them blocked, {} records, {} suppressed, {} lost",
        totals.reads + totals.writes,
        totals.blocked_reads + totals.blocked_writes,
        totals.records,
        totals.suppressed,
        totals.lost
    )
}

/// All records of the cycle, by device.
fn by_device(lab: &mut Lab) -> Result<BTreeMap<String, Vec<Record>>> {
    let mut all: BTreeMap<String, Vec<Record>> = BTreeMap::new();
    for record in lab.all_records()? {
        all.entry(record.device.clone()).or_default().push(record);
    }
    Ok(all)
}

/// Checks the accounts of all devices, whose sessions have ended. Of a guest it is not known what
/// it did. Returns the sum of the totals.
fn settle(lab: &mut Lab, truths: &BTreeMap<Bdf, Option<Truth>>, loss: Loss) -> Result<Totals> {
    let check = |lab: &mut Lab| -> Result<Totals> {
        let all = by_device(lab)?;
        let mut sum = Totals::default();
        for (bdf, truth) in truths {
            let records = all.get(&bdf.to_string()).map_or(&[][..], Vec::as_slice);
            sum += match truth {
                Some(truth) => account::check_all(records, truth, loss),
                None => account::check_sums(records, loss),
            }
            .with_context(|| format!("the account of {bdf}"))?;
        }
        Ok(sum)
    };
    let mut result = check(lab);
    // Records that audit refused are written later.
    wait_until(Duration::from_secs(90), || {
        if result.is_err() {
            std::thread::sleep(Duration::from_secs(1));
            result = check(lab);
        }
        Ok(result.is_ok())
    })?;
    result
}
