// SPDX-License-Identifier: GPL-2.0

//! The operator's tool on the running kernel.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{ensure, Context, Result};
use serde_json::{json, Value};
use vfio_client::stream::Op;
use vfio_client::{sysfs, Bdf, Device};

use super::{spot, Scenario};
use crate::account::{Loss, Truth};
use crate::audit::wait_until;
use crate::command;
use crate::kernel::{self, SESSIONS};
use crate::lab::Lab;
use crate::observing;
use crate::record::Kind;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "operator/status",
        "vfio-pci-audit status tells the parameters, and the open sessions with their counters",
        status,
    ),
    Scenario::new(
        "operator/sessions-held",
        "the file of the sessions is for root only, and the module cannot be unloaded while it is \
         open",
        sessions_held,
    ),
    Scenario::new(
        "operator/map",
        "vfio-pci-audit map names the unassigned bytes that the kernel records, on every device",
        map,
    ),
    Scenario::new(
        "operator/report",
        "vfio-pci-audit report counts what a client did, and advise names its device",
        report,
    ),
];

/// Runs the tool and parses its JSON output.
fn tool(arguments: &[&str]) -> Result<Value> {
    let text = command::stdout(
        Command::new(observing::tool()?)
            .args(arguments)
            .args(["--format", "json"]),
    )?;
    serde_json::from_str(&text).with_context(|| text)
}

/// The expected state of a session in the kernel.
fn session(bdf: Bdf, truth: &Truth, suppressed: u64) -> Value {
    let [reads, blocked_reads, writes, blocked_writes] = truth.counts();
    json!({
        "device": bdf.to_string(),
        "state": "open",
        "reads": reads,
        "writes": writes,
        "blocked_reads": blocked_reads,
        "blocked_writes": blocked_writes,
        "records": reads + writes - suppressed,
        "suppressed": suppressed,
        "lost": 0,
    })
}

/// The sessions that the tool shows, without their numbers, and the numbers.
fn without_numbers(status: &Value) -> Result<(Value, Vec<u64>)> {
    let mut sessions = status["sessions"].clone();
    let mut numbers = Vec::new();
    for session in sessions.as_array_mut().context("no sessions")? {
        let number = session
            .as_object_mut()
            .and_then(|session| session.remove("session"));
        let number = number.and_then(|number| number.as_u64());
        numbers.push(number.with_context(|| format!("a session without a number: {status}"))?);
    }
    Ok((sessions, numbers))
}

fn status(lab: &mut Lab) -> Result<()> {
    lab.block(false, true)?;
    lab.allow("1b36:0010")?;
    kernel::set_parameter(kernel::RATE, "1")?;
    kernel::set_parameter(kernel::BURST, "4")?;
    let before = tool(&["status"])?;
    ensure!(before["sessions"] == json!([]), "sessions: {before}");
    ensure!(before["advice"] == json!([]), "advice: {before}");
    let parameters = json!({
        kernel::BLOCK_READ: "N",
        kernel::BLOCK_WRITE: "Y",
        kernel::ALLOW_IDS: "1b36:0010",
        kernel::RATE: "1",
        kernel::BURST: "4",
    });
    ensure!(before["parameters"] == parameters, "parameters: {before}");

    let express = Device::open(lab.express()?)?;
    let nvme = Device::open(lab.nvme()?)?;
    let at = spot(express.map())?;
    let mut truth = Truth::default();
    for _ in 0..3 {
        express.read_vec(at as u64, 4)?;
        truth.add(Op::Read, true, at..at + 4);
        express.write(at as u64, &[0])?;
        truth.add(Op::Write, false, at..at + 1);
    }
    // With a livepatch, a session starts with the first access, even one to assigned bytes.
    nvme.read_vec(0, 4)?;
    let now = tool(&["status"])?;
    let expected = json!([
        session(express.bdf(), &truth, 0),
        session(nvme.bdf(), &Truth::default(), 0),
    ]);
    let (sessions, numbers) = without_numbers(&now)?;
    ensure!(sessions == expected, "sessions: {now}");
    let recorded = lab.records_of(express.bdf())?;
    ensure!(
        numbers[0] != numbers[1] && recorded.iter().all(|r| r.session == Some(numbers[0])),
        "the numbers are {numbers:?}, and recorded were {recorded:#?}"
    );

    // Writes have a separate limit. All but those that time may have allowed exceed it.
    kernel::set_parameter(kernel::BURST, "1")?;
    for _ in 0..100 {
        express.write(at as u64, &[0])?;
        truth.add(Op::Write, false, at..at + 1);
    }
    let now = tool(&["status"])?;
    let (sessions, _) = without_numbers(&now)?;
    let shown = &sessions[0];
    let suppressed = shown["suppressed"].as_u64().unwrap_or_default();
    ensure!(suppressed >= 90, "sessions: {now}");
    let expected = session(express.bdf(), &truth, suppressed);
    ensure!(*shown == expected, "sessions: {now}");

    drop(nvme);
    lab.settle(express, &truth, Loss::None)?;
    // With a livepatch, a session ends shortly after its device is closed.
    wait_until(Duration::from_secs(10), || Ok(!kernel::has_sessions()))?;
    let after = tool(&["status"])?;
    ensure!(after["sessions"] == json!([]), "sessions: {after}");
    Ok(())
}

fn sessions_held(lab: &mut Lab) -> Result<()> {
    let device = Device::open(lab.express()?)?;
    let file = File::open(SESSIONS)?;
    let mode = file.metadata()?.permissions().mode() & 0o7777;
    ensure!(mode == 0o400, "{SESSIONS} has mode {mode:o}");
    // An open device holds the module too.
    drop(device);
    ensure!(
        lab.modules.unload().is_err(),
        "the module went away from under an open file"
    );
    drop(file);
    lab.modules.unload()?;
    ensure!(!Path::new(SESSIONS).exists(), "{SESSIONS} is still there");
    lab.modules.load(&[])?;
    ensure!(Path::new(SESSIONS).exists(), "{SESSIONS} is not there");
    lab.bind()
}

fn map(lab: &mut Lab) -> Result<()> {
    lab.unlimited()?;
    let mut devices = lab.kinds()?.to_vec();
    devices.push(lab.second_express()?);
    for bdf in devices {
        let size = sysfs::config(bdf)?.len();
        let drawn = tool(&["map", &bdf.to_string()])?;
        Device::open(bdf)?.read_vec(0, size)?;
        let recorded: Vec<Value> = lab
            .take(bdf)?
            .iter()
            .filter_map(|record| match record.kind {
                Kind::Access { offset, size, .. } => Some(json!({"offset": offset, "size": size})),
                _ => None,
            })
            .collect();
        ensure!(!recorded.is_empty(), "{bdf}: nothing was recorded");
        ensure!(
            drawn["unassigned"] == Value::Array(recorded.clone()),
            "{bdf}: recorded were {recorded:?}, and drawn is {drawn}"
        );
        ensure!(drawn["size"] == json!(size), "{bdf}: {drawn}");
    }
    Ok(())
}

fn report(lab: &mut Lab) -> Result<()> {
    let device = Device::open(lab.express()?)?;
    let (bdf, at) = (device.bdf(), spot(device.map())?);
    let mut truth = Truth::default();
    for _ in 0..40 {
        device.read_vec(at as u64, 4)?;
        truth.add(Op::Read, true, at..at + 4);
    }
    device.write(at as u64 + 16, &[0; 2])?;
    truth.add(Op::Write, true, at + 16..at + 18);
    let totals = lab.settle(device, &truth, Loss::None)?;

    let log = lab.audit().log();
    let log = log.to_str().context("the log's name")?;
    let told = tool(&["report", log])?;
    let [found] = &told["devices"].as_array().context("devices")?[..] else {
        anyhow::bail!("not one device: {told}");
    };
    let sums = |name: &str| -> u64 {
        let accesses = found["accesses"].as_array().into_iter().flatten();
        accesses.filter_map(|cell| cell[name].as_u64()).sum()
    };
    ensure!(
        (sums("recorded"), sums("suppressed"), sums("lost"))
            == (totals.records, totals.suppressed, totals.lost),
        "{totals:?}: {told}"
    );
    ensure!(told["broken_lines"] == json!(0), "{told}");
    ensure!(
        found["sessions"]["holders"][0]["last_pid"] == json!(std::process::id()),
        "{told}"
    );
    let advice = tool(&["advise", log])?;
    let exception = format!("8086:10d3@{:x}-{:x}", at + 16, at + 17);
    ensure!(
        advice["block_writes"]["uaccess_allow_ids"] == json!(exception),
        "{advice}"
    );
    let ranges = &advice["devices"][0]["writes"]["ranges"];
    ensure!(
        *ranges == json!([{"offset": at + 16, "size": 2}]),
        "{bdf}: {advice}"
    );
    // The kernel takes what is advised, and shows the same.
    let list = advice["block_both"]["uaccess_allow_ids"].as_str();
    let list = list.context("a list")?;
    ensure!(
        list.starts_with(&format!("8086:10d3@{at:x}-")),
        "{list}: {advice}"
    );
    kernel::set_parameter(kernel::ALLOW_IDS, list)?;
    let shown = kernel::parameter(kernel::ALLOW_IDS)?;
    ensure!(shown == list, "{list} is shown as {shown}");
    Ok(())
}
