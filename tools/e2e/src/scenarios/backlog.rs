// SPDX-License-Identifier: GPL-2.0

//! How many places of audit's backlog a device takes at once.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{ensure, Result};
use vfio_client::stream::Op;
use vfio_client::sysfs;

use super::{spot, Scenario};
use crate::account::{Loss, Truth};
use crate::audit::wait_until;
use crate::budget::Written;
use crate::holder::{self, Holder};
use crate::lab::Lab;
use crate::record::{Kind, Record};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario::new(
    "backlog/places",
    "the bursts of a device, two holders that come last and a report are 62 records, and fit the \
     default backlog",
    places,
)];

/// Records of a device at once: two bursts, an op=open that each of them may owe, and a report.
const PLACES: usize = 2 * BURST + 2 + 12;
const BURST: usize = 24;

/// The records up to the end of the first report; nothing while that is not complete.
fn until_reported(records: &[Record]) -> Option<&[Record]> {
    let report = records
        .iter()
        .position(|record| matches!(record.kind, Kind::Suppressed { .. }))?;
    let Kind::Suppressed { ranges, .. } = records[report].kind else {
        return None;
    };
    records.get(..report + 1 + ranges as usize)
}

fn places(lab: &mut Lab) -> Result<()> {
    const SOCKET: &str = "/run/e2e-pass";

    let bdf = lab.express()?;
    let at = spot(&sysfs::config_map(bdf)?)?;
    let (program, socket) = (holder::program()?, Path::new(SOCKET));
    let mut truth = Truth::default();
    let mut first = Holder::start(bdf)?;
    let mut others = Vec::new();
    for _ in 0..2 {
        let mut other = Holder::receiver(&program, socket)?;
        first.pass(&mut other, socket)?;
        others.push(other);
    }
    lab.fill()?;
    let started = Instant::now();
    let mut access = |holder: &mut Holder, op, offset: usize| -> Result<()> {
        match op {
            Op::Read => holder.read(offset)?,
            Op::Write => holder.write(offset)?,
        }
        truth.add(op, true, offset..offset + 4);
        Ok(())
    };

    // One token is left for the access of another process, which takes two.
    for _ in 0..BURST - 2 {
        access(&mut first, Op::Read, at)?;
    }
    access(&mut others[0], Op::Read, at)?;
    for _ in 0..BURST - 1 {
        access(&mut first, Op::Write, at)?;
    }
    access(&mut others[1], Op::Write, at)?;
    // More ranges than a report has room for.
    for number in 0..20 {
        access(&mut first, Op::Read, at + 8 * number)?;
    }

    // A token a second flows into each bucket while accesses are made.
    let most = PLACES + 2 * started.elapsed().as_secs() as usize;
    let mut records = Vec::new();
    let reported = wait_until(Duration::from_secs(10), || {
        records = lab.records_of(bdf)?;
        Ok(until_reported(&records).is_some())
    })?;
    ensure!(reported, "no report among {records:#?}");
    let taken = until_reported(&records).unwrap_or_default().len();
    lab.note(format!(
        "{taken} records until the first report was written"
    ));
    ensure!(
        (PLACES..=most).contains(&taken),
        "{taken} records until the first report was written, where {PLACES} to {most} were expected"
    );
    let limit = lab.audit().status("backlog_limit")?;
    ensure!(limit == 64, "the backlog has {limit} places");
    let lost = lab.audit().status("lost")?;
    ensure!(lost == 0, "audit has lost {lost}");

    others.iter_mut().try_for_each(Holder::kill)?;
    first.kill()?;
    lab.settle_all(bdf, &truth, Loss::None)?;
    let opens = Written::count(&lab.records_of(bdf)?).opens;
    ensure!(opens == 3, "{opens} op=open of three processes");
    Ok(())
}
