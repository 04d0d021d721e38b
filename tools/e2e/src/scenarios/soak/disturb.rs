// SPDX-License-Identifier: GPL-2.0

//! What disturbs the clients.

use std::thread;
use std::time::Duration;

use ::lab::guest::{Backend, Guest, Stuck};
use ::lab::paths::Paths;
use anyhow::{ensure, Result};
use rustix::process::Signal;
use vfio_client::{Bdf, Rng};

use super::super::{spot, NEW};
use super::clients::{Devices, Shared, ALWAYS};
use super::plan::{Cycle, Main, Step};
use crate::audit::wait_until;
use crate::kernel;
use crate::lab::Lab;
use crate::rules::{GUIDE, WATCH};
use crate::trace::Trace;
use vfio_client::sysfs;

/// Room for the records of all devices.
pub(super) const BACKLOG: &str = "8192";

/// How long a guest may take, beside clients of other devices and on a busy machine.
const PATIENCE: Duration = Duration::from_secs(1200);

/// What stays as it is from one cycle to the next.
#[derive(Default)]
pub(super) struct Standing {
    rules: bool,
    trace: Option<(Trace, bool)>,
    /// Guests that had to be given up, because their QEMU was stuck.
    pub(super) stuck: u64,
}

/// Disturbs the clients of one cycle. Afterwards the daemon runs and auditing is on.
pub(super) fn disturb(
    lab: &mut Lab,
    standing: &mut Standing,
    shared: &Shared,
    cycle: &Cycle,
    devices: &Devices,
) -> Result<()> {
    let mut rng = Rng::new(cycle.seed, 100);
    let places = devices.places()?;
    let paths = lab.paths.clone();
    let seed = rng.next();
    thread::scope(|scope| {
        let flips = (cycle.main != Main::Flood)
            .then(|| scope.spawn(move || flip(shared, &places, Rng::new(seed, 0))));
        let guest =
            (cycle.main == Main::Guest).then(|| scope.spawn(|| visit(&paths, devices.reset)));
        let done = cycle
            .steps
            .iter()
            .try_for_each(|(step, pause)| -> Result<()> {
                match step {
                    Step::Main => main(lab, shared, cycle.main, &mut rng, *pause)?,
                    Step::Rules => rules(lab, standing, &mut rng)?,
                    Step::AuditOff => audit_off(lab, shared, *pause)?,
                    Step::Trace => trace(standing)?,
                }
                thread::sleep(*pause);
                Ok(())
            });
        let visited = guest.map(|guest| guest.join().expect("the guest's thread does not panic"));
        shared.stop();
        let flipped = flips.map(|flips| flips.join().expect("the flipper does not panic"));
        done?;
        flipped.transpose()?;
        match visited {
            Some(Err(error)) if error.root_cause().is::<Stuck>() => standing.stuck += 1,
            Some(visited) => visited?,
            None => {}
        }
        Ok(())
    })
}

fn main(lab: &mut Lab, shared: &Shared, main: Main, rng: &mut Rng, pause: Duration) -> Result<()> {
    match main {
        Main::Flood => thread::sleep(Duration::from_secs(60)),
        Main::Limits => {
            for _ in 0..4 {
                let rate = [1, 2, 10, 50][rng.below(4)];
                let burst = [1, 5, 24, 100][rng.below(4)];
                kernel::set_parameter(kernel::RATE, &rate.to_string())?;
                kernel::set_parameter(kernel::BURST, &burst.to_string())?;
                thread::sleep(pause);
            }
        }
        Main::Queue => lab.audit().ctl(&["-b", "1"]).map(drop)?,
        Main::Frozen => {
            // No command may query audit until the daemon reads again: auditctl would wait for it.
            lab.audit().signal(Signal::STOP)?;
            thread::sleep(pause);
            lab.audit().signal(Signal::CONT)?;
        }
        Main::Restarted => restart(lab, shared, Signal::TERM, pause)?,
        Main::Killed => restart(lab, shared, Signal::KILL, pause)?,
        Main::Guest => {}
    }
    Ok(())
}

/// Ends the daemon, and starts it again after a while.
///
/// It may have received records that it has not written. None of these may be an op=close, by which
/// the accesses are counted: while it ends, no session does.
fn restart(lab: &mut Lab, shared: &Shared, signal: Signal, pause: Duration) -> Result<()> {
    {
        let _held = shared.hold_all();
        lab.fill()?;
        let closed = wait_until(Duration::from_secs(60), || {
            Ok(kernel::sessions()?.iter().all(|shown| shown.open))
        })?;
        ensure!(closed, "sessions do not end: {:?}", kernel::sessions()?);
        // The last one may be on its way to audit.
        thread::sleep(Duration::from_millis(200));
        lab.audit().drain()?;
        lab.audit().stop(signal)?;
        // The next daemon discards the first message, because it takes it for the reply to its
        // registration (audit_set_pid() in libaudit).
        lab.audit().ctl(&["-m", "e2e-first-of-those-held"])?;
    }
    thread::sleep(pause);
    lab.audit().start()
}

fn rules(lab: &mut Lab, standing: &mut Standing, rng: &mut Rng) -> Result<()> {
    if std::mem::take(&mut standing.rules) {
        return lab.audit().ctl(&["-D"]).map(drop);
    }
    standing.rules = true;
    lab.audit().load_rules([GUIDE, WATCH][rng.below(2)])
}

/// Switches auditing off for a while. Accesses are either made before or after the switch.
fn audit_off(lab: &mut Lab, shared: &Shared, pause: Duration) -> Result<()> {
    for on in [false, true] {
        let mut auditing = shared.hold_all();
        lab.audit().ctl(&["-e", if on { "1" } else { "0" }])?;
        *auditing = on;
        drop(auditing);
        if !on {
            thread::sleep(pause);
        }
    }
    Ok(())
}

fn trace(standing: &mut Standing) -> Result<()> {
    match &mut standing.trace {
        Some((trace, on)) => {
            *on = !*on;
            trace.enable(*on)
        }
        none => {
            *none = Some((Trace::accesses()?, true));
            Ok(())
        }
    }
}

/// Flips toggles and replaces the list of exceptions until the clients stop.
fn flip(shared: &Shared, places: &[usize], mut rng: Rng) -> Result<()> {
    while shared.goes_on() {
        match rng.below(6) {
            choice @ 0..4 => {
                let name = [kernel::BLOCK_READ, kernel::BLOCK_WRITE][choice % 2];
                kernel::set_parameter(name, ["N", "Y"][rng.below(2)])?;
            }
            4 if rng.below(200) == 0 => {
                kernel::expect_refusal(kernel::ALLOW_IDS, "8086:10d3,8086")?;
            }
            _ => kernel::set_parameter(kernel::ALLOW_IDS, &list(places, &mut rng))?,
        }
        thread::sleep(Duration::from_millis(rng.below(50) as u64));
    }
    Ok(())
}

/// A list with nothing more, or with whole devices, ranges of them, or many other devices.
fn list(places: &[usize], rng: &mut Rng) -> String {
    let mut entries = vec![ALWAYS.to_owned()];
    match rng.below(4) {
        0 => {}
        1 => entries.push(["8086:10d3", "8086:*", "8086:100e"][rng.below(3)].to_owned()),
        2 => entries.extend((0..120).map(|device| format!("ffff:{device:x}"))),
        _ => {
            for _ in 0..1 + rng.below(6) {
                let device = ["10d3", "100e", "*"][rng.below(3)];
                let start = places[rng.below(places.len())] + rng.below(48);
                let end = start + rng.below(12);
                entries.push(format!("8086:{device}@{start:x}-{end:x}"));
            }
        }
    }
    entries.join(",")
}

/// A guest gets the device, accesses it, and ends.
fn visit(paths: &Paths, bdf: Bdf) -> Result<()> {
    let at = spot(&sysfs::config_map(bdf)?)?;
    let mut guest = Guest::resume(paths, PATIENCE)?;
    guest.plug(bdf, Backend::Container)?;
    guest.ask(&format!("poke={at:#x}:{:#x}:4", u32::from_le_bytes(NEW)))?;
    guest.ask(&format!("peek={at:#x}:4"))?;
    guest.end()
}
