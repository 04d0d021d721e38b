// SPDX-License-Identifier: GPL-2.0

//! The tracepoint that accompanies the record.

use anyhow::{bail, ensure, Context, Result};
use vfio_client::stream::Op;
use vfio_client::{Bdf, Device};

use super::{access_text, access_texts, spot, try_both, Scenario};
use crate::holder::Holder;
use crate::lab::Lab;
use crate::trace::{without_whose, Trace, Whose};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "tracing/as-the-records",
        "accesses that pass and that are blocked have an event each, which says what the record \
         does",
        as_the_records,
    ),
    Scenario::new(
        "tracing/of-whom",
        "an event says of which session and which process the access is, from any thread and \
         after a change of hands",
        of_whom,
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

/// Reads and writes an unassigned dword, allowed and blocked. Returns the expected events.
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
    // Assigned bytes are not traced, and nothing is traced after tracing is disabled.
    device.read_vec(0, 4)?;
    trace.enable(false)?;
    try_both(&device)?;
    expect(&trace, &expected)
}

/// Check whose accesses the events so far are: so many of each of these processes, in one session.
fn expect_of(lab: &mut Lab, trace: &Trace, device: Bdf, pids: &[u32], comm: &str) -> Result<()> {
    let records = lab.take(device)?;
    // The first may be the end of an earlier session.
    let session = records
        .iter()
        .rev()
        .find_map(|record| record.session)
        .context("no record has a session")?;
    let expected: Vec<_> = pids
        .iter()
        .map(|&pid| Whose {
            session,
            pid,
            comm: comm.to_owned(),
        })
        .collect();
    let found = trace
        .events()?
        .iter()
        .map(|(_, text)| Ok(without_whose(text)?.0))
        .collect::<Result<Vec<_>>>()?;
    ensure!(
        found == expected,
        "events were of {found:?}, and expected {expected:?}"
    );
    trace.forget()
}

fn of_whom(lab: &mut Lab) -> Result<()> {
    let bdf = lab.express()?;
    let trace = Trace::accesses()?;
    let device = Device::open(bdf)?;
    let at = spot(device.map())?;
    device.read_vec(at as u64, 4)?;
    // What a thread calls itself is not what its process is called.
    std::thread::scope(|scope| -> Result<()> {
        let thread = std::thread::Builder::new().name("CPU 0/KVM".to_owned());
        let read = thread.spawn_scoped(scope, || device.read_vec(at as u64, 4))?;
        match read.join() {
            Ok(read) => Ok(read.map(drop)?),
            Err(_) => bail!("the thread panicked"),
        }
    })?;
    let own = std::process::id();
    let comm = std::fs::read_to_string("/proc/self/comm")?;
    expect_of(lab, &trace, bdf, &[own, own], comm.trim_end())?;
    drop(device);

    let mut holder = Holder::start(bdf)?;
    holder.read(at)?;
    let child = holder.read_in_children(1, at)?;
    let pids = [&[holder.pid()], child.as_slice()].concat();
    expect_of(lab, &trace, bdf, &pids, "vfio-client")
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
