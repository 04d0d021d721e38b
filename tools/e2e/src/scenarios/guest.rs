// SPDX-License-Identifier: GPL-2.0

//! A real guest in a real QEMU that was given the device.

use std::time::Duration;

use ::lab::guest::{Backend, Guest, Stuck};
use anyhow::{ensure, Context, Result};
use vfio_client::stream::Op;
use vfio_client::{hex, sysfs, Bdf};

use super::{access_text, access_texts, spot, Scenario, NEW, OLD};
use crate::lab::Lab;
use crate::record::Kind;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "guest/blocked-and-recorded",
        "root in a guest writes an unassigned byte: blocked and recorded; it reads it: allowed \
         and recorded",
        blocked_and_recorded,
    ),
    Scenario::new(
        "guest/own-driver",
        "a guest's driver needs unassigned bytes: it fails when they are blocked, works when they \
         are excepted, and all others stay blocked",
        own_driver,
    )
    .long(),
];

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

/// The registers that Linux's i6300esb accesses in configuration space, and the bit of the second
/// that enables the watchdog.
const CONFIG: usize = 0x60;
const LOCK: usize = 0x68;
const ENABLE: u8 = 2;

/// Has a guest's driver enable the watchdog, and tries it once more where QEMU got stuck with the
/// first guest: the driver's registers in memory are emulated, too.
fn enable_in_guest(lab: &mut Lab, bdf: Bdf) -> Result<(u8, Vec<u8>)> {
    let stuck = match enable_in_one_guest(lab, bdf) {
        Err(error) if error.root_cause().is::<Stuck>() => error,
        result => return result,
    };
    lab.note(format!("tried once more: {stuck:#}"));
    lab.take_session(bdf)?;
    sysfs::write_config_at(bdf, LOCK as u64, &[0])?;
    enable_in_one_guest(lab, bdf)
}

/// Has the driver enable the watchdog, and then the guest's root user try the bytes beside. Returns
/// the lock register, which the device shows to reads of a byte only, and its configuration space
/// while the driver runs.
fn enable_in_one_guest(lab: &mut Lab, bdf: Bdf) -> Result<(u8, Vec<u8>)> {
    let mut guest = Guest::resume(&lab.paths, PATIENCE)?;

    lab.note(guest.plug(bdf, Backend::Container)?);
    for words in [
        "load=watchdog",
        "load=i6300esb heartbeat=2000",
        "hold=10:130",
        "poke=0x68:0x5a5a5a02:4",
        "poke=0x62:0x5a5a:2",
        "poke=0x80:0x5a:1",
    ] {
        lab.note(guest.ask(words)?);
    }
    let lock = sysfs::config_at(bdf, LOCK as u64, 1)?[0];
    let config = sysfs::config(bdf)?;
    guest.end()?;
    Ok((lock, config))
}

fn own_driver(lab: &mut Lab) -> Result<()> {
    let bdf = lab.watchdog()?;
    let map = sysfs::config_map(bdf)?;
    ensure!(
        map.unassigned(CONFIG) && map.unassigned(LOCK),
        "the registers are assigned"
    );
    lab.unlimited()?;
    lab.block(true, true)?;
    for (list, works) in [("", false), ("8086:25ab@60-61,8086:25ab@68-68", true)] {
        let excepted = |byte: usize| works && (byte / 2 == CONFIG / 2 || byte == LOCK);
        lab.allow(list)?;
        sysfs::write_config_at(bdf, LOCK as u64, &[0])?;
        let before = sysfs::config(bdf)?;
        // The driver believes in either case that it has enabled the watchdog.
        let (lock, during) = enable_in_guest(lab, bdf)?;
        ensure!(
            (lock & ENABLE != 0) == works,
            "with the list {list:?} the device's lock register is {lock:#x}"
        );
        for byte in (0..map.size()).filter(|&byte| map.unassigned(byte) && !excepted(byte)) {
            ensure!(
                during[byte] == before[byte],
                "with the list {list:?} byte {byte:#x} became {:#x}",
                during[byte]
            );
        }

        let records = lab.take_session(bdf)?;
        let mut found = [0; 2];
        for record in &records {
            let Kind::Access { offset, size, .. } = record.kind else {
                continue;
            };
            let allowed = record.res.context("an access without res=")?;
            ensure!(
                (offset..offset + size).all(|byte| excepted(byte) == allowed),
                "with the list {list:?}: {}",
                record.text
            );
            found[usize::from(allowed)] += 1;
        }
        let [blocked, allowed] = found;
        lab.note(format!(
            "list {list:?}: {blocked} blocked, {allowed} allowed"
        ));
        ensure!(blocked > 0 && (allowed > 0) == works, "{records:#?}");
        let expected = match works {
            true => [(LOCK, 1, true), (LOCK + 1, 3, false)],
            false => [(LOCK, 1, false), (LOCK, 4, false)],
        };
        for (offset, size, allowed) in expected {
            let text = access_text(bdf, Op::Write, offset, size, allowed);
            let found = access_texts(&records);
            ensure!(found.contains(&text.as_str()), "no {text} among {found:#?}");
        }
    }
    Ok(())
}
