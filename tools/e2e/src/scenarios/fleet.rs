// SPDX-License-Identifier: GPL-2.0

//! Many hosts: records that are sent to another host, and records that audit rules exclude.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{ensure, Context, Result};
use rustix::process::Signal;
use vfio_client::stream::Op;
use vfio_client::Device;

use super::{access_text, audit_reads, every_kind, spot, Scenario};
use crate::account::{Loss, Truth};
use crate::audit::wait_until;
use crate::collector::Collector;
use crate::lab::Lab;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "fleet/forwarding",
        "audisp-remote brings records of every kind to another daemon, with the name of the host",
        forwarding,
    ),
    Scenario::new(
        "fleet/dropping",
        "an exclude rule by message type drops PCI records and nothing else; the session knows",
        dropping,
    ),
    Scenario::new(
        "fleet/keeping",
        "an exclude rule for the types below keeps PCI records and drops what surrounds them",
        keeping,
    ),
];

/// See audisp-remote.conf(5). The path of this file is compiled in.
const REMOTE: &str = "/etc/audit/audisp-remote.conf";
const PORT: u16 = 60;
const NODE: &str = "e2e-host";

/// Writes a configuration file with the permissions that audit requires.
fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o640)))
        .with_context(|| path.display().to_string())
}

fn forwarding(lab: &mut Lab) -> Result<()> {
    let prefix = lab.audit().prefix().to_owned();
    let conf = lab.audit().configuration_file();
    let folder = conf.with_file_name("collector");
    let collector = Collector::start(&prefix, folder, PORT)?;

    // As Documentation/admin-guide/vfio-pci-audit.rst describes.
    fs::create_dir_all(Path::new(REMOTE).with_file_name(""))?;
    write(
        Path::new(REMOTE),
        &format!(
            "remote_server = 127.0.0.1\nport = {PORT}\ntransport = tcp\nmode = \
             immediate\nformat = managed\n"
        ),
    )?;
    let plugin = conf.with_file_name("plugins.d").join("au-remote.conf");
    let program = prefix.join("sbin/audisp-remote");
    write(
        &plugin,
        &format!(
            "active = yes\ndirection = out\npath = {}\ntype = always\nformat = string\n",
            program.display()
        ),
    )?;
    let named = fs::read_to_string(&conf)?.replace(
        "name_format = NONE",
        &format!("name_format = USER\nname = {NODE}"),
    );
    fs::write(&conf, named)?;
    lab.audit().stop(Signal::TERM)?;
    lab.audit().start()?;

    let records = every_kind(lab)?;
    let mut found = Vec::new();
    let all = wait_until(Duration::from_secs(30), || {
        found = collector.records(NODE)?;
        Ok(found.len() >= records.len())
    })?;
    lab.note(format!("{} records came over", found.len()));
    ensure!(
        all && found == records,
        "the collector has {found:#?}, expected {records:#?}"
    );
    ensure!(
        collector.records("another-host")?.is_empty(),
        "records of a host that sent none"
    );
    Ok(())
}

fn dropping(lab: &mut Lab) -> Result<()> {
    let bdf = lab.express()?;
    let device = Device::open(bdf)?;
    let at = spot(device.map())?;
    let mut truth = Truth::default();
    let mut read = |device: &Device| -> Result<()> {
        truth.add(Op::Read, true, at..at + 4);
        device.read_vec(at as u64, 4)?;
        Ok(())
    };
    // The name of the record type resolves to its number: a rule that was added with one is deleted
    // with the other.
    lab.audit()
        .ctl(&["-a", "always,exclude", "-F", "msgtype=1340"])?;
    read(&device)?;
    read(&device)?;
    // The message that is waited for is a record too, and is not excluded.
    let records = lab.take(bdf)?;
    ensure!(records.is_empty(), "the rule lets through {records:?}");
    lab.audit()
        .ctl(&["-d", "always,exclude", "-F", "msgtype=PCI"])?;
    read(&device)?;
    let records = lab.take(bdf)?;
    ensure!(
        records
            .iter()
            .any(|record| record.plain == access_text(bdf, Op::Read, at, 4, true)),
        "without a rule there is only {records:?}"
    );
    let totals = lab.settle(device, &truth, Loss::Refused)?;
    ensure!(
        totals.lost == 2 && totals.records == 1,
        "two were dropped, and the session says {totals:?}"
    );
    Ok(())
}

fn keeping(lab: &mut Lab) -> Result<()> {
    let device = Device::open(lab.express()?)?;
    let at = spot(device.map())?;
    // Number of records of the system call's event that come with a read. The access always has its
    // own record.
    let read = |lab: &mut Lab| -> Result<usize> {
        lab.audit().forget()?;
        device.read_vec(at as u64, 4)?;
        let lines = lab.audit().lines()?;
        let count = |kind: &str| lines.iter().filter(|line| line.contains(kind)).count();
        ensure!(count(" op=read ") == 1, "the log has {lines:#?}");
        Ok(count("type=SYSCALL "))
    };
    let below = [
        "always,exclude",
        "-F",
        "msgtype>=1300",
        "-F",
        "msgtype<1340",
    ];
    audit_reads(lab)?;
    ensure!(read(lab)? > 0, "no SYSCALL without a rule");
    lab.audit().ctl(&[["-a"].as_slice(), &below].concat())?;
    ensure!(read(lab)? == 0, "SYSCALL is not dropped");
    lab.audit().ctl(&[["-d"].as_slice(), &below].concat())?;
    ensure!(read(lab)? > 0, "SYSCALL stays away");
    Ok(())
}
