// SPDX-License-Identifier: GPL-2.0

//! How long a list may be that is written while the module is loaded.

use anyhow::{ensure, Result};

use super::Scenario;
use crate::kernel::{self, Messages};
use crate::lab::Lab;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario::new(
    "allow-list/longer-than-a-page",
    "a list that sysfs would cut is refused whole, with the reason, and the list in force stays",
    longer_than_a_page,
)];

fn longer_than_a_page(lab: &mut Lab) -> Result<()> {
    const PAGE: usize = 4096;
    const ENTRY: &str = "8086:10d3,";

    lab.allow("1b36:0010")?;
    let mut messages = Messages::follow()?;
    // What fits, and then a list of which a page would be a good list.
    let entries = ENTRY.repeat(PAGE / ENTRY.len() - 1);
    lab.allow(entries.trim_end_matches(','))?;
    lab.allow("1b36:0010")?;
    for length in [PAGE, PAGE + 1, 3 * PAGE] {
        let list = ENTRY.repeat(length / ENTRY.len() + 1);
        kernel::expect_refusal(kernel::ALLOW_IDS, &list[..length])?;
    }
    let said = messages.read()?;
    let reasons = said.iter().filter(|line| line.contains("too long"));
    ensure!(reasons.count() == 3, "the kernel says {said:#?}");
    Ok(())
}
