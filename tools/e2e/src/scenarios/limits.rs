// SPDX-License-Identifier: GPL-2.0

//! The limits of records per device, and the reports about suppressed accesses.

use std::ops::Range;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{ensure, Result};
use vfio_client::stream::Op;
use vfio_client::{Bdf, Device};

use super::{spot, Scenario};
use crate::account::{Loss, Truth};
use crate::audit::wait_until;
use crate::kernel;
use crate::lab::Lab;
use crate::record::{Kind, Record};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "limits/burst",
        "of a burst 24 reads and 24 writes are recorded, less one for op=open; a report on the \
         rest comes within 2 s",
        burst,
    ),
    Scenario::new(
        "limits/write-among-reads",
        "a single write in a flood of reads has its own record",
        write_among_reads,
    ),
    Scenario::new(
        "limits/no-limit",
        "audit_rate 0 records every access",
        no_limit,
    ),
    Scenario::new(
        "limits/rate",
        "audit_rate 8 records the burst and then eight a second",
        rate,
    ),
    Scenario::new(
        "limits/live",
        "rate and burst apply to a device that is open",
        live,
    ),
    Scenario::new(
        "limits/refusals",
        "nonsense is refused with EINVAL, and the value stays",
        refusals,
    ),
    Scenario::new(
        "limits/reports-paced",
        "reports of a long flood come ever more rarely, and are of 12 records at most; none is \
         lost",
        reports_paced,
    ),
];

/// Makes accesses and keeps account of them.
struct Client {
    device: Device,
    truth: Truth,
    started: Instant,
}

impl Client {
    fn open(bdf: Bdf) -> Result<Self> {
        Ok(Self {
            device: Device::open(bdf)?,
            truth: Truth::default(),
            started: Instant::now(),
        })
    }

    fn read(&mut self, run: Range<usize>) -> Result<()> {
        self.device.read_vec(run.start as u64, run.len())?;
        self.truth.add(Op::Read, true, run);
        Ok(())
    }

    fn write(&mut self, run: Range<usize>) -> Result<()> {
        self.device.write(run.start as u64, &vec![0; run.len()])?;
        self.truth.add(Op::Write, true, run);
        Ok(())
    }

    /// The maximum number of records that `rate` allows since the first access.
    fn refilled(&self, rate: u64) -> usize {
        (self.started.elapsed().as_secs_f64() * rate as f64) as usize + 1
    }
}

fn accesses(records: &[Record], wanted: Op) -> usize {
    records
        .iter()
        .filter(|record| matches!(record.kind, Kind::Access { op, .. } if op == wanted))
        .count()
}

fn burst(lab: &mut Lab) -> Result<()> {
    const EACH: usize = 40;

    let mut client = Client::open(lab.express()?)?;
    let at = spot(client.device.map())?;
    client.started = Instant::now();
    for number in 0..EACH {
        // Access every other byte, so that each suppressed access has its own range. Reads and
        // writes use different bytes.
        client.read(at + 2 * number..at + 2 * number + 1)?;
        client.write(at + 3 * number..at + 3 * number + 2)?;
    }
    let refilled = client.refilled(1);
    let done = Instant::now();
    let over = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
    let bdf = client.device.bdf();
    let mut records = Vec::new();
    let reported = wait_until(Duration::from_secs(10), || {
        records = lab.records_of(bdf)?;
        let suppressed = |wanted| {
            records
                .iter()
                .any(|r| matches!(r.kind, Kind::Suppressed { op, .. } if op == wanted))
        };
        Ok(suppressed(Op::Read) && suppressed(Op::Write))
    })?;
    ensure!(reported, "no report, though the device is still open");
    lab.note(format!(
        "the report was seen {:.1} s after the burst",
        done.elapsed().as_secs_f64()
    ));
    // The op=open record takes a read token.
    for (op, burst) in [(Op::Read, 23), (Op::Write, 24)] {
        let count = accesses(&records, op);
        ensure!(
            (burst..=burst + refilled).contains(&count),
            "{count} of {EACH} {op:?}s are recorded, with room for {refilled} more than {burst}"
        );
    }
    // Suppression began before the last access, and the report may be written during later
    // accesses.
    let reported = records
        .iter()
        .find(|record| matches!(record.kind, Kind::Suppressed { .. }))
        .map_or(0, |record| record.time);
    let late = reported.saturating_sub(over);
    ensure!(late <= 2500, "the report came {late} ms later");
    lab.settle(client.device, &client.truth, Loss::None)
        .map(drop)
}

fn write_among_reads(lab: &mut Lab) -> Result<()> {
    let mut client = Client::open(lab.express()?)?;
    let at = spot(client.device.map())?;
    for number in 0..10_000 {
        client.read(at..at + 4)?;
        if number == 5_000 {
            client.write(at + 8..at + 9)?;
        }
    }
    let bdf = client.device.bdf();
    let records = lab.records_of(bdf)?;
    ensure!(
        accesses(&records, Op::Write) == 1,
        "the write has no record of its own"
    );
    let totals = lab.settle(client.device, &client.truth, Loss::None)?;
    ensure!(totals.suppressed > 9_000, "{totals:?}");
    Ok(())
}

fn no_limit(lab: &mut Lab) -> Result<()> {
    lab.unlimited()?;
    let mut client = Client::open(lab.express()?)?;
    let at = spot(client.device.map())?;
    for number in 0..1_000 {
        client.read(at + number % 64..at + number % 64 + 4)?;
        client.write(at..at + 4)?;
    }
    let totals = lab.settle(client.device, &client.truth, Loss::None)?;
    ensure!(totals.records == 2_000, "{totals:?}");
    Ok(())
}

fn rate(lab: &mut Lab) -> Result<()> {
    kernel::set_parameter(kernel::RATE, "8")?;
    let mut client = Client::open(lab.express()?)?;
    let at = spot(client.device.map())?;
    client.started = Instant::now();
    while client.started.elapsed() < Duration::from_millis(3500) {
        client.read(at..at + 4)?;
        std::thread::sleep(Duration::from_millis(10));
    }
    let most = 23 + client.refilled(8);
    let totals = lab.settle(client.device, &client.truth, Loss::None)?;
    // Eight per second, minus what a busy host may have delayed.
    ensure!(
        (23 + 8 * 2..=most as u64).contains(&totals.records),
        "{totals:?}, at most {most} records expected"
    );
    Ok(())
}

fn live(lab: &mut Lab) -> Result<()> {
    kernel::set_parameter(kernel::BURST, "4")?;
    let mut client = Client::open(lab.express()?)?;
    let bdf = client.device.bdf();
    let at = spot(client.device.map())?;
    for _ in 0..50 {
        client.read(at..at + 4)?;
    }
    let limited = accesses(&lab.records_of(bdf)?, Op::Read);
    ensure!(
        (3..=3 + client.refilled(1)).contains(&limited),
        "{limited} of 50 are recorded with a burst of 4"
    );
    lab.unlimited()?;
    for _ in 0..50 {
        client.read(at..at + 4)?;
    }
    let unlimited = accesses(&lab.records_of(bdf)?, Op::Read) - limited;
    ensure!(
        unlimited == 50,
        "{unlimited} of 50 are recorded without a limit"
    );
    lab.settle(client.device, &client.truth, Loss::None)
        .map(drop)
}

fn refusals(_: &mut Lab) -> Result<()> {
    for name in [kernel::RATE, kernel::BURST] {
        for value in ["1", "7", "1000", "1000000"] {
            kernel::set_parameter(name, value)?;
            let now = kernel::parameter(name)?;
            ensure!(now == value, "{name} was set to {value}, and is {now}");
        }
        for value in [
            "-1",
            "x",
            "24x",
            "1.5",
            "2 4",
            "1000001",
            "99999999999999999999",
            "\n",
        ] {
            kernel::expect_refusal(name, value)?;
        }
    }
    // A burst of zero would record nothing at any rate. A rate of zero disables the limit.
    kernel::expect_refusal(kernel::BURST, "0")?;
    kernel::set_parameter(kernel::RATE, "0")
}

/// The time of each report and its number of records: those of one operation and one decision, with
/// their ranges.
fn reports(records: &[Record]) -> Vec<(u64, usize)> {
    let mut reports = Vec::new();
    for record in records {
        match (record.kind, reports.last_mut()) {
            (Kind::Suppressed { .. }, _) => reports.push((record.time, 1)),
            (Kind::Touched { .. }, Some((_, count))) => *count += 1,
            _ => {}
        }
    }
    reports
}

fn reports_paced(lab: &mut Lab) -> Result<()> {
    const SPAN: Duration = Duration::from_secs(20);

    let mut client = Client::open(lab.express()?)?;
    let at = spot(client.device.map())?;
    client.started = Instant::now();
    let mut number = 0;
    while client.started.elapsed() < SPAN {
        // Ranges that cannot be joined: the worst case for a report.
        client.read(at + 2 * (number % 300)..at + 2 * (number % 300) + 1)?;
        number += 1;
    }
    let most = 24 + client.refilled(1);
    let records = lab.records_of(client.device.bdf())?;
    let recorded = accesses(&records, Op::Read);
    let reports = reports(&records);
    let first = records.first().map_or(0, |record| record.time);
    let told: Vec<_> = reports
        .iter()
        .map(|(time, count)| format!("{count} after {} ms", time - first))
        .collect();
    lab.note(format!(
        "of {number} reads in {SPAN:?} {recorded} were recorded; reports: {}",
        told.join(", ")
    ));
    ensure!(
        recorded < most,
        "{recorded} accesses and op=open in {SPAN:?}, where the limit allows {most}"
    );
    ensure!(
        reports.iter().all(|(_, count)| *count <= 12),
        "a report has more than 12 records: {told:?}"
    );
    // The first report comes within two seconds. The intervals then double, at least: 1, 2, 4, 8
    // and 16 s.
    ensure!(
        (2..=5).contains(&reports.len()) && reports[0].0 - first <= 2500,
        "the reports are {told:?}"
    );
    let gaps: Vec<_> = reports.windows(2).map(|two| two[1].0 - two[0].0).collect();
    ensure!(
        gaps.windows(2).all(|two| two[1] * 2 > two[0] * 3),
        "reports come as often as before: {told:?}"
    );
    let lost = lab.audit().status("lost")?;
    ensure!(lost == 0, "audit has lost {lost}");
    lab.settle(client.device, &client.truth, Loss::None)
        .map(drop)
}
