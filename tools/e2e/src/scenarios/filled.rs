// SPDX-License-Identifier: GPL-2.0

//! Writing a limit gives a device all of its tokens.

use anyhow::{ensure, Result};
use vfio_client::stream::Op;
use vfio_client::Device;

use super::{spot, Scenario};
use crate::account::{self, Loss, Truth};
use crate::kernel;
use crate::lab::Lab;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario::new(
    "limits/filled",
    "writing audit_rate, or audit_burst, as it is fills the buckets of a device that is open",
    filled,
)];

fn filled(lab: &mut Lab) -> Result<()> {
    const EACH: usize = 40;
    const BURST: u64 = 24;

    let bdf = lab.express()?;
    let device = Device::open(bdf)?;
    let at = spot(device.map())?;
    let mut truth = Truth::default();
    let mut accesses = |lab: &mut Lab| -> Result<u64> {
        for _ in 0..EACH {
            device.read_vec(at as u64, 4)?;
            truth.add(Op::Read, true, at..at + 4);
            device.write(at as u64, &[0])?;
            truth.add(Op::Write, true, at..at + 1);
        }
        Ok(account::accesses(&lab.take(bdf)?))
    };

    // The first of them includes op=open, which takes a token.
    let first = accesses(lab)?;
    let spent = accesses(lab)?;
    ensure!(
        (2 * BURST - 1..2 * BURST + 10).contains(&first) && spent < 10,
        "with full buckets {first} accesses are recorded, with empty ones {spent}"
    );
    for name in [kernel::RATE, kernel::BURST] {
        kernel::set_parameter(name, &kernel::parameter(name)?)?;
        let recorded = accesses(lab)?;
        lab.note(format!("after writing {name}: {recorded}"));
        ensure!(
            (2 * BURST..2 * BURST + 10).contains(&recorded),
            "after {name} was written {recorded} accesses are recorded"
        );
    }
    lab.settle(device, &truth, Loss::None).map(drop)
}
