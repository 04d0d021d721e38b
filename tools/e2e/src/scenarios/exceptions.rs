// SPDX-License-Identifier: GPL-2.0

//! Exceptions of some bytes of a device, with everything else blocked.

use std::ops::{Range, RangeInclusive};

use anyhow::{ensure, Context, Result};
use vfio_client::stream::Op;
use vfio_client::{hex, sysfs, Bdf, ConfigMap, Device};

use super::{access_text, expect_accesses, spot, variant, Scenario};
use crate::kernel;
use crate::lab::Lab;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "exceptions/bytes",
        "with both toggles only excepted bytes reach the device, each run with a record of its \
         own decision",
        |lab| bytes(lab, true),
    ),
    Scenario::new(
        "exceptions/audit-off",
        "the same bytes without auditing",
        |lab| bytes(lab, false),
    ),
    Scenario::new(
        "exceptions/variant",
        "the same for a driver that cuts system calls up",
        |lab| variant::with_variant(lab, |lab| bytes(lab, true)),
    ),
    Scenario::new(
        "exceptions/one-toggle",
        "an exception takes nothing from what no toggle blocks",
        one_toggle,
    ),
    Scenario::new(
        "exceptions/vendor",
        "VENDOR:* is for every device of the vendor, and for no other",
        vendor,
    ),
    Scenario::new(
        "exceptions/round-trip",
        "what sysfs shows of a list is short, sorted and united, and may be written back",
        round_trip,
    ),
    Scenario::new(
        "exceptions/a-page",
        "a list as long as sysfs takes is shown whole and may be written back",
        a_page,
    ),
];

/// What is around the excepted bytes and in them.
const DEVICE: u8 = 0xa5;
const CLIENT: u8 = 0x5a;

/// Exceptions of a device near `at`: the list, and the bytes that it excepts.
struct Exceptions {
    list: String,
    ranges: Vec<RangeInclusive<usize>>,
}

impl Exceptions {
    /// By device and by vendor, overlapping and not, on both sides of a dword, and more that are of
    /// other devices.
    fn near(bdf: Bdf, at: usize) -> Result<Self> {
        let (vendor, device) = sysfs::id(bdf)?;
        let own = [
            at + 1..=at + 2,
            at + 8..=at + 0xb,
            at + 0x12..=at + 0x17,
            at + 0x16..=at + 0x1b,
            at + 0x20..=at + 0x20,
        ];
        let all = at + 0x1a..=at + 0x1e;
        let mut list: Vec<_> = own
            .iter()
            .map(|range| {
                format!(
                    "{vendor:x}:{device:X}@{:x}-{:X}",
                    range.start(),
                    range.end()
                )
            })
            .collect();
        list.push(format!("{vendor:x}:*@{:#x}-{:#x}", all.start(), all.end()));
        list.push(format!("{vendor:x}:{:x}", device ^ 1));
        list.push(format!("{:x}:{device:x}", vendor ^ 1));
        list.push(format!("{:x}:*@0-ff", vendor ^ 2));
        Ok(Self {
            list: list.join(","),
            ranges: own.into_iter().chain([all]).collect(),
        })
    }

    fn has(&self, byte: usize) -> bool {
        self.ranges.iter().any(|range| range.contains(&byte))
    }

    /// The records of an access.
    fn texts(&self, bdf: Bdf, op: Op, map: &ConfigMap, range: Range<usize>) -> Vec<String> {
        let mut texts = Vec::new();
        for run in map.runs(range) {
            let mut start = run.start;
            for end in run.start + 1..=run.end {
                if end == run.end || self.has(end) != self.has(start) {
                    let allowed = self.has(start);
                    texts.push(access_text(bdf, op, start, end - start, allowed));
                    start = end;
                }
            }
        }
        texts
    }
}

/// Every access of some sizes near some exceptions. Returns the texts of the records that there
/// should be.
fn access_all(device: &Device, exceptions: &Exceptions, at: usize) -> Result<Vec<String>> {
    let (bdf, map) = (device.bdf(), device.map());
    let window = at - 8..at + 0x30;
    let mut texts = Vec::new();
    for size in [1, 2, 3, 4, 8, 32] {
        for offset in at - 2..at + 0x10 {
            let range = offset..offset + size;
            sysfs::write_config_at(bdf, window.start as u64, &vec![DEVICE; window.len()])?;

            let seen = device.read_vec(offset as u64, size)?;
            let expected: Vec<_> = range
                .clone()
                .map(|byte| if exceptions.has(byte) { DEVICE } else { 0 })
                .collect();
            ensure!(
                seen == expected,
                "{bdf}: reading {range:x?} gave {}, not {}",
                hex::plain(&seen),
                hex::plain(&expected)
            );
            texts.extend(exceptions.texts(bdf, Op::Read, map, range.clone()));

            device.write(offset as u64, &vec![CLIENT; size])?;
            let holds = sysfs::config_at(bdf, window.start as u64, window.len())?;
            let expected: Vec<_> = window
                .clone()
                .map(|byte| match range.contains(&byte) && exceptions.has(byte) {
                    true => CLIENT,
                    false => DEVICE,
                })
                .collect();
            ensure!(
                holds == expected,
                "{bdf}: after a write to {range:x?} the device holds {}, not {}",
                hex::plain(&holds),
                hex::plain(&expected)
            );
            texts.extend(exceptions.texts(bdf, Op::Write, map, range));
        }
    }

    // Everything at once.
    let holds = sysfs::config(bdf)?;
    let seen = device.read_vec(0, device.size())?;
    for byte in (0..device.size()).filter(|&byte| map.unassigned(byte)) {
        let expected = if exceptions.has(byte) { holds[byte] } else { 0 };
        ensure!(
            seen[byte] == expected,
            "{bdf}: a read of everything gave {:#x} at {byte:#x}, not {expected:#x}",
            seen[byte]
        );
    }
    texts.extend(exceptions.texts(bdf, Op::Read, map, 0..device.size()));
    Ok(texts)
}

fn bytes(lab: &mut Lab, audited: bool) -> Result<()> {
    lab.unlimited()?;
    lab.block(true, true)?;
    lab.audit().ctl(&["-e", if audited { "1" } else { "0" }])?;
    for bdf in lab.kinds()? {
        let device = Device::open(bdf)?;
        let at = spot(device.map())?;
        let exceptions = Exceptions::near(bdf, at)?;
        lab.allow(&exceptions.list)?;
        let texts = access_all(&device, &exceptions, at)
            .with_context(|| format!("with the list {}", exceptions.list))?;
        if audited {
            expect_accesses(lab, bdf, &texts)?;
            lab.note(format!("{bdf}: {} records", texts.len()));
        }
    }
    if !audited {
        lab.audit().ctl(&["-e", "1"])?;
        for bdf in lab.kinds()? {
            let records = lab.take(bdf)?;
            ensure!(records.is_empty(), "recorded without auditing: {records:?}");
        }
    }
    Ok(())
}

fn one_toggle(lab: &mut Lab) -> Result<()> {
    let bdf = lab.express()?;
    let device = Device::open(bdf)?;
    let at = spot(device.map())?;
    lab.allow(&format!("8086:10d3@{:x}-{:x}", at + 4, at + 7))?;
    let [read, write] = [Op::Read, Op::Write];
    for (block_read, block_write) in [(true, false), (false, true), (false, false)] {
        lab.block(block_read, block_write)?;
        device.read_vec(at as u64, 8)?;
        device.write(at as u64, &[CLIENT; 8])?;
        let texts: Vec<_> = [(read, block_read), (write, block_write)]
            .into_iter()
            .flat_map(|(op, blocked)| match blocked {
                true => vec![
                    access_text(bdf, op, at, 4, false),
                    access_text(bdf, op, at + 4, 4, true),
                ],
                false => vec![access_text(bdf, op, at, 8, true)],
            })
            .collect();
        expect_accesses(lab, bdf, &texts)?;
    }
    Ok(())
}

fn vendor(lab: &mut Lab) -> Result<()> {
    lab.unlimited()?;
    lab.block(true, true)?;
    for (whole, list) in [(true, "8086:*"), (false, "8086:*@50-5f,8086:*@200-2ff")] {
        lab.allow(list)?;
        for bdf in lab.kinds()? {
            let device = Device::open(bdf)?;
            let at = match device.size() > 0x200 {
                true => 0x200,
                false => spot(device.map())?,
            };
            ensure!(device.map().unassigned(at), "{bdf}: {at:#x} is assigned");
            sysfs::write_config_at(bdf, at as u64, &[DEVICE; 4])?;
            let seen = device.read_vec(at as u64, 4)?;
            let excepted = whole || at == 0x200 || (0x50..0x60).contains(&at);
            let allowed = sysfs::id(bdf)?.0 == 0x8086 && excepted;
            let expected = if allowed { [DEVICE; 4] } else { [0; 4] };
            ensure!(
                seen == expected,
                "{bdf}, with the list {list:?}: {} at {at:#x}",
                hex::plain(&seen)
            );
            expect_accesses(lab, bdf, &[access_text(bdf, Op::Read, at, 4, allowed)])?;
        }
    }
    Ok(())
}

/// Write a list, and check what is shown of it, and that it may be written back.
fn expect_shown(lab: &Lab, list: &str, expected: &str) -> Result<()> {
    kernel::write_parameter(kernel::ALLOW_IDS, list.as_bytes())
        .with_context(|| format!("the list {list:?}"))?;
    let shown = kernel::parameter(kernel::ALLOW_IDS)?;
    ensure!(
        shown == expected,
        "{list:?} is shown as {shown:?}, not as {expected:?}"
    );
    lab.allow("")?;
    kernel::write_parameter(kernel::ALLOW_IDS, shown.as_bytes())
        .with_context(|| format!("writing {shown:?} back"))?;
    let again = kernel::parameter(kernel::ALLOW_IDS)?;
    ensure!(again == shown, "{shown:?}, written back, is {again:?}");
    Ok(())
}

fn round_trip(lab: &mut Lab) -> Result<()> {
    for (list, expected) in [
        (
            "10de:*@488-48b,10de:*@704-707,8086:10d3",
            "10de:*@488-48b,10de:*@704-707,8086:10d3",
        ),
        (
            " 8086:10D3 , 10DE : * @ 0x704 - 0X707,\t10de:*@488-48B\n",
            "10de:*@488-48b,10de:*@704-707,8086:10d3",
        ),
        (
            "8086:10d3@20-2f,8086:10d3@10-1f,8086:10d3@28-3f",
            "8086:10d3@10-3f",
        ),
        (
            "8086:10d3@10-1f,8086:10d3@21-2f",
            "8086:10d3@10-1f,8086:10d3@21-2f",
        ),
        ("8086:10d3@800-fff,8086:10d3@0-7ff", "8086:10d3"),
        ("8086:10d3@800-fff,8086:10d3", "8086:10d3"),
        (
            "8086:10d3,8086:*,8086:a54@1-2",
            "8086:*,8086:0a54@1-2,8086:10d3",
        ),
        (
            "ffff:ffff@fff-fff,0:0@0-0",
            "0000:0000@0-0,ffff:ffff@fff-fff",
        ),
    ] {
        expect_shown(lab, list, expected)?;
    }
    Ok(())
}

fn a_page(lab: &mut Lab) -> Result<()> {
    // Six bytes an entry with its comma, ten with the zeros that are shown where there is room for
    // them. With all that sysfs takes there is not even room for a newline.
    const LONGEST: usize = 4095;
    let mut list: Vec<_> = (0..LONGEST / 6)
        .map(|id| format!("{:x}:2", 0x100 + id))
        .collect();
    let short = list.join(",");
    let last = format!(",fff:{}", "f".repeat(3));
    list.truncate((LONGEST - last.len() + 1) / 6);
    let exact = list.join(",") + &last;
    for list in [short, exact] {
        expect_shown(lab, &list, &list)?;
    }
    // One byte more than sysfs passes on at once.
    let long = vec!["1:2"; 1100].join(",");
    let refused = kernel::write_parameter(kernel::ALLOW_IDS, long.as_bytes());
    ensure!(refused.is_err(), "a list of {} bytes is taken", long.len());
    Ok(())
}
