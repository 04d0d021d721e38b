// SPDX-License-Identifier: GPL-2.0

//! Accesses of every size and alignment, across the boundaries of assigned bytes.

use std::ops::Range;

use anyhow::{ensure, Context, Result};
use vfio_client::stream::Op;
use vfio_client::{sweep, sysfs, Bdf, ConfigMap, Device};

use super::{access_text, access_texts, expect_accesses, Scenario};
use crate::lab::Lab;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "spans/reads",
        "reads of 1, 2 and 4 bytes at every offset: assigned bytes exact, unassigned ones zero, \
         one record a run",
        reads,
    ),
    Scenario::new(
        "spans/writes",
        "writes across both kinds of byte change no unassigned one when blocked, each one when not",
        writes,
    ),
    Scenario::new(
        "spans/one-record-a-run",
        "a read of a whole device makes one record for each of its unassigned runs",
        one_record_a_run,
    ),
    Scenario::new(
        "spans/extended-boundary",
        "a run goes on from the conventional into the extended space",
        extended_boundary,
    ),
    Scenario::new(
        "spans/past-the-end",
        "an access past the end fails as it did, and is not recorded",
        past_the_end,
    ),
];

/// The expected records of the accesses to each run of some ranges, in order.
fn texts(bdf: Bdf, op: Op, map: &ConfigMap, ranges: &[Range<usize>], allowed: bool) -> Vec<String> {
    ranges
        .iter()
        .flat_map(|range| map.runs(range.clone()))
        .map(|run| access_text(bdf, op, run.start, run.len(), allowed))
        .collect()
}

/// Every offset and size that contains an unassigned byte or is adjacent to one.
fn ranges(map: &ConfigMap) -> Vec<Range<usize>> {
    sweep::SIZES
        .into_iter()
        .flat_map(|size| (0..=map.size() - size).map(move |start| start..start + size))
        .filter(|range| {
            // All offsets in the middle of a long run are equivalent.
            let near = range.start.saturating_sub(8)..range.end + 8;
            let runs = map.runs(near.clone());
            !(runs.len() == 1 && runs[0] == near) || range.start % 256 < 8
        })
        .collect()
}

pub(super) fn reads(lab: &mut Lab) -> Result<()> {
    lab.unlimited()?;
    for bdf in lab.kinds()? {
        let device = Device::open(bdf)?;
        let map = device.map().clone();
        for run in map.all_runs() {
            // Zeros would be taken for blocked bytes.
            sysfs::write_config_at(bdf, run.start as u64, &vec![0xa5; run.len()])?;
        }
        let wanted = ranges(&map);
        let mut before = Vec::new();
        for (blocked, allowed) in [(false, true), (true, false)] {
            lab.block(blocked, false)?;
            for (number, range) in wanted.iter().enumerate() {
                let seen = device.read_vec(range.start as u64, range.len())?;
                if !blocked {
                    before.push(seen);
                    continue;
                }
                for (at, offset) in range.clone().enumerate() {
                    let expected = match map.unassigned(offset) {
                        true => 0,
                        false => before[number][at],
                    };
                    ensure!(
                        seen[at] == expected,
                        "{bdf}: reading {range:x?} gave {:#x} at {offset:#x}, not {expected:#x}",
                        seen[at]
                    );
                }
            }
            let expected = texts(bdf, Op::Read, &map, &wanted, allowed);
            expect_accesses(lab, bdf, &expected).with_context(|| format!("{bdf}: {blocked}"))?;
            lab.note(format!(
                "{bdf}: {} reads, {} runs",
                wanted.len(),
                expected.len()
            ));
        }
    }
    Ok(())
}

/// Whether the device stores what is written to these bytes. A capability may be longer in the
/// device than in VFIO's table, and read-only there.
fn keeps(bdf: Bdf, run: &Range<usize>) -> Result<bool> {
    let bytes = vec![0xee; run.len()];
    sysfs::write_config_at(bdf, run.start as u64, &bytes)?;
    Ok(sysfs::config_at(bdf, run.start as u64, run.len())? == bytes)
}

/// Ranges in which the assigned bytes are read-only, so that a write is harmless. The header of a
/// capability is read-only, and follows a gap.
fn harmless(map: &ConfigMap) -> Vec<Range<usize>> {
    map.all_runs()
        .into_iter()
        .filter(|run| run.end < map.size())
        .flat_map(|run| {
            let end = run.end;
            [end - 1..end + 1, end - 2..end + 1, end - 2..end + 2]
        })
        .filter(|range| map.unassigned(range.start))
        .collect()
}

pub(super) fn writes(lab: &mut Lab) -> Result<()> {
    lab.unlimited()?;
    for bdf in [lab.express()?, lab.nvme()?] {
        let device = Device::open(bdf)?;
        let map = device.map().clone();
        let mut wanted = Vec::new();
        for range in harmless(&map) {
            let mut kept = true;
            for run in map.runs(range.clone()) {
                kept &= keeps(bdf, &run)?;
            }
            wanted.extend(kept.then_some(range));
        }
        ensure!(!wanted.is_empty(), "{bdf} has no gap before a capability");
        lab.note(format!("{bdf}: {} ranges", wanted.len()));
        for (blocked, allowed) in [(false, true), (true, false)] {
            lab.block(false, blocked)?;
            for range in &wanted {
                let start = range.start as u64;
                for run in map.runs(range.clone()) {
                    sysfs::write_config_at(bdf, run.start as u64, &vec![0x11; run.len()])?;
                }
                let before = sysfs::config_at(bdf, start, range.len())?;
                device.write(start, &vec![0xee; range.len()])?;
                let after = sysfs::config_at(bdf, start, range.len())?;
                for (at, offset) in range.clone().enumerate() {
                    let expected = match map.unassigned(offset) && !blocked {
                        true => 0xee,
                        false => before[at],
                    };
                    ensure!(
                        after[at] == expected,
                        "{bdf}: writing {range:x?} left {:#x} at {offset:#x}, not {expected:#x}",
                        after[at]
                    );
                }
            }
            expect_accesses(lab, bdf, &texts(bdf, Op::Write, &map, &wanted, allowed))
                .with_context(|| format!("{bdf}, blocked: {blocked}"))?;
        }
        // Writable assigned bytes are written, whatever happens to their neighbours. The interrupt
        // line is the fourth byte from the end of the header, and VFIO emulates it.
        lab.block(true, true)?;
        device.write(0x3c, &[0x5a, 0, 0, 0, 0xee, 0xee])?;
        let seen = device.read_vec(0x3c, 1)?;
        ensure!(seen == [0x5a], "{bdf}: the assigned part was not written");
    }
    Ok(())
}

pub(super) fn one_record_a_run(lab: &mut Lab) -> Result<()> {
    for bdf in lab.kinds()? {
        let device = Device::open(bdf)?;
        let map = device.map().clone();
        lab.block(true, false)?;
        device.read_vec(0, device.size())?;
        let expected: Vec<_> = map
            .all_runs()
            .into_iter()
            .map(|run| access_text(bdf, Op::Read, run.start, run.len(), false))
            .collect();
        ensure!(expected.len() < 10, "{} runs", expected.len());
        lab.note(format!("{bdf}: {} records", expected.len()));
        expect_accesses(lab, bdf, &expected)?;
    }
    Ok(())
}

fn extended_boundary(lab: &mut Lab) -> Result<()> {
    let bdf = lab.nvme()?;
    let device = Device::open(bdf)?;
    ensure!(
        (0xf8..0x108).all(|offset| device.map().unassigned(offset)),
        "{bdf} has something around 0x100"
    );
    for (start, size) in [
        (0xfe, 4),
        (0xff, 2),
        (0xff, 1),
        (0x100, 1),
        (0xffc, 4),
        (0xfff, 1),
    ] {
        device.read_vec(start as u64, size)?;
        expect_accesses(lab, bdf, &[access_text(bdf, Op::Read, start, size, true)])?;
    }
    Ok(())
}

pub(super) fn past_the_end(lab: &mut Lab) -> Result<()> {
    lab.block(true, true)?;
    for bdf in fail_past_the_end(lab)? {
        let records = lab.take(bdf)?;
        ensure!(
            access_texts(&records).is_empty(),
            "what failed is recorded: {records:?}"
        );
    }
    Ok(())
}

/// Check that accesses past the end of every device fail, on any kernel; the devices.
pub(super) fn fail_past_the_end(lab: &Lab) -> Result<[Bdf; 4]> {
    const EFAULT: i32 = 14;

    let devices = lab.kinds()?;
    for bdf in devices {
        let device = Device::open(bdf)?;
        let end = device.size() as u64;
        for (offset, size) in [(end - 1, 2), (end - 4, 8), (end, 1), (end + 64, 4)] {
            for result in [
                device.read_vec(offset, size).map(drop),
                device.write(offset, &vec![0; size]),
            ] {
                let errno = result.as_ref().err().and_then(vfio_client::Error::errno);
                ensure!(
                    errno == Some(EFAULT),
                    "{bdf}: {size} bytes at {offset:#x}: {result:?}"
                );
            }
        }
    }
    Ok(devices)
}
