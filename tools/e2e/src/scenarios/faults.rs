// SPDX-License-Identifier: GPL-2.0

//! Memory allocation failures, injected at each allocation in turn.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{bail, ensure, Context, Result};
use vfio_client::stream::Op;
use vfio_client::Device;

use super::{spot, Scenario, NEW};
use crate::account::{Loss, Truth};
use crate::kernel;
use crate::lab::{Lab, Skip};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "faults/open",
        "a device whose opening wants memory is refused, or opened with its session",
        open,
    )
    .long(),
    Scenario::new(
        "faults/access",
        "no access is refused or miscounted for want of memory",
        access,
    )
    .long(),
    Scenario::new(
        "faults/parameters",
        "a parameter that cannot be set for want of memory stays as it is",
        parameters,
    )
    .long(),
];

/// An upper bound for the number of allocations in any of these system calls.
const MOST: u32 = 2000;

/// Makes the nth allocation of this thread's system calls fail.
struct Faults(File);

impl Faults {
    fn new() -> Result<Self> {
        let slab = Path::new("/sys/kernel/debug/failslab");
        let nth = Path::new("/proc/thread-self/fail-nth");
        if !slab.exists() || !nth.exists() {
            bail!(Skip(
                "this kernel has no fault injection (make e2e DEBUG=1)".to_owned()
            ));
        }
        fs::write(slab.join("ignore-gfp-wait"), "N")?;
        fs::write(slab.join("verbose"), "0")?;
        // By default, only page allocations of order 1 and above that cannot wait fail.
        let page = Path::new("/sys/kernel/debug/fail_page_alloc");
        fs::write(page.join("ignore-gfp-wait"), "N")?;
        fs::write(page.join("min-order"), "0")?;
        fs::write(page.join("verbose"), "0")?;
        let file = OpenOptions::new().read(true).write(true).open(nth)?;
        Ok(Self(file))
    }

    /// Runs `act` with the `nth` allocation failing. Also returns whether it made that many
    /// allocations.
    fn without<T>(&self, nth: u32, act: impl FnOnce() -> T) -> Result<(T, bool)> {
        self.0.write_all_at(nth.to_string().as_bytes(), 0)?;
        let result = act();
        let mut left = [0; 16];
        let len = self.0.read_at(&mut left, 0)?;
        self.0.write_all_at(b"0", 0)?;
        let left = String::from_utf8_lossy(&left[..len]);
        Ok((result, left.trim_end() == "0"))
    }

    /// Runs `act` once for each allocation that can fail, and has `judge` check each result.
    /// Returns the number of allocations.
    fn each<T>(
        &self,
        mut act: impl FnMut() -> T,
        mut judge: impl FnMut(T) -> Result<()>,
    ) -> Result<u32> {
        for nth in 1..MOST {
            let (result, fired) = self.without(nth, &mut act)?;
            judge(result).with_context(|| format!("without piece {nth}"))?;
            if !fired {
                return Ok(nth - 1);
            }
        }
        bail!("it asks for memory {MOST} times and more");
    }
}

fn open(lab: &mut Lab) -> Result<()> {
    let bdf = lab.express()?;
    let faults = Faults::new()?;
    // More devices are opened than the limits allow op=open records for.
    lab.unlimited()?;
    lab.block(true, true)?;
    let (mut truth, mut opened, mut refused) = (Truth::default(), 0, 0);
    let pieces = faults.each(
        || Device::open(bdf),
        |result| {
            let Ok(device) = result else {
                refused += 1;
                return Ok(());
            };
            let at = spot(device.map())?;
            device.write(at as u64, &NEW)?;
            truth.add(Op::Write, false, at..at + NEW.len());
            opened += 1;
            Ok(())
        },
    )?;
    lab.note(format!(
        "without one of {pieces} pieces of memory: {opened} times open, {refused} times refused"
    ));
    ensure!(refused > 0, "no fault refused anything");

    lab.settle_all(bdf, &truth, Loss::None).map(drop)
}

fn access(lab: &mut Lab) -> Result<()> {
    let bdf = lab.express()?;
    let faults = Faults::new()?;
    lab.unlimited()?;
    lab.block(true, false)?;
    let device = Device::open(bdf)?;
    let at = spot(device.map())?;
    let mut truth = Truth::default();

    let reads = faults.each(
        || device.read_vec(at as u64, 4),
        |result| {
            let seen = result?;
            ensure!(seen == [0; 4], "a blocked read gave {seen:x?}");
            truth.add(Op::Read, false, at..at + 4);
            Ok(())
        },
    )?;
    let writes = faults.each(
        || device.write(at as u64, &NEW),
        |result| {
            result?;
            truth.add(Op::Write, true, at..at + NEW.len());
            Ok(())
        },
    )?;
    let totals = lab.settle(device, &truth, Loss::Refused)?;
    lab.note(format!(
        "{reads} pieces of memory for a read, {writes} for a write: {totals:?}"
    ));
    // A record allocates memory. If no record was missing, this would show nothing.
    ensure!(totals.lost > 0, "audit was never short of memory");
    Ok(())
}

fn parameters(lab: &mut Lab) -> Result<()> {
    let faults = Faults::new()?;
    for (name, old, new) in [
        (kernel::ALLOW_IDS, "8086:10d3", "1234:11e8,1b36:0010"),
        (kernel::BLOCK_WRITE, "N", "Y"),
        (kernel::RATE, "24", "7"),
    ] {
        kernel::set_parameter(name, old)?;
        let mut refused = 0;
        let pieces = faults.each(
            || kernel::write_parameter(name, new.as_bytes()),
            |result| {
                let expected = match result {
                    Ok(()) => new,
                    Err(error) if error.kind() == io::ErrorKind::OutOfMemory => {
                        refused += 1;
                        old
                    }
                    Err(error) => bail!("{name} was refused with {error}"),
                };
                let now = kernel::parameter(name)?;
                ensure!(now == expected, "{name} is {now:?}, not {expected:?}");
                kernel::set_parameter(name, old)
            },
        )?;
        lab.note(format!("{name}: refused {refused} times of {pieces}"));
        ensure!(refused > 0, "no fault refused anything");
    }
    lab.default_policy()
}
