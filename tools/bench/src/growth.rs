// SPDX-License-Identifier: GPL-2.0

//! How the cost of an access grows with other quantities.

use anyhow::Result;
use vfio_client::{sysfs, Bdf, Device};

use crate::cell::READ;
use crate::crowd;
use crate::kernel;
use crate::lab::{Core, Lab};
use crate::matrix::{block, limit, list};
use crate::result::Growth;
use crate::sample::Figure;

/// How often an access is counted per point.
const TIMES: usize = 200;

/// The devices that exist in large numbers: `edu`.
const CROWD: (u16, u16) = (0x1234, 0x11e8);

fn growth(what: &str, with: &str, points: Vec<(u64, u64)>) -> Growth {
    Growth {
        what: what.to_owned(),
        with: with.to_owned(),
        points,
    }
}

/// A blocked read against the length of the list: any read, and the first of a session, which looks
/// the device up.
fn by_list(lab: &Lab) -> Result<Vec<Growth>> {
    let mut each = Vec::new();
    let mut first = Vec::new();

    for length in [0, 1, 10, 100, 1000, 10_000] {
        lab.load(Core::Ours, &list(length))?;
        block(true)?;
        first.push((u64::from(length), READ.first(&lab.open()?)?));
        let device = lab.open()?;
        each.push((u64::from(length), READ.measure(&device)?.median));
    }
    Ok(vec![
        growth("a blocked read", "devices listed", each),
        growth("a session's first blocked read", "devices listed", first),
    ])
}

/// The devices that can be held in addition to the measured one.
fn crowd() -> Result<Vec<Bdf>> {
    let mut crowd = Vec::new();
    for bdf in sysfs::devices()? {
        if sysfs::id(bdf)? == CROWD {
            kernel::bind(bdf)?;
            crowd.push(bdf);
        }
    }
    Ok(crowd)
}

/// An access against the number of open sessions, each of which has made an access.
fn by_sessions(lab: &Lab) -> Result<Vec<Growth>> {
    lab.load(Core::Ours, &[])?;
    let crowd = crowd()?;
    let device = lab.open()?;
    let mut held = Vec::new();
    let mut blocked = Vec::new();
    let mut limited = Vec::new();

    for sessions in [1, 2, 4, 8, 16, 32, 64] {
        if sessions > crowd.len() + 1 {
            break;
        }
        while held.len() + 1 < sessions {
            held.push(Device::open(crowd[held.len()])?);
        }
        for device in &held {
            READ.counts(device, 2)?;
        }
        lab.enable_audit(false)?;
        block(true)?;
        blocked.push((sessions as u64, READ.measure(&device)?.median));
        block(false)?;
        lab.enable_audit(true)?;
        limit("1", "1")?;
        for device in &held {
            READ.counts(device, 2)?;
        }
        limited.push((sessions as u64, READ.measure(&device)?.median));
    }
    lab.enable_audit(false)?;
    Ok(vec![
        growth("a blocked read", "open sessions", blocked),
        growth("a read above the rate limit", "open sessions", limited),
    ])
}

/// An access against the number of threads that make accesses in the same session.
fn by_threads(lab: &Lab) -> Result<Vec<Growth>> {
    let measure = |device: &Device, threads: usize| -> Result<u64> {
        let counts = std::thread::scope(|scope| {
            let running: Vec<_> = (0..threads)
                .map(|_| scope.spawn(|| READ.counts(device, TIMES)))
                .collect();
            running
                .into_iter()
                .map(|thread| thread.join().expect("a thread that counts does not panic"))
                .collect::<Result<Vec<_>>>()
        })?;
        Ok(Figure::of(counts.concat()).median)
    };
    let mut blocked = Vec::new();
    let mut limited = Vec::new();

    lab.load(Core::Ours, &[])?;
    let device = lab.open()?;
    for threads in 1..=4 {
        lab.enable_audit(false)?;
        block(true)?;
        blocked.push((threads as u64, measure(&device, threads)?));
        block(false)?;
        lab.enable_audit(true)?;
        limit("1", "1")?;
        limited.push((threads as u64, measure(&device, threads)?));
    }
    lab.enable_audit(false)?;
    Ok(vec![
        growth("a blocked read", "threads in one session", blocked),
        growth(
            "a read above the rate limit",
            "threads in one session",
            limited,
        ),
    ])
}

/// The mean cost of an access in a flood, against the rate limit.
fn by_rate(lab: &Lab) -> Result<Vec<Growth>> {
    let mut points = Vec::new();

    lab.load(Core::Ours, &[])?;
    lab.start_daemon()?;
    lab.enable_audit(true)?;
    let device = lab.open()?;
    for rate in [1, 10, 100, 1000, 10_000, 100_000] {
        limit(&rate.to_string(), "1")?;
        READ.counts(&device, TIMES)?;
        let counts = READ.counts(&device, 10 * TIMES)?;
        points.push((rate, counts.iter().sum::<u64>() / counts.len() as u64));
        lab.drain()?;
    }
    drop(device);
    lab.stop_daemon()?;
    Ok(vec![growth(
        "a read of a flood, on average",
        "records a second",
        points,
    )])
}

/// Every chart.
pub(crate) fn measure(lab: &Lab) -> Result<Vec<Growth>> {
    let mut all = by_list(lab)?;
    eprintln!("    growth with sessions");
    all.extend(by_sessions(lab)?);
    all.extend(crowd::measure(lab)?);
    eprintln!("    growth with threads and records");
    all.extend(by_threads(lab)?);
    all.extend(by_rate(lab)?);
    Ok(all)
}
