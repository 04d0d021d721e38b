// SPDX-License-Identifier: GPL-2.0

//! The livepatch while kprobes are disarmed: ends of sessions are missed.

use std::fs;
use std::sync::Barrier;
use std::thread;

use anyhow::{bail, ensure, Context, Result};
use vfio_client::{sysfs, Bdf, Device};

use super::{spot, Scenario};
use crate::kernel;
use crate::lab::{Lab, Skip};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario::new(
    "livepatch/disarmed",
    "a device at the address of one whose end was missed has a session of its own, and the \
     other's ends",
    disarmed,
)];

const ENABLED: &str = "/sys/kernel/debug/kprobes/enabled";

/// Threads that access the second device first.
const READERS: usize = 4;

/// All kprobes are disarmed for as long as this lives.
struct Disarmed;

impl Disarmed {
    fn new() -> Result<Self> {
        fs::write(ENABLED, "0").context(ENABLED)?;
        Ok(Self)
    }
}

impl Drop for Disarmed {
    fn drop(&mut self) {
        // A kernel that does not arm them again fails the next round.
        let _ = fs::write(ENABLED, "1");
    }
}

/// The number of the session that the kernel shows as open on a device.
fn open_session(bdf: Bdf) -> Result<Option<u64>> {
    let device = bdf.to_string();
    let shown = kernel::sessions()?.into_iter();
    Ok(shown
        .filter(|shown| shown.device == device && shown.open)
        .find_map(|shown| shown.session))
}

fn disarmed(lab: &mut Lab) -> Result<()> {
    if !lab.modules.stock() {
        bail!(Skip(
            "this kernel calls vfio_pci_audit by itself; make e2e FRONT=stock runs this".into()
        ));
    }
    if fs::read_to_string("/proc/kallsyms")?.contains(" kasan_quarantine_put\n") {
        bail!(Skip(
            "KASAN keeps what is freed for long: no address is used again".into()
        ));
    }
    let result = rounds(lab);
    // Sessions whose end was missed end with the modules.
    lab.reload(&[])?;
    result
}

fn rounds(lab: &mut Lab) -> Result<()> {
    const ROUNDS: usize = 40;
    const ENOUGH: usize = 3;

    let (first, second) = (lab.express()?, lab.second_express()?);
    let at = spot(&sysfs::config_map(first)?)?;
    let mut taken = 0;
    for round in 0..ROUNDS {
        taken +=
            usize::from(one(lab, first, second, at).with_context(|| format!("round {round}"))?);
        if taken == ENOUGH {
            lab.note(format!(
                "the address was used again in {taken} of {} rounds",
                round + 1
            ));
            return Ok(());
        }
    }
    bail!("the address was used again in {taken} of {ROUNDS} rounds only")
}

/// Whether the second device came to the address of the first, whose end was missed.
fn one(lab: &mut Lab, first: Bdf, second: Bdf, at: usize) -> Result<bool> {
    lab.bind()?;
    lab.fill()?;
    kernel::unbind(second)?;
    let device = Device::open(first)?;
    device.read_vec(at as u64, 4)?;
    let missed = open_session(first)?.context("the first device has no session")?;
    let disarmed = Disarmed::new()?;
    drop(device);
    ensure!(
        open_session(first)? == Some(missed),
        "the end of the session was not missed, so that this shows nothing"
    );
    kernel::unbind(first)?;
    kernel::bind(second)?;
    let device = Device::open(second)?;
    lab.take(second)?;
    // At the same time: each of them may find what was missed.
    let together = Barrier::new(READERS);
    thread::scope(|scope| {
        let read = || {
            together.wait();
            device.read_vec(at as u64, 4)
        };
        let reading = [(); READERS].map(|()| scope.spawn(read));
        reading
            .into_iter()
            .try_for_each(|reader| reader.join().expect("a reader does not panic").map(drop))
    })?;
    let own = open_session(second)?.context("the second device has no session of its own")?;
    ensure!(own != missed, "both devices have session {own}");
    let ended = open_session(first)?.is_none();
    drop(disarmed);

    let records = lab.take(second)?;
    ensure!(
        records.len() == 1 + READERS && records.iter().all(|record| record.session == Some(own)),
        "recorded were {records:#?}, of session {own}"
    );
    drop(device);
    lab.take_session(second)?;
    Ok(ended)
}
