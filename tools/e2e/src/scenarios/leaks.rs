// SPDX-License-Identifier: GPL-2.0

//! Sessions, devices and modules come and go, and nothing stays behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use vfio_client::stream::{self, Plan};
use vfio_client::{sysfs, Bdf, Device};

use super::{spot, Scenario};
use crate::holder::Holder;
use crate::kernel;
use crate::lab::Lab;
use crate::slab::{self, Caches};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "leaks/rounds",
        "5 rounds of open, flood, close, reset, unbind and hot-unplug leave no memory behind",
        |lab| rounds(lab, 5),
    ),
    Scenario::new("leaks/thousand-rounds", "1000 rounds of the same", |lab| {
        rounds(lab, 1000)
    })
    .long(),
    Scenario::new(
        "leaks/load-and-unload",
        "5 times load, a session, unload",
        |lab| load_and_unload(lab, 5),
    ),
];

/// Sessions on each device in a round.
const SESSIONS: u64 = 3;

/// What slab use may have grown by, in KiB.
const MARGIN: i64 = 256;

/// From so many rounds on, objects are counted instead.
const LONG: u64 = 100;

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("{text:?} to {}", file.display()))
}

/// The kernel's own search for leaks, where the kernel has one.
struct Kmemleak(PathBuf);

impl Kmemleak {
    /// What was leaked so far is not ours.
    fn start() -> Result<Option<Self>> {
        let file = Path::new("/sys/kernel/debug/kmemleak");
        if !file.exists() {
            return Ok(None);
        }
        write(file, "scan")?;
        write(file, "clear")?;
        Ok(Some(Self(file.to_owned())))
    }

    /// Nothing was leaked since.
    fn check(&self, lab: &mut Lab) -> Result<()> {
        // It passes over what is younger than five seconds, and wants to see it twice.
        thread::sleep(Duration::from_secs(6));
        for _ in 0..2 {
            write(&self.0, "scan")?;
        }
        let found = fs::read_to_string(&self.0)?;
        ensure!(found.is_empty(), "kmemleak says {found}");
        lab.note("kmemleak found nothing");
        Ok(())
    }
}

/// Do something that may leak, once to fill what is filled once and then for good; how much stayed.
pub(super) fn compare(
    lab: &mut Lab,
    warm_up: u64,
    rounds: u64,
    mut round: impl FnMut(&mut Lab, u64) -> Result<()>,
) -> Result<()> {
    for number in 0..warm_up {
        round(lab, number)?;
    }
    let before = slab::settled()?;
    let caches = Caches::now();
    let kmemleak = Kmemleak::start()?;
    // It finds what was leaked once, and a kernel that has it is slow.
    let rounds = if kmemleak.is_some() {
        rounds.min(2)
    } else {
        rounds
    };
    let started = Instant::now();
    for number in 0..rounds {
        round(lab, number).with_context(|| format!("round {number}"))?;
        if (number + 1) % 100 == 0 {
            let each = started.elapsed().as_secs_f64() / (number + 1) as f64;
            let growth = slab::in_use()? - before;
            eprintln!(
                "    {} of {rounds} rounds, {each:.2} s each, slab use {growth:+} KiB",
                number + 1
            );
        }
    }
    let took = started.elapsed().as_secs_f64() / rounds as f64;
    let after = slab::settled()?;
    lab.note(format!(
        "slab use went from {before} to {after} KiB in {rounds} rounds of {took:.2} s"
    ));
    // What the checkers note of every object is in slabs too: where there is kmemleak, it is the better judge.
    if let Some(kmemleak) = kmemleak {
        return kmemleak.check(lab);
    }
    // In hundreds of rounds the caches fill, which is no leak: that has more objects in one cache, if not
    // with each round, then with every fourth.
    if let (Some(before), Some(after), LONG..) = (caches, Caches::now(), rounds) {
        let growth = after.growth(&before);
        let most = &growth[..growth.len().min(3)];
        lab.note(format!("the caches that grew most, by objects: {most:?}"));
        ensure!(
            most.iter().all(|&(objects, _)| objects < rounds as i64 / 4),
            "{rounds} rounds left objects: {most:?}"
        );
        return Ok(());
    }
    ensure!(
        after - before < MARGIN,
        "slab use went from {before} to {after} KiB in {rounds} rounds"
    );
    Ok(())
}

/// Make enough accesses for records, suppression and a report.
fn flood(device: &Device, seed: u64) -> Result<()> {
    let plan = Plan {
        seed,
        count: 200,
        threads: 2,
        ..Plan::default()
    };
    stream::run(device, &plan)?;
    Ok(())
}

/// Unplug a device.
fn unplug(bdf: Bdf) -> Result<()> {
    write(&sysfs::path(bdf).join("remove"), "1")?;
    ensure!(!sysfs::path(bdf).exists(), "{bdf} is still there");
    Ok(())
}

/// Unplug a device while another process uses it: it goes when that process is killed.
fn unplug_in_use(bdf: Bdf) -> Result<()> {
    let at = spot(&sysfs::config_map(bdf)?)?;
    let mut holder = Holder::start(bdf)?;
    thread::scope(|scope| -> Result<()> {
        let unplugging = scope.spawn(move || unplug(bdf));
        let used = (0..40).try_for_each(|_| holder.read(at));
        holder.kill()?;
        used?;
        unplugging.join().expect("unplugging does not panic")
    })
}

fn rounds(lab: &mut Lab, rounds: u64) -> Result<()> {
    // One is reset by its bus, the other by a function level reset.
    let devices = [lab.express()?, lab.nvme()?];
    let result = compare(lab, 3, rounds, |lab, number| {
        lab.block(number % 2 == 1, number % 3 == 1)?;
        for bdf in devices {
            for session in 0..SESSIONS {
                let device = Device::open(bdf)?;
                flood(&device, number + session)?;
                if session == 0 {
                    device.reset();
                    flood(&device, number)?;
                }
            }
            write(&sysfs::path(bdf).join("reset"), "1")?;
            write(&sysfs::path(bdf).join("driver/unbind"), &bdf.to_string())?;
            kernel::bind(bdf)?;
            match number % 2 {
                0 => unplug_in_use(bdf)?,
                _ => unplug(bdf)?,
            }
        }
        replug(lab)
    });
    // A round that fails may leave a device away.
    replug(lab)?;
    result
}

fn replug(lab: &Lab) -> Result<()> {
    write(Path::new("/sys/bus/pci/rescan"), "1")?;
    lab.bind()
}

fn load_and_unload(lab: &mut Lab, rounds: u64) -> Result<()> {
    let bdf = lab.express()?;
    compare(lab, 2, rounds, |lab, number| {
        lab.reload(&[])?;
        let device = Device::open(bdf)?;
        flood(&device, number)?;
        drop(device);
        let records = lab.take(bdf)?;
        ensure!(!records.is_empty(), "nothing is recorded");
        Ok(())
    })
}
