// SPDX-License-Identifier: GPL-2.0

//! A variant driver that splits system calls before it calls vfio-pci-core (tools/modules/variant).

use anyhow::{ensure, Context, Result};
use vfio_client::stream::{self, Op, Plan};
use vfio_client::{sysfs, Device};

use super::{access_text, expect_accesses, expect_verdict, spans, spot, Scenario, BLOCKED, PASSED};
use crate::account::{Loss, Truth};
use crate::kernel;
use crate::lab::Lab;
use crate::modules::VARIANT;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "variant/policy",
        "toggles and list hold for a driver that cuts system calls up",
        |lab| with_variant(lab, policy),
    ),
    Scenario::new(
        "variant/whole-run",
        "an access of a whole run is one record, and if blocked zeros or nothing",
        |lab| with_variant(lab, whole_run),
    ),
    Scenario::new(
        "variant/one-record-a-run",
        "a read of everything makes one record for each run",
        |lab| with_variant(lab, spans::one_record_a_run),
    ),
    Scenario::new(
        "variant/reads",
        "reads that span assigned and unassigned bytes, byte for byte and record for record",
        |lab| with_variant(lab, spans::reads),
    ),
    Scenario::new("variant/writes", "writes that span both", |lab| {
        with_variant(lab, spans::writes)
    }),
    Scenario::new(
        "variant/past-the-end",
        "what reaches past the end fails and is not recorded",
        |lab| with_variant(lab, spans::past_the_end),
    ),
    Scenario::new(
        "variant/account",
        "20,000 accesses from four threads, half of them blocked: the account is exact",
        |lab| with_variant(lab, account),
    ),
];

/// Runs `work` while every device is bound to the variant driver.
pub(super) fn with_variant(lab: &mut Lab, work: fn(&mut Lab) -> Result<()>) -> Result<()> {
    lab.modules.load_variant()?;
    let result = lab
        .kinds()?
        .into_iter()
        .try_for_each(|bdf| kernel::bind_to(bdf, VARIANT))
        .and_then(|()| work(lab));
    let back = lab.bind();
    result?;
    back
}

fn policy(lab: &mut Lab) -> Result<()> {
    let device = Device::open(lab.express()?)?;
    for (blocked, list, verdict) in [
        (false, "", PASSED),
        (true, "", BLOCKED),
        (true, "8086:10d3", PASSED),
        (true, "1b36:0010", BLOCKED),
    ] {
        lab.block(blocked, blocked)?;
        lab.allow(list)?;
        expect_verdict(lab, &device, verdict)
            .with_context(|| format!("blocked: {blocked}, listed: {list:?}"))?;
    }
    Ok(())
}

fn whole_run(lab: &mut Lab) -> Result<()> {
    let bdf = lab.express()?;
    let device = Device::open(bdf)?;
    let at = spot(device.map())?;
    let run = device
        .map()
        .all_runs()
        .into_iter()
        .find(|run| run.contains(&at))
        .context("no run")?;
    let (start, size) = (run.start as u64, run.len());
    sysfs::write_config_at(bdf, at as u64, &[0xa5; 16])?;
    let before = sysfs::config_at(bdf, start, size)?;
    let other: Vec<u8> = before.iter().map(|byte| byte ^ 0xff).collect();

    for allowed in [false, true] {
        lab.block(!allowed, !allowed)?;
        let seen = device.read_vec(start, size)?;
        match allowed {
            true => ensure!(seen == before, "an allowed read gave something else"),
            false => ensure!(seen == vec![0; size], "a blocked read gave something"),
        }
        device.write(start, &other)?;
        // VFIO may emulate some of the bytes, but not these.
        let now = sysfs::config_at(bdf, start, size)?;
        match allowed {
            true => ensure!(
                now[at - run.start..][..16] == [0x5a; 16],
                "an allowed write did not arrive"
            ),
            false => ensure!(now == before, "a blocked write arrived"),
        }
        let expected =
            [Op::Read, Op::Write].map(|op| access_text(bdf, op, run.start, size, allowed));
        expect_accesses(lab, bdf, &expected)?;
    }
    lab.note(format!("one record for {size} bytes"));
    Ok(())
}

fn account(lab: &mut Lab) -> Result<()> {
    let device = Device::open(lab.express()?)?;
    let mut truth = Truth::default();
    for (seed, allowed) in [(31, true), (32, false)] {
        lab.block(!allowed, !allowed)?;
        let plan = Plan {
            seed,
            count: 10_000,
            threads: 4,
            ..Plan::default()
        };
        let done = stream::sum(&stream::run(&device, &plan)?);
        truth.add_stream(&done, allowed, allowed);
    }
    let totals = lab.settle(device, &truth, Loss::None)?;
    lab.note(format!("{totals:?}"));
    Ok(())
}
