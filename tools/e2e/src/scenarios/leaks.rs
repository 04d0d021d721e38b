// SPDX-License-Identifier: GPL-2.0

//! Resource leaks when sessions, devices and modules come and go.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use vfio_client::stream::{self, Plan};
use vfio_client::{sysfs, Bdf, Device};

use super::{spot, Scenario};
use crate::audit::wait_until;
use crate::holder::Holder;
use crate::kernel;
use crate::lab::Lab;
use crate::slab::{self, Caches};
use crate::trace::Calls;

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
        "leaks/without-records",
        "a device whose session had nothing to record is freed when it is unplugged",
        without_records,
    ),
    Scenario::new(
        "leaks/load-and-unload",
        "5 times load, a session, unload",
        |lab| load_and_unload(lab, 5),
    ),
];

/// Sessions on each device in a round.
const SESSIONS: u64 = 3;

/// Tolerated increase of slab memory, in KiB.
const MARGIN: i64 = 256;

/// From this number of rounds on, count objects instead.
const LONG: u64 = 100;

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("{text:?} to {}", file.display()))
}

/// kmemleak, on kernels that have it.
struct Kmemleak(PathBuf);

impl Kmemleak {
    /// Discards earlier findings.
    fn start() -> Result<Option<Self>> {
        let file = Path::new("/sys/kernel/debug/kmemleak");
        if !file.exists() {
            return Ok(None);
        }
        write(file, "scan")?;
        write(file, "clear")?;
        Ok(Some(Self(file.to_owned())))
    }

    /// Checks that there are no new findings.
    fn check(&self, lab: &mut Lab) -> Result<()> {
        // kmemleak ignores objects that are younger than five seconds, and reports an object in the
        // second scan.
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

/// Runs `warm_up` rounds to fill caches, then `rounds` more. Fails if these leak memory.
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
    // kmemleak finds a single leak, and kernels with it are slow: few rounds suffice.
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
    // Debugging tools allocate metadata for every object. With kmemleak, slab memory says little.
    if let Some(kmemleak) = kmemleak {
        return kmemleak.check(lab);
    }
    // Caches fill during hundreds of rounds, which is no leak. A leak adds objects to one cache in
    // every round, or at least in every fourth.
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

/// Makes enough accesses for records, suppression and a report.
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

/// Hot-unplugs a device.
fn unplug(bdf: Bdf) -> Result<()> {
    write(&sysfs::path(bdf).join("remove"), "1")?;
    ensure!(!sysfs::path(bdf).exists(), "{bdf} is still there");
    Ok(())
}

/// Unplugs a device while another process uses it. The removal completes when that process is
/// killed.
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
    // One is reset by a bus reset, the other by a function level reset.
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
    // A round that failed may have left a device removed.
    replug(lab)?;
    result
}

fn without_records(lab: &mut Lab) -> Result<()> {
    let bdf = lab.express()?;
    let calls = Calls::new(&[("released", "pci_release_dev")])?;
    let trace = calls.trace(None)?;
    // One without accesses, and one whose accesses are not recorded, while auditing is off.
    for audit in ["1", "0"] {
        lab.audit().ctl(&["-e", audit])?;
        let device = Device::open(bdf)?;
        if audit == "0" {
            flood(&device, 0)?;
        }
        drop(device);
        let result = unplug(bdf);
        // The last reference may be another CPU's, for a moment.
        let released = wait_until(Duration::from_secs(5), || Ok(!trace.events()?.is_empty()));
        replug(lab)?;
        result?;
        ensure!(
            released?,
            "with audit_enabled={audit} the device is still held"
        );
        trace.forget()?;
    }
    lab.audit().ctl(&["-e", "1"]).map(drop)
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
