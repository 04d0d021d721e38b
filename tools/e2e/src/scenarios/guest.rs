// SPDX-License-Identifier: GPL-2.0

//! A real guest in a real QEMU that was given the device.

use std::process::Command;

use anyhow::{ensure, Context, Result};
use vfio_client::stream::Op;
use vfio_client::{hex, sysfs};

use super::{access_text, access_texts, spot, Scenario, NEW, OLD};
use crate::command;
use crate::lab::Lab;
use crate::record::Kind;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario::new(
    "guest/blocked-and-recorded",
    "root in a guest writes an unassigned byte: blocked and recorded; it reads it: allowed and \
     recorded",
    blocked_and_recorded,
)];

fn blocked_and_recorded(lab: &mut Lab) -> Result<()> {
    let bdf = lab.express()?;
    let at = spot(&sysfs::config_map(bdf)?)?;
    sysfs::write_config_at(bdf, at as u64, &OLD)?;
    lab.block(false, true)?;

    let mut guest = Command::new(lab.top.join("scripts/vm-guest.sh"));
    guest.arg(bdf.to_string()).args([
        format!("poke={at:#x}:{:#x}:4", u32::from_le_bytes(NEW)),
        format!("peek={at:#x}:4"),
    ]);
    let said = command::stdout(&mut guest)?;
    for line in said.lines().filter(|line| line.starts_with("guest: ")) {
        lab.note(line);
    }
    let seen = format!("guest: read {:#x} at {at:#x}", u32::from_le_bytes(OLD));
    ensure!(
        said.lines().any(|line| line == seen),
        "the guest did not say {seen:?}"
    );
    let now = sysfs::config_at(bdf, at as u64, 4)?;
    ensure!(now == OLD, "the device holds {}", hex::plain(&now));

    let records = lab.take_session(bdf)?;
    let open = records.first().context("nothing is recorded")?;
    ensure!(open.kind == Kind::Open, "first came {}", open.text);
    ensure!(
        open.text.contains(" comm=\"qemu-system"),
        "it does not name QEMU: {}",
        open.text
    );
    let found = access_texts(&records);
    let expected = [(Op::Write, false), (Op::Read, true)];
    for (op, allowed) in expected {
        let text = access_text(bdf, op, at, 4, allowed);
        ensure!(
            found.contains(&text.as_str()),
            "{text} is not among {found:#?}"
        );
    }
    lab.note(format!("{} records of the whole guest", records.len()));
    Ok(())
}
