// SPDX-License-Identifier: GPL-2.0

//! The size of the log after a day of flooding.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{ensure, Result};
use vfio_client::stream::Op;
use vfio_client::Device;

use super::Scenario;
use crate::account::{Loss, Truth};
use crate::lab::Lab;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "day/minute",
        "a minute of flooding, with audit rules loaded, leaves what makes less than 32 MB in a day",
        |lab| flood(lab, Duration::from_secs(60)),
    )
    .rules(true),
    Scenario::new("day/ten-minutes", "and so do ten minutes", |lab| {
        flood(lab, Duration::from_secs(600))
    })
    .long()
    .rules(true),
];

/// By default, auditd keeps more than this: 5 files of 8 MB, of which the last may be nearly empty.
const MOST: f64 = 32e6;
const DAY: f64 = 86_400.0;

/// After this time, the bursts have been written.
const BURST: Duration = Duration::from_secs(10);

/// Bytes and lines of the log, by type of line.
#[derive(Clone, Debug, Default)]
struct Size(BTreeMap<String, (usize, usize)>);

impl Size {
    fn now(lab: &mut Lab) -> Result<Self> {
        let mut size = Self::default();
        for line in lab.audit().lines()? {
            // The messages by which this program waits for the log are not part of the flood.
            if line.contains("e2e-drain-") || line.contains("type=CONFIG_CHANGE") {
                continue;
            }
            let word = |key: &str| {
                let mut words = line.split(' ');
                words
                    .find_map(|word| word.strip_prefix(key))
                    .map(str::to_owned)
            };
            let kind = word("op=").or_else(|| word("type=")).unwrap_or_default();
            let (lines, bytes) = size.0.entry(kind).or_default();
            *lines += 1;
            *bytes += line.len() + 1;
        }
        Ok(size)
    }

    fn bytes(&self) -> usize {
        self.0.values().map(|(_, bytes)| bytes).sum()
    }
}

/// Accesses between two rests of a few milliseconds, so that a minute of this leaves the processor
/// to others. Between two reports all bytes are accessed many times.
const AT_ONCE: usize = 50;

/// Reads and writes single bytes that no range joins: the worst case for records and reports.
fn hammer(device: &Device, stop: &AtomicBool) -> Result<Truth> {
    let mut truth = Truth::default();
    let bytes: Vec<usize> = device
        .map()
        .all_runs()
        .into_iter()
        .flat_map(|run| run.step_by(2))
        .collect();
    for (number, at) in bytes.iter().copied().cycle().enumerate() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        if number % AT_ONCE == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        match number % 2 {
            0 => {
                device.read_vec(at as u64, 1)?;
                truth.add(Op::Read, true, at..at + 1);
            }
            _ => {
                device.write(at as u64, &[0])?;
                truth.add(Op::Write, true, at..at + 1);
            }
        }
    }
    Ok(truth)
}

fn flood(lab: &mut Lab, span: Duration) -> Result<()> {
    let bdf = lab.express()?;
    let device = Device::open(bdf)?;
    let stop = AtomicBool::new(false);
    let started = Instant::now();
    let (truth, first, last) = thread::scope(|scope| {
        let hammering = scope.spawn(|| hammer(&device, &stop));
        let look = |lab: &mut Lab, at: Duration| -> Result<(f64, Size)> {
            thread::sleep(at.saturating_sub(started.elapsed()));
            let size = Size::now(lab)?;
            Ok((started.elapsed().as_secs_f64(), size))
        };
        let looked = look(lab, BURST).and_then(|first| Ok((first, look(lab, span)?)));
        stop.store(true, Ordering::Relaxed);
        let truth = hammering.join().expect("hammering does not panic")?;
        let (first, last) = looked?;
        anyhow::Ok((truth, first, last))
    })?;

    let ((first_time, first), (last_time, last)) = (first, last);
    let [reads, _, writes, _] = truth.counts();
    lab.note(format!(
        "{reads} reads and {writes} writes in {last_time:.0} s"
    ));
    for (kind, (lines, bytes)) in &last.0 {
        lab.note(format!("{kind}: {lines} lines, {bytes} bytes"));
    }
    let (burst, grown) = (first.bytes() as f64, (last.bytes() - first.bytes()) as f64);
    let rate = grown / (last_time - first_time);
    let day = burst + rate * DAY;
    lab.note(format!(
        "{burst:.0} bytes in the first {first_time:.1} s, then {grown:.0} in {:.1} s: {rate:.0} a \
         second; \
         {burst:.0} + {rate:.0} x {DAY:.0} = {:.1} MB a day",
        last_time - first_time,
        day / 1e6
    ));
    ensure!(
        day < MOST,
        "a day of flooding leaves {:.1} MB of log",
        day / 1e6
    );
    let lost = lab.audit().status("lost")?;
    ensure!(lost == 0, "audit has lost {lost}");
    lab.settle(device, &truth, Loss::None).map(drop)
}
