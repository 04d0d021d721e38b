// SPDX-License-Identifier: GPL-2.0

//! The rows of the table: the modules and settings under which the columns are measured.

use std::fs;
use std::path::Path;

use anyhow::{ensure, Context, Result};

use crate::cell;
use crate::kernel::{self, set_parameter};
use crate::lab::{Core, Lab, KEEP};
use crate::result::Row;
use crate::sample::Figure;
use crate::trace::Trace;

/// Without the series.
pub(crate) const UNPATCHED: &str = "unpatched";
/// With the series, the option off.
pub(crate) const OPTION_OFF: &str = "option off";
/// With the series, the option on.
pub(crate) const IDLE: &str = "toggles and audit off";
/// Both blocking parameters.
pub(crate) const BLOCKING: &str = "blocking";
/// Both blocking parameters, and a long list without the device.
pub(crate) const LISTED: &str = "blocking, 10,000 devices listed";
/// The same with ranges of the device among them, but not of the bytes that are blocked dword by
/// dword.
pub(crate) const RANGED: &str = "blocking, 10,000 listed, 300 ranges of the device";
/// One record per access, received by a daemon.
pub(crate) const RECORDING: &str = "recording";
/// All accesses over the limit.
pub(crate) const LIMITED: &str = "above the rate limit";
/// The same with the tracepoint enabled.
pub(crate) const TRACED: &str = "above the rate limit, traced";
/// Above the limit, with accesses kept for the next boot.
pub(crate) const KEPT: &str = "above the rate limit, kept for the next boot";
/// Above the limit with both toggles.
pub(crate) const BLOCKING_LIMITED: &str = "blocking, above the rate limit";

/// Every row.
const ROWS: [&str; 11] = [
    UNPATCHED,
    OPTION_OFF,
    IDLE,
    BLOCKING,
    LISTED,
    RANGED,
    RECORDING,
    LIMITED,
    TRACED,
    BLOCKING_LIMITED,
    KEPT,
];

/// No record, on a stock kernel.
pub(crate) const STOCK_LIMITED: &str = "livepatch, above the rate limit";
/// The same with the tracepoint enabled.
pub(crate) const STOCK_TRACED: &str = "livepatch, above the rate limit, traced";

/// Rows of another table: a stock kernel as it is, and with the livepatch.
const STOCK_ROWS: [&str; 6] = [
    "stock kernel",
    "livepatch, toggles and audit off",
    "livepatch, blocking",
    "livepatch, recording",
    STOCK_LIMITED,
    STOCK_TRACED,
];

/// What there is where accesses are kept.
const KEPT_FILE: &str = "/sys/kernel/debug/pci_audit/this_boot";
const YARDSTICK: &str = "/sys/module/audit_yardstick/parameters/times";

/// Entries for `length` devices, none of which is Intel's. In an order that is not sorted.
fn devices(length: u32) -> Vec<String> {
    (0..length)
        .map(|n| {
            let n = n.wrapping_mul(7919) % 10_007;
            format!("{:04x}:{:04x}", 0x10d0 + n % 16, n)
        })
        .collect()
}

/// Entries for `count` ranges of the device that is measured, half of them for every device of its
/// vendor. They are where the device has no capability, and far from its first unassigned byte.
fn ranges(count: u32) -> Vec<String> {
    (0..count)
        .map(|n| {
            let device = if n % 2 == 0 { "10d3" } else { "*" };
            let offset = 0x200 + 8 * n;
            format!("8086:{device}@{offset:x}-{:x}", offset + n % 7)
        })
        .collect()
}

fn parameter(entries: &[String]) -> Vec<String> {
    vec![format!(
        "vfio_pci_audit.uaccess_allow_ids={}",
        entries.join(",")
    )]
}

/// A list of `length` devices.
pub(crate) fn list(length: u32) -> Vec<String> {
    parameter(&devices(length))
}

/// A list of `length` entries, `count` of which are ranges of the device that is measured.
pub(crate) fn list_with_ranges(length: u32, count: u32) -> Vec<String> {
    parameter(&[devices(length - count), ranges(count)].concat())
}

/// Sets both blocking parameters.
pub(crate) fn block(on: bool) -> Result<()> {
    let value = if on { "Y" } else { "N" };
    set_parameter(kernel::BLOCK_READ, value)?;
    set_parameter(kernel::BLOCK_WRITE, value)
}

/// Sets the limits.
pub(crate) fn limit(rate: &str, burst: &str) -> Result<()> {
    set_parameter(kernel::RATE, rate)?;
    set_parameter(kernel::BURST, burst)
}

/// Measures every column. Drains the records after each.
fn columns(lab: &Lab, drain: bool) -> Result<Vec<Figure>> {
    let device = lab.open()?;
    cell::ALL
        .iter()
        .map(|cell| {
            let figure = cell.measure(&device)?;
            if drain {
                lab.drain()?;
            }
            Ok(figure)
        })
        .collect()
}

/// Measures all rows in order, and the yardstick, once.
fn round(lab: &Lab) -> Result<(Vec<Vec<Figure>>, Figure)> {
    let mut rows = Vec::new();

    lab.load(Core::Unpatched, &[])?;
    rows.push(columns(lab, false)?);
    lab.load(Core::OptionOff, &[])?;
    rows.push(columns(lab, false)?);

    lab.load(Core::Ours, &[])?;
    rows.push(columns(lab, false)?);
    block(true)?;
    rows.push(columns(lab, false)?);
    for list in [list(10_000), list_with_ranges(10_000, 300)] {
        lab.load(Core::Ours, &list)?;
        block(true)?;
        rows.push(columns(lab, false)?);
    }

    lab.load(Core::Ours, &[])?;
    lab.load_yardstick()?;
    lab.start_daemon()?;
    lab.enable_audit(true)?;
    limit("0", "24")?;
    rows.push(columns(lab, true)?);
    // As many at once as for the access of four bytes.
    fs::write(YARDSTICK, "400").context(YARDSTICK)?;
    let median = fs::read_to_string(YARDSTICK)?.trim().parse()?;
    lab.drain()?;
    limit("1", "1")?;
    rows.push(columns(lab, true)?);
    let trace = Trace::accesses()?;
    rows.push(columns(lab, true)?);
    drop(trace);
    block(true)?;
    rows.push(columns(lab, true)?);
    lab.load(Core::Ours, &[KEEP.to_owned()])?;
    ensure!(
        Path::new(KEPT_FILE).exists(),
        "the module keeps no accesses: the kernel's command line reserves no memory for that"
    );
    limit("1", "1")?;
    rows.push(columns(lab, true)?);
    lab.stop_daemon()?;
    Ok((rows, Figure::of(vec![median])))
}

/// Measures all rows of a stock kernel once.
fn stock_round(lab: &Lab) -> Result<Vec<Vec<Figure>>> {
    let mut rows = Vec::new();

    lab.load(Core::Unpatched, &[])?;
    rows.push(columns(lab, false)?);
    lab.load(Core::Ours, &[])?;
    rows.push(columns(lab, false)?);
    block(true)?;
    rows.push(columns(lab, false)?);
    block(false)?;
    lab.start_daemon()?;
    lab.enable_audit(true)?;
    limit("0", "24")?;
    rows.push(columns(lab, true)?);
    limit("1", "1")?;
    rows.push(columns(lab, true)?);
    let trace = Trace::accesses()?;
    rows.push(columns(lab, true)?);
    drop(trace);
    lab.stop_daemon()?;
    Ok(rows)
}

/// Joins the rows of several rounds.
fn join(names: &[&str], rounds: &[Vec<Vec<Figure>>]) -> Vec<Row> {
    let figure = |row: usize, column: usize| {
        Figure::join(
            rounds
                .iter()
                .map(|round| round[row][column].clone())
                .collect(),
        )
    };
    names
        .iter()
        .enumerate()
        .map(|(row, name)| Row {
            name: (*name).to_owned(),
            figures: (0..cell::ALL.len())
                .map(|column| figure(row, column))
                .collect(),
        })
        .collect()
}

/// The table of a stock kernel, from the given number of rounds.
pub(crate) fn measure_stock(lab: &Lab, rounds: usize) -> Result<Vec<Row>> {
    let all = (1..=rounds)
        .map(|n| {
            eprintln!("    round {n} of {rounds}");
            stock_round(lab)
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(join(&STOCK_ROWS, &all))
}

/// The table and the yardstick, from the given number of rounds.
pub(crate) fn measure(lab: &Lab, rounds: usize) -> Result<(Vec<Row>, Figure)> {
    let mut all = Vec::new();
    let mut yardsticks = Vec::new();

    for n in 1..=rounds {
        eprintln!("    round {n} of {rounds}");
        let (rows, yardstick) = round(lab)?;
        all.push(rows);
        yardsticks.push(yardstick);
    }
    Ok((join(&ROWS, &all), Figure::join(yardsticks)))
}
