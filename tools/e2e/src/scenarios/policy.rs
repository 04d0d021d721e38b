// SPDX-License-Identifier: GPL-2.0

//! The parameters that block.

use std::os::unix::fs::PermissionsExt;

use anyhow::{ensure, Context, Result};
use vfio_client::{sysfs, Device};

use super::{expect_verdict, spot, Scenario, Verdict, BLOCKED, NEW, OLD, PASSED};
use crate::kernel;
use crate::lab::Lab;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "policy/parameters",
        "five parameters, mode 0644, with their defaults",
        parameters,
    ),
    Scenario::new(
        "policy/toggles",
        "each toggle blocks what it names, alone and with the other, on every kind of device",
        toggles,
    ),
    Scenario::new(
        "policy/toggle-values",
        "toggles take what a kernel's bool takes, and refuse the rest",
        toggle_values,
    ),
    Scenario::new(
        "policy/toggles-at-load",
        "toggles given when the module is loaded hold from the first access on",
        toggles_at_load,
    ),
    Scenario::new(
        "policy/toggles-live",
        "a toggle applies to the next system call on a device that is open",
        toggles_live,
    ),
    Scenario::new(
        "policy/two-devices",
        "two devices have different verdicts at the same time",
        two_devices,
    ),
];

fn parameters(_: &mut Lab) -> Result<()> {
    for (name, default) in kernel::DEFAULTS {
        let mode = std::fs::metadata(kernel::parameter_file(name))
            .with_context(|| name.to_owned())?
            .permissions()
            .mode();
        ensure!(mode & 0o7777 == 0o644, "{name} has mode {mode:o}");
        let value = kernel::parameter(name)?;
        ensure!(
            value == default,
            "{name} is {value:?}, not {default:?} as it was set"
        );
    }
    Ok(())
}

fn toggles(lab: &mut Lab) -> Result<()> {
    for bdf in lab.kinds()? {
        let device = Device::open(bdf)?;
        for (read, write) in [(false, false), (true, false), (false, true), (true, true)] {
            lab.block(read, write)?;
            let expected = Verdict {
                read: !read,
                write: !write,
            };
            expect_verdict(lab, &device, expected)
                .with_context(|| format!("blocking reads: {read}, writes: {write}"))?;
        }
    }
    Ok(())
}

fn toggle_values(_: &mut Lab) -> Result<()> {
    for name in [kernel::BLOCK_READ, kernel::BLOCK_WRITE] {
        for (value, shown) in [
            ("1", "Y"),
            ("0", "N"),
            ("y", "Y"),
            ("n", "N"),
            ("Y", "Y"),
            ("N", "N"),
            ("on", "Y"),
            ("off", "N"),
        ] {
            kernel::set_parameter(name, value)?;
            let now = kernel::parameter(name)?;
            ensure!(now == shown, "{name} was set to {value}, and is {now}");
        }
        for value in ["2", "x", "-", "maybe"] {
            kernel::expect_refusal(name, value)?;
        }
    }
    Ok(())
}

fn toggles_at_load(lab: &mut Lab) -> Result<()> {
    lab.reload(&[
        format!("vfio_pci_audit.{}=Y", kernel::BLOCK_READ),
        format!("vfio_pci_audit.{}=1", kernel::BLOCK_WRITE),
    ])?;
    let device = Device::open(lab.express()?)?;
    expect_verdict(lab, &device, BLOCKED)?;
    drop(device);
    lab.reload(&[])?;
    for (name, default) in kernel::DEFAULTS {
        let value = kernel::parameter(name)?;
        ensure!(
            value == default,
            "{name} is {value:?} after loading, not {default:?}"
        );
    }
    Ok(())
}

fn toggles_live(lab: &mut Lab) -> Result<()> {
    let device = Device::open(lab.express()?)?;
    let at = spot(device.map())? as u64;
    // Often enough to detect a decision that is cached anywhere.
    for round in 0..3 {
        for verdict in [PASSED, BLOCKED] {
            lab.block(!verdict.read, !verdict.write)?;
            expect_verdict(lab, &device, verdict).with_context(|| format!("round {round}"))?;
        }
    }
    // A blocked write does not change the kernel's copy of the register.
    sysfs::write_config_at(device.bdf(), at, &OLD)?;
    lab.block(false, true)?;
    device.write(at, &NEW)?;
    lab.block(false, false)?;
    let seen = device.read_vec(at, 4)?;
    ensure!(seen == OLD, "a write that was blocked is read back later");
    Ok(())
}

fn two_devices(lab: &mut Lab) -> Result<()> {
    const ROUNDS: usize = 200;

    lab.unlimited()?;
    lab.block(true, true)?;
    lab.allow("1b36:0010")?;
    let (blocked, exempt) = (Device::open(lab.express()?)?, Device::open(lab.nvme()?)?);
    std::thread::scope(|scope| {
        let both = [(&blocked, BLOCKED), (&exempt, PASSED)].map(|(device, expected)| {
            scope.spawn(move || -> Result<()> {
                for round in 0..ROUNDS {
                    let found = super::try_both(device)?;
                    ensure!(
                        found == expected,
                        "{} in round {round}: {found:?}",
                        device.bdf()
                    );
                }
                Ok(())
            })
        });
        both.into_iter()
            .try_for_each(|thread| thread.join().expect("the thread does not panic"))
    })?;
    for (device, allowed) in [(&blocked, false), (&exempt, true)] {
        let records = lab.take(device.bdf())?;
        let texts = super::access_texts(&records);
        ensure!(
            texts.len() == 2 * ROUNDS,
            "{} accesses of {} are recorded, not {}",
            texts.len(),
            device.bdf(),
            2 * ROUNDS
        );
        let wrong = records
            .iter()
            .find(|record| record.text.contains("offset=") && record.res != Some(allowed));
        ensure!(wrong.is_none(), "the wrong verdict: {wrong:?}");
    }
    Ok(())
}
