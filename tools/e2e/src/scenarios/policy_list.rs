// SPDX-License-Identifier: GPL-2.0

//! The list of exemptions.

use anyhow::{ensure, Context, Result};
use vfio_client::Device;

use super::{expect_verdict, try_both, Scenario, BLOCKED, PASSED};
use crate::kernel::{self, Messages};
use crate::lab::Lab;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "allow-list/run-time",
        "a listed device passes while it is listed, another does not",
        run_time,
    ),
    Scenario::new(
        "allow-list/load",
        "a list given when the module is loaded holds",
        load,
    ),
    Scenario::new(
        "allow-list/forms",
        "spaces, newlines, duplicates, 0x and either case are fine",
        forms,
    ),
    Scenario::new(
        "allow-list/refusals",
        "a bad entry refuses the whole write, is named, and the list in force stays",
        refusals,
    ),
    Scenario::new(
        "allow-list/refused-at-load",
        "a bad list refuses to load the module",
        refused_at_load,
    ),
    Scenario::new(
        "allow-list/thousands",
        "a list of thousands of entries works",
        thousands,
    ),
];

fn run_time(lab: &mut Lab) -> Result<()> {
    lab.block(true, true)?;
    let express = Device::open(lab.express()?)?;
    let nvme = Device::open(lab.nvme()?)?;
    for (list, express_passes, nvme_passes) in [
        ("", false, false),
        ("8086:10d3", true, false),
        ("1b36:0010", false, true),
        ("1b36:0010,8086:10d3", true, true),
        // A part of an identifier is not accepted.
        ("8086:0010,1b36:10d3", false, false),
        ("8086:10d3", true, false),
        ("", false, false),
    ] {
        lab.allow(list)?;
        for (device, passes) in [(&express, express_passes), (&nvme, nvme_passes)] {
            let expected = if passes { PASSED } else { BLOCKED };
            expect_verdict(lab, device, expected).with_context(|| format!("list {list:?}"))?;
        }
    }
    Ok(())
}

fn load(lab: &mut Lab) -> Result<()> {
    lab.reload(&[
        format!("vfio_pci_audit.{}=1", kernel::BLOCK_READ),
        format!("vfio_pci_audit.{}=1", kernel::BLOCK_WRITE),
        format!("vfio_pci_audit.{}=1b36:0010,1234:11e8", kernel::ALLOW_IDS),
    ])?;
    let express = Device::open(lab.express()?)?;
    let nvme = Device::open(lab.nvme()?)?;
    expect_verdict(lab, &express, BLOCKED)?;
    expect_verdict(lab, &nvme, PASSED)?;
    lab.allow("")?;
    expect_verdict(lab, &nvme, BLOCKED)
}

fn forms(lab: &mut Lab) -> Result<()> {
    lab.block(true, true)?;
    let device = Device::open(lab.express()?)?;
    for list in [
        "8086:10d3",
        "8086:10d3\n",
        "8086:10D3",
        " 8086:10d3 ",
        "1234:11e8, 8086:10d3",
        "1234:11e8 ,8086:10d3\n",
        "8086:10d3,8086:10d3,8086:10D3",
        "ffff:ffff,8086:10d3,0:0,0000:0000",
        "0x8086:0X10d3",
        " 0x8086 : 10D3 ",
        "8086:10d3@0-fff",
        "8086:10d3@0-7ff,8086:10D3@0x700-0xFFF",
    ] {
        kernel::write_parameter(kernel::ALLOW_IDS, list.as_bytes())
            .with_context(|| format!("the list {list:?}"))?;
        let found = try_both(&device)?;
        ensure!(found == PASSED, "with the list {list:?}: {found:?}");
        let shown = kernel::parameter(kernel::ALLOW_IDS)?;
        ensure!(
            shown.matches("8086:10d3").count() == 1,
            "the list {list:?} is shown as {shown:?}"
        );
        // The shown list can be written back.
        kernel::set_parameter(kernel::ALLOW_IDS, &shown)?;
        ensure!(try_both(&device)? == PASSED, "{shown:?} does not work");
        for empty in ["\n", " \n"] {
            kernel::write_parameter(kernel::ALLOW_IDS, empty.as_bytes())?;
            let shown = kernel::parameter(kernel::ALLOW_IDS)?;
            ensure!(shown.is_empty(), "{empty:?} leaves {shown:?}");
            ensure!(try_both(&device)? == BLOCKED, "{empty:?} leaves it exempt");
            lab.allow("8086:10d3")?;
        }
        lab.allow("")?;
    }
    Ok(())
}

/// Lists that are refused, each with the entry at fault.
const BAD: [(&str, &str); 30] = [
    ("8086", "8086"),
    ("8086:", "8086:"),
    (":10d3", ":10d3"),
    (":", ":"),
    ("g086:10d3", "g086:10d3"),
    ("8086:10dx", "8086:10dx"),
    ("10000:10d3", "10000:10d3"),
    ("8086:10000", "8086:10000"),
    ("8086:fffffffffffffffff", "8086:fffffffffffffffff"),
    ("-1:10d3", "-1:10d3"),
    ("8086:10d3junk", "8086:10d3junk"),
    ("8086:10d3 junk", "8086:10d3 junk"),
    ("8086:10d3:1", "8086:10d3:1"),
    ("1234:11e8,8086:zzzz", "8086:zzzz"),
    ("beef:zz,1234:11e8", "beef:zz"),
    ("8086:0x", "8086:0x"),
    ("*:10d3", "*:10d3"),
    ("8086:**", "8086:**"),
    ("8086:10d3@", "8086:10d3@"),
    ("8086:10d3@488", "8086:10d3@488"),
    ("8086:10d3@488-", "8086:10d3@488-"),
    ("8086:10d3@-48b", "8086:10d3@-48b"),
    ("8086:10d3@48b-488", "8086:10d3@48b-488"),
    ("8086:10d3@0-1000", "8086:10d3@0-1000"),
    ("8086:10d3@10000-10001", "8086:10d3@10000-10001"),
    ("8086:10d3@48g-48h", "8086:10d3@48g-48h"),
    ("8086:10d3@488-48bjunk", "8086:10d3@488-48bjunk"),
    ("8086:10d3@488-48b-48f", "8086:10d3@488-48b-48f"),
    ("8086:*@488-48b junk", "8086:*@488-48b junk"),
    ("8086:10d3@0-3,8086:*@3-0", "8086:*@3-0"),
];

fn refusals(lab: &mut Lab) -> Result<()> {
    lab.block(true, true)?;
    lab.allow("1b36:0010")?;
    let express = Device::open(lab.express()?)?;
    let nvme = Device::open(lab.nvme()?)?;
    for (list, entry) in BAD {
        let mut messages = Messages::follow()?;
        kernel::expect_refusal(kernel::ALLOW_IDS, list)?;
        let said = messages.read()?;
        let errors: Vec<_> = said
            .iter()
            .filter(|line| line.contains("pci") && line.contains(entry))
            .collect();
        ensure!(
            errors.len() == 1,
            "{list:?}: one line should name {entry:?}: {said:?}"
        );
        let level = errors[0]
            .split(',')
            .next()
            .and_then(|level| level.parse::<u32>().ok());
        ensure!(
            level.is_some_and(|level| level & 7 == 3),
            "{list:?}: not an error message: {:?}",
            errors[0]
        );
        ensure!(try_both(&nvme)? == PASSED, "{list:?} took the list away");
        ensure!(try_both(&express)? == BLOCKED, "{list:?} exempts a device");
    }
    Ok(())
}

fn refused_at_load(lab: &mut Lab) -> Result<()> {
    lab.modules.unload()?;
    let bad = format!("vfio_pci_audit.{}=1b36:0010,8086:zzzz", kernel::ALLOW_IDS);
    let loaded = lab.modules.load(&[bad]);
    ensure!(loaded.is_err(), "the module was loaded with a bad list");
    ensure!(!kernel::has_policy(), "the module is there all the same");
    lab.modules.load(&[])?;
    lab.bind()
}

fn thousands(lab: &mut Lab) -> Result<()> {
    // Longer than sysfs accepts in one write, so it is set at load time.
    let mut list: Vec<_> = (0..5000)
        .map(|id| format!("{:04x}:{id:04x}", id % 7))
        .collect();
    list.insert(2500, "8086:10d3".to_owned());
    lab.reload(&[
        format!("vfio_pci_audit.{}=1", kernel::BLOCK_READ),
        format!("vfio_pci_audit.{}=1", kernel::BLOCK_WRITE),
        format!("vfio_pci_audit.{}={}", kernel::ALLOW_IDS, list.join(",")),
    ])?;
    // The list exceeds the page that sysfs provides, and must be truncated.
    let shown = kernel::parameter(kernel::ALLOW_IDS)?;
    ensure!(shown.len() <= 4096, "{} bytes are shown", shown.len());
    let express = Device::open(lab.express()?)?;
    let nvme = Device::open(lab.nvme()?)?;
    expect_verdict(lab, &express, PASSED)?;
    expect_verdict(lab, &nvme, BLOCKED)
}
