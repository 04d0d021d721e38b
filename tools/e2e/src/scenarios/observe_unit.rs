// SPDX-License-Identifier: GPL-2.0

//! `vfio-pci-audit observe` as a service: a systemd of its own runs the unit, and logrotate turns
//! its log over.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{bail, ensure, Context, Result};
use rustix::process::{kill_process_group, Pid, Signal};
use vfio_client::Device;

use super::{spot, Scenario};
use crate::audit::wait_until;
use crate::command;
use crate::kernel;
use crate::lab::{Lab, Skip};
use crate::observing::{tool, BTF};
use crate::record::{self, Kind, Record};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario::new(
    "observe/unit",
    "systemd takes the unit, starts it again after it was killed, and logrotate turns its log over",
    unit,
)];

const UNIT: &str = "vfio-pci-audit-observe.service";
const ROTATION: &str = "vfio-pci-audit-observe.logrotate";
const PROGRAM: &str = "/usr/bin/vfio-pci-audit";
const LOGS: &str = "/var/log/vfio-pci-audit";

/// Where systemd finds its units: ours, and the targets that every service depends on.
const UNITS: &str = "/run/e2e/units";
const TARGETS: [&str; 5] = ["sysinit", "basic", "multi-user", "shutdown", "lab"];

/// What the service says.
const SAID: &str = "/run/e2e/observe-said";

/// How long an emulated machine may take for one thing.
const PATIENCE: Duration = Duration::from_secs(60);

/// A systemd that is the first process of a namespace, which ends when this is dropped.
struct Systemd {
    unshare: Child,
    pid: String,
}

impl Systemd {
    fn start() -> Result<Self> {
        let text = "mkdir -p /sys/fs/cgroup/lab && echo $$ >/sys/fs/cgroup/lab/cgroup.procs && \
                    exec unshare --cgroup --pid --fork --mount --mount-proc --kill-child sh -c \
                    'umount -l /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && \
                     exec /lib/systemd/systemd --system --unit=lab.target --log-target=console'";
        let log = fs::File::create("/run/e2e/systemd")?;
        let unshare = Command::new("sh")
            .args(["-c", text])
            .env("container", "lab")
            .env("SYSTEMD_UNIT_PATH", UNITS)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .context("unshare")?;
        let mut systemd = Self {
            pid: String::new(),
            unshare,
        };
        let parent = systemd.unshare.id();
        let children = format!("/proc/{parent}/task/{parent}/children");
        let there = wait_until(PATIENCE, || {
            systemd.pid = fs::read_to_string(&children).unwrap_or_default();
            systemd.pid = systemd.pid.trim().to_owned();
            Ok(!systemd.pid.is_empty()
                && systemd
                    .run(&["systemctl", "is-active", "lab.target"])
                    .is_ok())
        })?;
        let said = || fs::read_to_string("/run/e2e/systemd").unwrap_or_default();
        ensure!(there, "systemd does not run: {}", said());
        Ok(systemd)
    }

    /// Run a command where it runs; what it prints.
    fn run(&self, words: &[&str]) -> Result<String> {
        let mut nsenter = Command::new("nsenter");
        nsenter.args(["--target", &self.pid, "--mount", "--pid", "--cgroup", "--"]);
        command::stdout(nsenter.args(words))
    }

    /// What it knows of the unit.
    fn show(&self, property: &str) -> Result<String> {
        let text = self.run(&["systemctl", "show", "--value", "--property", property, UNIT])?;
        Ok(text.trim().to_owned())
    }

    fn until(&self, property: &str, wanted: impl Fn(&str) -> bool) -> Result<()> {
        let there = wait_until(PATIENCE, || Ok(wanted(&self.show(property)?)))?;
        ensure!(
            there,
            "{property} of the unit stays {}: {}",
            self.show(property)?,
            fs::read_to_string("/run/e2e/systemd")?
        );
        Ok(())
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        if let Some(pid) = Pid::from_raw(self.unshare.id() as i32) {
            // With the first process of the namespace, all of its processes end.
            let _ = kill_process_group(pid, Signal::KILL);
        }
        let _ = self.unshare.wait();
    }
}

/// The records of a log so far, and the text of its first line.
fn read(log: &str) -> Result<(Vec<Record>, String)> {
    let file = Path::new(LOGS).join(log);
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let first = whole.lines().next().unwrap_or_default().to_owned();
    Ok((record::parse_all(whole)?, first))
}

fn until_recorded(log: &str, wanted: impl Fn(&Record) -> bool) -> Result<Record> {
    let mut found = None;
    wait_until(PATIENCE, || {
        let (records, _) = read(log)?;
        found = records.into_iter().find(|record| wanted(record));
        Ok(found.is_some())
    })?;
    found.with_context(|| format!("it is not in {log}: {:#?}", read(log)))
}

fn mode(path: &str) -> Result<u32> {
    Ok(fs::metadata(path)
        .context(path.to_owned())?
        .permissions()
        .mode()
        & 0o777)
}

fn unit(lab: &mut Lab) -> Result<()> {
    if !Path::new(BTF).exists() {
        bail!(Skip("this kernel does not show its types to BPF".into()));
    }
    for program in ["/lib/systemd/systemd", "/usr/sbin/logrotate"] {
        if !Path::new(program).exists() {
            bail!(Skip(format!("there is no {program}")));
        }
    }
    let packaging = lab.top.join("packaging");
    let _ = fs::remove_dir_all(LOGS);
    fs::create_dir_all(UNITS)?;
    fs::copy(packaging.join(UNIT), Path::new(UNITS).join(UNIT))?;
    for target in TARGETS {
        let text = "[Unit]\nDefaultDependencies=no\n";
        fs::write(Path::new(UNITS).join(format!("{target}.target")), text)?;
    }
    // There is no journal for what it says.
    let more = Path::new(UNITS).join(format!("{UNIT}.d"));
    fs::create_dir_all(&more)?;
    let text = format!("[Service]\nStandardError=append:{SAID}\n");
    fs::write(more.join("said.conf"), text)?;
    let _ = fs::remove_file(SAID);
    fs::copy(tool()?, PROGRAM).context(PROGRAM)?;
    command::stdout(
        Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .arg(Path::new(UNITS).join(UNIT))
            .env("SYSTEMD_UNIT_PATH", UNITS),
    )?;

    let systemd = Systemd::start()?;
    systemd.run(&["systemctl", "start", UNIT])?;
    if kernel::has_policy() {
        let state = (
            systemd.show("ActiveState")?,
            systemd.show("ConditionResult")?,
        );
        ensure!(
            state == ("inactive".to_owned(), "no".to_owned()),
            "beside the module it is {state:?}"
        );
        return Ok(());
    }
    systemd.until("ActiveState", |state| state == "active")?;
    let (old, first) = ("observe.log.1", |line: &str| {
        line.contains(" type=DAEMON_START ")
    });
    let observing = || {
        let said = fs::read_to_string(SAID).unwrap_or_default();
        Ok::<_, anyhow::Error>(said.matches("observing by fentry").count())
    };
    ensure!(
        wait_until(PATIENCE, || Ok(observing()? == 1))?,
        "it does not observe"
    );

    let device = Device::open(lab.express()?)?;
    let at = spot(device.map())? as u64;
    device.read_vec(at, 4)?;
    let before = until_recorded("observe.log", Record::is_access)?;
    let modes = (mode(LOGS)?, mode(&format!("{LOGS}/observe.log"))?);
    ensure!(
        modes == (0o700, 0o600),
        "its log has the modes {:o} and {:o}",
        modes.0,
        modes.1
    );

    // As logrotate's timer does it, whatever the log's age.
    let configuration = "/run/e2e/rotation";
    fs::copy(packaging.join(ROTATION), configuration)?;
    systemd.run(&[
        "/usr/sbin/logrotate",
        "--force",
        "--state=/run/e2e/rotation.state",
        configuration,
    ])?;
    ensure!(
        wait_until(PATIENCE, || Ok(first(&read("observe.log")?.1)))?,
        "there is no new log"
    );
    device.write(at, &[0])?;
    let after = until_recorded("observe.log", Record::is_access)?;
    ensure!(
        after.serial == before.serial + 2 && after.session == before.session,
        "{} follows {}",
        after.text,
        before.text
    );
    let (records, line) = read(old)?;
    ensure!(first(&line), "the old log begins with {line}");
    ensure!(records.len() == 2, "the old log has {records:#?}");

    // After it was killed it is started again, and goes on with the next session.
    systemd.run(&["systemctl", "kill", "--signal=KILL", UNIT])?;
    systemd.until("NRestarts", |restarts| restarts == "1")?;
    ensure!(
        wait_until(PATIENCE, || Ok(observing()? == 2))?,
        "it does not observe again"
    );
    device.write(at + 1, &[0])?;
    let next = until_recorded("observe.log", |record| {
        record.is_access() && record.serial > after.serial
    })?;
    ensure!(
        next.session > after.session,
        "{} follows {}",
        next.text,
        after.text
    );

    systemd.run(&["systemctl", "stop", UNIT])?;
    ensure!(
        systemd.show("Result")? == "success",
        "it ended with {}",
        systemd.show("Result")?
    );
    until_recorded("observe.log", |record| {
        matches!(record.kind, Kind::Close(_)) && record.session == next.session
    })
    .map(drop)
}
