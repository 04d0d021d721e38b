// SPDX-License-Identifier: GPL-2.0

//! The tracepoint beside the record.

use anyhow::{ensure, Result};
use vfio_client::stream::Op;
use vfio_client::Device;

use super::{access_text, access_texts, spot, try_both, Scenario};
use crate::lab::Lab;
use crate::trace::Trace;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "tracing/as-the-records",
        "accesses that pass and that are blocked have an event each, which says what the record does",
        as_the_records,
    ),
    Scenario::new(
        "tracing/without-auditing",
        "with auditing off there is an event for every access, and no record",
        without_auditing,
    ),
    Scenario::new(
        "tracing/over-the-limit",
        "accesses whose record the limit suppresses have their event",
        over_the_limit,
    ),
];

fn expect(trace: &Trace, expected: &[String]) -> Result<()> {
    let found = trace.texts()?;
    ensure!(
        found == expected,
        "events were {found:#?}, and expected {expected:#?}"
    );
    Ok(())
}

/// Read and write an unassigned dword, let through and blocked; the texts of what was done.
fn pass_and_block(lab: &Lab, device: &Device) -> Result<Vec<String>> {
    let (bdf, at) = (device.bdf(), spot(device.map())?);
    let mut texts = Vec::new();
    for allowed in [true, false] {
        lab.block(!allowed, !allowed)?;
        try_both(device)?;
        texts.extend([Op::Read, Op::Write].map(|op| access_text(bdf, op, at, 4, allowed)));
    }
    Ok(texts)
}

fn as_the_records(lab: &mut Lab) -> Result<()> {
    let device = Device::open(lab.express()?)?;
    let trace = Trace::accesses()?;
    let expected = pass_and_block(lab, &device)?;
    expect(&trace, &expected)?;
    let records = lab.take(device.bdf())?;
    let texts = access_texts(&records);
    ensure!(texts == expected, "recorded were {texts:#?}");
    // Bytes that are assigned are nobody's business, and neither is anything once tracing is off.
    device.read_vec(0, 4)?;
    trace.enable(false)?;
    try_both(&device)?;
    expect(&trace, &expected)
}

fn without_auditing(lab: &mut Lab) -> Result<()> {
    let bdf = lab.express()?;
    let device = Device::open(bdf)?;
    lab.audit().ctl(&["-e", "0"])?;
    let trace = Trace::accesses()?;
    let expected = pass_and_block(lab, &device)?;
    expect(&trace, &expected)?;
    lab.audit().ctl(&["-e", "1"])?;
    let records = lab.take(bdf)?;
    ensure!(records.is_empty(), "recorded without auditing: {records:?}");
    Ok(())
}

fn over_the_limit(lab: &mut Lab) -> Result<()> {
    const EACH: usize = 200;

    let bdf = lab.express()?;
    let device = Device::open(bdf)?;
    let at = spot(device.map())?;
    let trace = Trace::accesses()?;
    let mut expected = Vec::new();
    for number in 0..EACH {
        let offset = at + number % 16;
        device.read_vec(offset as u64, 1)?;
        device.write(offset as u64, &[0])?;
        expected.extend([Op::Read, Op::Write].map(|op| access_text(bdf, op, offset, 1, true)));
    }
    expect(&trace, &expected)?;
    let records = lab.take(bdf)?;
    let recorded = access_texts(&records).len();
    lab.note(format!("{recorded} of {} accesses are recorded", 2 * EACH));
    ensure!(recorded < 2 * EACH, "the limit suppressed no record");
    Ok(())
}
