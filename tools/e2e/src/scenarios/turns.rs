// SPDX-License-Identifier: GPL-2.0

//! Several tenants that use a device one after the other.

use std::collections::BTreeMap;

use anyhow::{ensure, Context, Result};
use vfio_client::stream::Op;
use vfio_client::{sysfs, Bdf, Device};

use super::{spot, Scenario};
use crate::account::{self, Loss, Truth};
use crate::holder::Holder;
use crate::kernel;
use crate::lab::Lab;
use crate::record::Totals;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario::new(
    "turns/two-tenants",
    "of two tenants in turn each has its own totals by number, in whatever order the records come",
    two_tenants,
)
.rules(true)];

/// The number of the open session.
fn number(bdf: Bdf) -> Result<u64> {
    let device = bdf.to_string();
    let shown = kernel::sessions()?;
    let open = shown.iter().find(|s| s.open && s.device == device);
    open.and_then(|shown| shown.session)
        .with_context(|| format!("{bdf} has no open session with a number: {shown:?}"))
}

fn two_tenants(lab: &mut Lab) -> Result<()> {
    const READS: u64 = 60;
    const OTHERS: u64 = 5;

    let bdf = lab.express()?;
    let at = spot(&sysfs::config_map(bdf)?)?;
    let mut truth = Truth::default();
    let mut made: BTreeMap<u64, u64> = BTreeMap::new();
    for _ in 0..8 {
        let first = Device::open(bdf)?;
        (0..READS).try_for_each(|_| first.read_vec(at as u64, 4).map(drop))?;
        made.insert(number(bdf)?, READS);
        drop(first);
        // Immediately: the op=close of the first session is still pending.
        let mut second = Holder::start(bdf)?;
        (0..OTHERS).try_for_each(|_| second.read(at))?;
        made.insert(number(bdf)?, OTHERS);
        second.kill()?;
        (0..READS + OTHERS).for_each(|_| truth.add(Op::Read, true, at..at + 4));
    }
    ensure!(made.len() == 16, "numbers were used twice: {made:?}");
    lab.settle_all(bdf, &truth, Loss::None)?;

    let records = lab.records_of(bdf)?;
    let mut together = Totals::default();
    let mut alone = 0;
    for (record, totals) in account::closes(&records) {
        let Some(number) = record.session else {
            together.reads += totals.reads;
            continue;
        };
        let reads = made.remove(&number);
        ensure!(
            reads == Some(totals.reads),
            "the session made {reads:?} reads: {}",
            record.text
        );
        alone += 1;
    }
    // The remaining sessions share an op=close record.
    let left: u64 = made.values().sum();
    ensure!(
        together.reads == left,
        "sessions {made:?} have no end of their own, and the ends that were told together say \
         {together:?}"
    );
    lab.note(format!(
        "{alone} ends were told one by one, {} together",
        made.len()
    ));
    ensure!(alone >= 8, "most ends were told together");
    Ok(())
}
