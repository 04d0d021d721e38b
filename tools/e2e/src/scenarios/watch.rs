// SPDX-License-Identifier: GPL-2.0

//! The operator's tool, which tells of accesses while they happen.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{ensure, Context, Result};
use rustix::process::{kill_process, Pid, Signal};
use serde_json::{json, Value};
use vfio_client::Device;

use super::{spot, Scenario};
use crate::audit::wait_until;
use crate::command;
use crate::journald::Journald;
use crate::kernel;
use crate::lab::Lab;
use crate::observing::tool;
use crate::record::Kind;
use crate::virt;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "watch/no-daemon",
        "vfio-pci-audit watch tells every access once without an audit daemon",
        |lab| without_daemon(lab, seen_once),
    ),
    Scenario::new(
        "watch/daemon",
        "vfio-pci-audit watch tells every access once that an audit daemon logs as well",
        beside_daemon,
    ),
    Scenario::new(
        "watch/lost",
        "vfio-pci-audit watch says how many messages were lost while it was stopped",
        |lab| without_daemon(lab, lost),
    ),
    Scenario::new(
        "watch/alarm",
        "vfio-pci-audit watch ends with exit code 4 at the first write that is blocked",
        alarm,
    ),
    Scenario::new(
        "watch/journal",
        "vfio-pci-audit reads every access once from the journal of a host without an audit daemon",
        |lab| without_daemon(lab, journal),
    ),
    Scenario::new(
        "watch/vm",
        "vfio-pci-audit watch and report name the virtual machine that libvirt started",
        vm,
    ),
    Scenario::new(
        "watch/refused",
        "vfio-pci-audit watch says that it lacks CAP_AUDIT_READ, and that auditing is off",
        refused,
    ),
];

/// As long as anything of this may take, on a machine that is emulated and shared.
const PATIENCE: Duration = Duration::from_secs(60);
/// Nothing more comes after this.
const QUIET: Duration = Duration::from_secs(1);

/// The program while it runs.
struct Watch {
    child: Child,
    out: PathBuf,
    errors: PathBuf,
}

impl Watch {
    /// Start it, and wait until it listens.
    fn start(lab: &mut Lab, arguments: &[&str]) -> Result<Self> {
        let folder = lab.audit().log();
        let folder = folder.parent().context("the log has no folder")?;
        let (out, errors) = (folder.join("watch.out"), folder.join("watch.err"));
        let child = Command::new(tool()?)
            .args(["watch", "--format=json"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(File::create(&out)?)
            .stderr(File::create(&errors)?)
            .spawn()
            .context("vfio-pci-audit watch")?;
        let watch = Self { child, out, errors };
        let pid = watch.child.id();
        let listens = wait_until(PATIENCE, || Ok(kernel::audit_listener(pid)?.is_some()))?;
        ensure!(listens, "it does not listen: {}", watch.said()?);
        Ok(watch)
    }

    /// What it printed so far.
    fn rows(&self) -> Result<Vec<Value>> {
        let text = fs::read_to_string(&self.out)?;
        // The last line may be on its way.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let rows = whole.lines().map(serde_json::from_str);
        rows.collect::<Result<_, _>>().context("a row")
    }

    /// What it complained of so far.
    fn said(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.errors)?)
    }

    /// The rows as soon as there are this many of single accesses, and any that come behind them.
    fn wait_for(&self, accesses: usize) -> Result<Vec<Value>> {
        let count = || {
            let rows = self.rows()?;
            Ok::<_, anyhow::Error>(rows.iter().filter(|row| row["kind"] == "access").count())
        };
        wait_until(PATIENCE, || Ok(count()? >= accesses))?;
        std::thread::sleep(QUIET);
        self.rows()
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.child.id() as i32).context("it has no pid")?;
        kill_process(pid, signal).context("a signal for vfio-pci-audit watch")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Try something without an audit daemon. What the kernel holds for one is not for the scenario
/// that comes next.
fn without_daemon(lab: &mut Lab, what: fn(&mut Lab) -> Result<()>) -> Result<()> {
    lab.unlimited()?;
    lab.audit().stop(Signal::TERM)?;
    let result = what(lab);
    lab.audit().start()?;
    lab.audit().drain()?;
    result
}

/// Make accesses, of which some are blocked; what of them is expected to be told.
fn accesses(lab: &mut Lab) -> Result<Vec<Value>> {
    let device = Device::open(lab.express()?)?;
    let at = spot(device.map())?;
    let row = |op: &str, result: &str, offset: usize, size: usize| {
        json!({
            "device": device.bdf().to_string(),
            "op": op,
            "result": result,
            "offset": offset,
            "size": size,
        })
    };
    let mut expected = Vec::new();
    for blocked in [false, true] {
        lab.block(false, blocked)?;
        for number in 0..30 {
            let offset = at + number % 16;
            device.read_vec(offset as u64, 4)?;
            expected.push(row("read", "allowed", offset, 4));
            device.write(offset as u64, &[0])?;
            let result = if blocked { "blocked" } else { "allowed" };
            expected.push(row("write", result, offset, 1));
        }
    }
    Ok(expected)
}

/// Check that rows are those of accesses of this process, each once.
fn expect(rows: &[Value], expected: &[Value]) -> Result<()> {
    let told: Vec<Value> = rows
        .iter()
        .filter(|row| row["kind"] == "access")
        .map(|row| {
            json!({
                "device": row["device"],
                "op": row["op"],
                "result": row["result"],
                "offset": row["offset"],
                "size": row["size"],
            })
        })
        .collect();
    ensure!(
        told == expected,
        "told were {told:#?}, and expected {expected:#?}"
    );
    let ours = json!(std::process::id());
    let other = rows.iter().find(|row| row["pid"] != ours);
    ensure!(other.is_none(), "another process than {ours}: {other:?}");
    Ok(())
}

fn seen_once(lab: &mut Lab) -> Result<()> {
    let watch = Watch::start(lab, &[])?;
    let expected = accesses(lab)?;
    let rows = watch.wait_for(expected.len())?;
    expect(&rows, &expected)?;
    ensure!(watch.said()?.is_empty(), "it said {}", watch.said()?);
    Ok(())
}

fn beside_daemon(lab: &mut Lab) -> Result<()> {
    lab.unlimited()?;
    let bdf = lab.express()?;
    let watch = Watch::start(lab, &["--device", &bdf.to_string()])?;
    let follows = Watch::follow(lab)?;
    let expected = accesses(lab)?;
    for watch in [&watch, &follows] {
        expect(&watch.wait_for(expected.len())?, &expected)?;
        ensure!(watch.said()?.is_empty(), "it said {}", watch.said()?);
    }
    let logged = lab.records_of(bdf)?;
    let logged = logged
        .iter()
        .filter(|record| matches!(record.kind, Kind::Access { .. }));
    let serials: Vec<_> = logged.map(|record| json!(record.serial)).collect();
    let rows = watch.rows()?;
    let told: Vec<_> = rows.iter().map(|row| row["serial"].clone()).collect();
    ensure!(
        told == serials,
        "told were {told:?}, and logged {serials:?}"
    );
    Ok(())
}

impl Watch {
    /// Have it follow the daemon's log.
    fn follow(lab: &mut Lab) -> Result<Self> {
        let log = lab.audit().log();
        let folder = log.parent().context("the log has no folder")?;
        let (out, errors) = (folder.join("follow.out"), folder.join("follow.err"));
        let child = Command::new(tool()?)
            .args(["watch", "--format=json", "--since=today"])
            .arg(&log)
            .stdin(Stdio::null())
            .stdout(File::create(&out)?)
            .stderr(File::create(&errors)?)
            .spawn()
            .context("vfio-pci-audit watch")?;
        Ok(Self { child, out, errors })
    }
}

fn lost(lab: &mut Lab) -> Result<()> {
    /// Enough of them fill what the kernel keeps for a listener.
    const MOST: usize = 20_000;
    const AT_ONCE: usize = 100;

    // What is held for the next daemon is bounded by this, too.
    lab.audit().ctl(&["-b", "2000"])?;
    let device = Device::open(lab.express()?)?;
    let size = device.size();
    let mut watch = Watch::start(lab, &["--fail-on=lost"])?;
    watch.signal(Signal::STOP)?;
    let pid = watch.child.id();
    let mut dropped = 0;
    for _ in 0..MOST / AT_ONCE {
        for _ in 0..AT_ONCE {
            device.read_vec(0, size)?;
        }
        dropped = kernel::audit_listener(pid)?.context("it listens no more")?;
        if dropped > 0 {
            break;
        }
    }
    ensure!(dropped > 0, "the kernel kept everything");
    watch.signal(Signal::CONT)?;
    let ended = wait_until(PATIENCE, || Ok(watch.child.try_wait()?.is_some()))?;
    ensure!(ended, "it did not end: {}", watch.said()?);
    let code = watch.child.wait()?.code();
    ensure!(code == Some(4), "it ended with {code:?}: {}", watch.said()?);
    let rows = watch.rows()?;
    let last = rows.last().context("it told nothing")?;
    let messages = last["messages"].as_u64();
    lab.note(format!("{dropped} messages were lost while it was stopped"));
    ensure!(
        last["kind"] == "lost" && messages.is_some_and(|count| count >= dropped),
        "{dropped} were lost, and the last row is {last}"
    );
    let said = watch.said()?;
    ensure!(
        said.contains("were lost, which may have included accesses"),
        "it said {said}"
    );
    Ok(())
}

fn alarm(lab: &mut Lab) -> Result<()> {
    lab.unlimited()?;
    let told = lab.audit().log().with_file_name("told");
    let script = format!("cat >>{}", told.display());
    let mut watch = Watch::start(lab, &["--fail-on=blocked-write", "--exec", &script])?;
    let expected = accesses(lab)?;
    let ended = wait_until(PATIENCE, || Ok(watch.child.try_wait()?.is_some()))?;
    ensure!(ended, "it did not end: {}", watch.said()?);
    let code = watch.child.wait()?.code();
    ensure!(code == Some(4), "it ended with {code:?}: {}", watch.said()?);
    let first = expected.iter().position(|row| row["result"] == "blocked");
    let first = first.context("nothing was blocked")?;
    expect(&watch.rows()?, &expected[..=first])?;
    // The command got what was told.
    ensure!(
        fs::read_to_string(&told)? == fs::read_to_string(&watch.out)?,
        "the command got something else"
    );
    Ok(())
}

/// Check that a report of the tool has these accesses.
fn expect_report(input: &Path, arguments: &[&str], expected: &[Value]) -> Result<()> {
    let text = command::stdout_of_input(
        Command::new(tool()?)
            .args(["report", "--format=json"])
            .args(arguments),
        input,
    )?;
    let report: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
    let cells = report["devices"][0]["accesses"].as_array();
    for (op, result) in [
        ("read", "allowed"),
        ("write", "allowed"),
        ("write", "blocked"),
    ] {
        let is = |cell: &&Value| cell["op"] == op && cell["result"] == result;
        let recorded = cells.into_iter().flatten().find(is);
        let recorded = recorded.map(|cell| cell["recorded"].clone());
        let made = |row: &&Value| row["op"] == op && row["result"] == result;
        let made = expected.iter().filter(made).count();
        ensure!(
            recorded == Some(json!(made)),
            "{arguments:?}: of {made} {op}s {result} there are {recorded:?}: {text}"
        );
    }
    let pid = &report["devices"][0]["sessions"]["holders"][0]["last_pid"];
    ensure!(*pid == json!(std::process::id()), "{arguments:?}: {text}");
    ensure!(report["broken_lines"] == json!(0), "{arguments:?}: {text}");
    Ok(())
}

fn journal(lab: &mut Lab) -> Result<()> {
    let journald = Journald::start()?;
    kernel::wait_for_printk();
    // The kernel's log has records of what came before.
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let since = format!("--since=@{}.{:03}", now.as_secs(), now.subsec_millis());
    let expected = accesses(lab)?;
    let count = || {
        let entries = journald.print(&["--output=json", "_AUDIT_TYPE=1340"])?;
        Ok::<_, anyhow::Error>(
            entries
                .lines()
                .filter(|line| line.contains("offset="))
                .count(),
        )
    };
    wait_until(PATIENCE, || Ok(count()? >= expected.len()))?;
    // The kernel prints some of them as well, where no daemon takes them.
    let printed = journald.print(&["--output=cat", "_TRANSPORT=kernel"])?;
    let printed = printed.lines().filter(|line| line.contains("type=1340"));
    let printed = printed.count();
    lab.note(format!("the kernel printed {printed} records as well"));
    ensure!(printed > 0, "the kernel printed no record");
    let folder = lab.audit().log();
    for form in ["json", "export"] {
        let file = folder.with_file_name(form);
        journald.save(form, &file)?;
        expect_report(&file, &[&since, "-"], &expected)?;
    }
    // With no file named, and no log of a daemon's, it asks the journal itself.
    let root = folder.with_file_name("root");
    fs::create_dir_all(&root)?;
    let root = root.to_str().context("the folder's name")?;
    let arguments = [since.as_str(), "--root", root];
    expect_report(Path::new("/dev/null"), &arguments, &expected)
}

fn vm(lab: &mut Lab) -> Result<()> {
    const NAME: &str = "win 11";
    const UUID: &str = "8f3b2c11-1c2d-4e5f-8a9b-0c1d2e3f4a5b";

    lab.unlimited()?;
    // libaudit writes in hexadecimal what has a space.
    let written = "77696E203131";
    let watch = Watch::start(lab, &["--vm", NAME])?;
    virt::started(written, UUID, std::process::id())?;
    let expected = accesses(lab)?;
    expect(&watch.wait_for(expected.len())?, &expected)?;
    let rows = watch.rows()?;
    let named = |row: &Value| row["vm"] == NAME && row["uuid"] == UUID;
    ensure!(rows.iter().all(named), "{rows:#?}");
    lab.audit().drain()?;
    let log = lab.audit().log();
    let log = log.to_str().context("the log's name")?;
    expect_report(Path::new("/dev/null"), &["--vm", UUID, log], &expected)
}

fn refused(lab: &mut Lab) -> Result<()> {
    let setpriv = Path::new("/usr/bin/setpriv");
    ensure!(setpriv.exists(), "there is no {}", setpriv.display());
    let output = command::output(
        Command::new(setpriv)
            .args(["--bounding-set=-all", "--inh-caps=-all"])
            .arg(tool()?)
            .args(["watch", "--for=1s"]),
    )?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(3) && said.contains("CAP_AUDIT_READ"),
        "{}: {said}",
        output.status
    );
    lab.audit().ctl(&["-e", "0"])?;
    // The answer of a machine that is emulated and shared may take seconds.
    let output = command::output(Command::new(tool()?).args(["watch", "--for=10s"]))?;
    lab.audit().ctl(&["-e", "1"])?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(1) && said.contains("auditing is off"),
        "{}: {said}",
        output.status
    );
    Ok(())
}
