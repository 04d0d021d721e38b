// SPDX-License-Identifier: GPL-2.0

//! Puts the reports of several machines, or of several periods of one, together as if their logs
//! had been read at once.
//!
//! A report does not have all sessions one by one, so that the two parts of one that goes on from a
//! period into the next are not found. It counts in both.

use std::collections::BTreeMap;

use anyhow::{bail, Context, Result};

use crate::report::{AccessReport, DeviceReport, HolderReport, RangeReport, Report};

/// A device, by the machine that it is in and by address.
type Place = (String, String);

/// Put reports together, each of which has the name of its file. Also returns what there is to
/// warn of.
pub fn merge(reports: Vec<(String, Report)>) -> Result<(Report, Vec<String>)> {
    let mut sum = Report::default();
    let mut devices: BTreeMap<Place, Vec<(String, DeviceReport)>> = BTreeMap::new();
    for (name, report) in reports {
        sum.files += report.files;
        sum.lines += report.lines;
        sum.records += report.records;
        sum.broken_lines += report.broken_lines;
        sum.twice += report.twice;
        sum.broken.extend(report.broken);
        sum.failures.extend(report.failures);
        sum.first = sum.first.into_iter().chain(report.first).min();
        sum.last = sum.last.into_iter().chain(report.last).max();
        for mut device in report.devices {
            let node = device.node.take().or_else(|| report.host.clone());
            let node = node.with_context(|| {
                format!("{name} does not say which machine {} is in", device.device)
            })?;
            device.node = Some(node.clone());
            let periods = devices.entry((node, device.device.clone())).or_default();
            periods.push((name.clone(), device));
        }
    }
    let mut warnings = Vec::new();
    for periods in devices.into_values() {
        sum.devices.extend(join_periods(periods, &mut warnings)?);
    }
    Ok((sum, warnings))
}

/// Put the periods of one device together, each of which has the name of its file.
fn join_periods(
    mut periods: Vec<(String, DeviceReport)>,
    warnings: &mut Vec<String>,
) -> Result<Option<DeviceReport>> {
    periods.sort_by_key(|(_, device)| device.first);
    let mut all: Option<(String, DeviceReport)> = None;
    for (name, device) in periods {
        let Some((before, sum)) = &mut all else {
            all = Some((name, device));
            continue;
        };
        if device.first <= sum.last {
            bail!(
                "{before} and {name} both have {} at the same time: it would be counted twice",
                device.name()
            );
        }
        if sum.sessions.open {
            warnings.push(format!(
                "the last session on {} in {before} has no end: if it goes on in {name}, it is \
                 counted twice",
                device.name()
            ));
        }
        add_device(sum, device);
        *before = name;
    }
    Ok(all.map(|(_, sum)| sum))
}

/// Add the next period of a device.
fn add_device(sum: &mut DeviceReport, more: DeviceReport) {
    sum.last = more.last;
    let (sessions, others) = (&mut sum.sessions, more.sessions);
    sessions.open = others.open;
    sessions.count += others.count;
    sessions.complete += others.complete;
    sessions.several += others.several;
    sessions.missing_records += others.missing_records;
    sessions.by_others += others.by_others;
    for holder in others.holders {
        add_holder(&mut sessions.holders, holder);
    }
    sessions.recent.extend(others.recent);
    sessions.recent.sort_by_key(|session| session.first);
    for access in more.accesses {
        add_access(&mut sum.accesses, access);
    }
}

fn add_holder(all: &mut Vec<HolderReport>, more: HolderReport) {
    let same = |known: &&mut HolderReport| {
        (known.last_pid, &known.exe, &known.subj, &known.vm)
            == (more.last_pid, &more.exe, &more.subj, &more.vm)
    };
    match all.iter_mut().find(same) {
        Some(known) => {
            known.sessions += more.sessions;
            known.recorded += more.recorded;
            known.first = known.first.min(more.first);
            known.last = known.last.max(more.last);
        }
        None => all.push(more),
    }
}

fn add_access(all: &mut Vec<AccessReport>, more: AccessReport) {
    let same = |known: &&mut AccessReport| known.op == more.op && known.result == more.result;
    let Some(known) = all.iter_mut().find(same) else {
        all.push(more);
        // What matters most comes first: writes, and what was allowed.
        all.sort_by(|a, b| (&b.op, &a.result).cmp(&(&a.op, &b.result)));
        return;
    };
    known.recorded += more.recorded;
    known.suppressed += more.suppressed;
    known.lost += more.lost;
    known.ranges.extend(more.ranges);
    known.ranges = join(std::mem::take(&mut known.ranges));
}

/// Maximal ranges again.
fn join(mut ranges: Vec<RangeReport>) -> Vec<RangeReport> {
    ranges.sort_by_key(|range| range.offset);
    let mut joined: Vec<RangeReport> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.offset <= last.offset + last.size => {
                let end = (last.offset + last.size).max(range.offset + range.size);
                last.size = end - last.offset;
                last.recorded += range.recorded;
                last.more |= range.more;
                last.known.extend(range.known);
                last.known.sort_by_key(|note| note.offset);
                last.known.dedup_by(|a, b| a.text == b.text);
            }
            _ => joined.push(range),
        }
    }
    joined
}
