// SPDX-License-Identifier: GPL-2.0

//! A real guest in a real QEMU that was given the device.

use std::time::Duration;

use ::lab::guest::{Backend, Guest};
use anyhow::{ensure, Context, Result};
use vfio_client::stream::Op;
use vfio_client::{hex, sysfs};

use super::{access_text, access_texts, spot, Scenario, NEW, OLD};
use crate::lab::Lab;
use crate::record::Kind;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario::new(
    "guest/blocked-and-recorded",
    "root in a guest writes an unassigned byte: blocked and recorded; it reads it: allowed and \
     recorded",
    blocked_and_recorded,
)];

/// How long a guest may take.
const PATIENCE: Duration = Duration::from_secs(300);

fn blocked_and_recorded(lab: &mut Lab) -> Result<()> {
    let bdf = lab.express()?;
    let at = spot(&sysfs::config_map(bdf)?)?;
    sysfs::write_config_at(bdf, at as u64, &OLD)?;
    lab.block(false, true)?;

    let mut guest = Guest::resume(&lab.paths, PATIENCE)?;
    lab.note(guest.plug(bdf, Backend::Container)?);
    lab.note(guest.ask(&format!("poke={at:#x}:{:#x}:4", u32::from_le_bytes(NEW)))?);
    let said = guest.ask(&format!("peek={at:#x}:4"))?;
    guest.end()?;
    let seen = format!("read {:#x} at {at:#x}", u32::from_le_bytes(OLD));
    ensure!(said == seen, "the guest said {said:?}, not {seen:?}");
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
