// SPDX-License-Identifier: GPL-2.0

//! `vfio-pci-audit observe`: what it records of a kernel as it is, held against what the client
//! did, and against what the module records where the kernel has it, too.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{bail, ensure, Context, Result};
use rustix::process::Signal;
use vfio_client::stream::{self, Mix, Op, Plan};
use vfio_client::{Bdf, ConfigMap, Device};
use vfio_pci_observe::kernel::config_map_offset;

use super::{spot, Scenario};
use crate::account::{self, Loss, Truth};
use crate::audit::{search_in, wait_until};
use crate::command;
use crate::holder::Holder;
use crate::kernel;
use crate::lab::{Lab, Skip};
use crate::observing::{tool, Observing};
use crate::record::{Kind, Record};
use crate::trace;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "observe/client",
        "its records tell all that clients did to devices of every kind, by count and by place, \
         within the limits",
        client,
    ),
    Scenario::new(
        "observe/each",
        "without limits it has a record of each access, in order; by fentry, by kprobe, and \
         without the config map",
        each,
    ),
    Scenario::new(
        "observe/module",
        "access by access, session by session and process by process it writes what the module \
         does",
        module,
    ),
    Scenario::new(
        "observe/flood",
        "what comes while it cannot look is counted as lost, with its place, and nothing is \
         missing",
        flood,
    ),
    Scenario::new(
        "observe/open-before",
        "a device that was open before is seen from the next access on, and its session ends with \
         the last close",
        open_before,
    ),
    Scenario::new(
        "observe/waits",
        "it waits for vfio_pci_core to be loaded",
        waits,
    ),
    Scenario::new(
        "observe/capabilities",
        "CAP_BPF and CAP_PERFMON suffice, and it names what is missing of them",
        capabilities,
    ),
    Scenario::new(
        "observe/rotation",
        "after SIGHUP it goes on in a new log, and numbers go on in the next run",
        rotation,
    ),
    Scenario::new(
        "observe/readers",
        "ausearch, patched and not, report and advise read its log; advise says what blocking \
         takes on this kernel",
        readers,
    ),
];

const UNLIMITED: &[&str] = &["--rate", "0"];

/// Who may have perf events.
const PARANOID: &str = "/proc/sys/kernel/perf_event_paranoid";

/// The records of a device.
fn of(records: &[Record], bdf: Bdf) -> Vec<Record> {
    let device = bdf.to_string();
    let of_device = |record: &&Record| record.device == device;
    records.iter().filter(of_device).cloned().collect()
}

fn is_close(record: &Record) -> bool {
    matches!(record.kind, Kind::Close(_))
}

fn plan(seed: u64, count: u64) -> Plan {
    Plan {
        seed,
        count,
        threads: 1,
        mix: Mix::Both,
        max_size: 64,
        unassigned_only: false,
        write_assigned: false,
    }
}

/// A device, with the config map that this kernel's VFIO has of it.
///
/// Before Linux 7.0, and stable kernels of 2026, VFIO takes a PCI Express capability of version 2
/// to end before Link Status 2. Nothing else may differ from 7.3's map.
fn open(bdf: Bdf) -> Result<Device> {
    const LINK_STATUS_2: Range<usize> = 0x32..0x34;

    let device = Device::open(bdf)?;
    let member = config_map_offset(Path::new("/")).context("where the config map is")?;
    // The vendor is in no session's interest.
    let access = || Ok(device.read_vec(0, 2).map(drop)?);
    let map = trace::config_map(member, device.size(), access)?;
    let map = ConfigMap::from_owners(map);
    let mut capabilities = device.map().capabilities().iter();
    let express = capabilities.find(|cap| cap.name() == Some("PCI Express"));
    for byte in 0..device.size() {
        let may_differ = express.is_some_and(|cap| {
            byte.checked_sub(cap.offset)
                .is_some_and(|at| LINK_STATUS_2.contains(&at))
        });
        ensure!(
            may_differ || map.unassigned(byte) == device.map().unassigned(byte),
            "{bdf}: byte {byte:#x} is unassigned in one map only: in the kernel's, {}",
            map.unassigned(byte)
        );
    }
    Ok(device.with_map(map))
}

/// Have a client make random accesses, which the truth is told of.
fn play(device: &Device, plan: &Plan, truth: &mut Truth) -> Result<()> {
    let done = stream::sum(&stream::run(device, plan)?);
    truth.add_stream(&done, true, true);
    Ok(())
}

fn client(lab: &mut Lab) -> Result<()> {
    let mut observing = Observing::start(&[])?;
    let mut truths = Vec::new();
    for (seed, bdf) in lab.kinds()?.into_iter().enumerate() {
        let device = open(bdf)?;
        let mut truth = Truth::default();
        let threads = Plan {
            threads: 2,
            ..plan(seed as u64 + 1, 400)
        };
        play(&device, &threads, &mut truth)?;
        truths.push((bdf, truth));
    }
    observing.until_recorded(truths.len(), is_close)?;
    let records = observing.stop()?;
    for (bdf, truth) in &truths {
        let records = of(&records, *bdf);
        let totals = account::check(&records, truth, Loss::None)
            .with_context(|| format!("the account of {bdf}"))?;
        ensure!(
            totals.suppressed > 0 && totals.records <= 60,
            "{bdf}: the limits did not hold: {totals:?}"
        );
    }
    let said = observing.said()?;
    ensure!(said.contains("nothing is blocked"), "it said {said}");
    Ok(())
}

/// Make the accesses of a plan in this thread, which the truth is told of; what the records of them
/// should say, without sessions.
fn act(device: &Device, plan: &Plan, truth: &mut Truth) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    let mut generator = stream::Generator::new(plan, 0, device.map());
    let mut buffer = Vec::new();
    for _ in 0..plan.count {
        let access = generator.access().context("no access can be made")?;
        generator.perform(device, access, &mut buffer)?;
        for run in device
            .map()
            .runs(access.offset..access.offset + access.size)
        {
            texts.push(super::access_text(
                device.bdf(),
                access.op,
                run.start,
                run.len(),
                true,
            ));
            truth.add(access.op, true, run);
        }
    }
    Ok(texts)
}

fn each(lab: &mut Lab) -> Result<()> {
    for way in ["fentry", "kprobe", "kprobe-without-map"] {
        let mut observing = Observing::start(&["--rate", "0", "--by", way])?;
        let device = open(lab.express()?)?;
        let plan = plan(7, 300);
        let mut truth = Truth::default();
        let expected = act(&device, &plan, &mut truth)?;
        let bdf = device.bdf();
        drop(device);
        observing.until_recorded(1, is_close)?;
        let records = observing.stop()?;
        account::check(&of(&records, bdf), &truth, Loss::None).context(way)?;
        let found = super::access_texts(&records);
        ensure!(
            found == expected,
            "by {way} there are {} records of {} accesses: {found:#?}",
            found.len(),
            expected.len()
        );
        lab.note(format!(
            "by {way}: {} accesses, each recorded",
            expected.len()
        ));
    }
    Ok(())
}

/// Everything that a record says but the number of its session.
fn texts(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.plain.as_str()).collect()
}

/// Whether what was observed is what the module recorded. Only `/proc` has the security context of
/// a process, and for as long as the process lives.
fn is_same(recorded: &Record, observed: &Record) -> bool {
    let without_subject = || {
        let (before, subject) = recorded.plain.split_once(" subj=")?;
        Some(format!("{before}{}", &subject[subject.find(' ')?..]))
    };
    recorded.plain == observed.plain || without_subject().as_ref() == Some(&observed.plain)
}

fn module(lab: &mut Lab) -> Result<()> {
    if !kernel::has_policy() {
        bail!(Skip(
            "this kernel has no vfio_pci_audit to compare with".into()
        ));
    }
    lab.unlimited()?;
    let mut observing = Observing::start(UNLIMITED)?;
    let kinds = lab.kinds()?;
    for (seed, bdf) in kinds.into_iter().enumerate() {
        let device = Device::open(bdf)?;
        stream::run(&device, &plan(seed as u64 + 11, 400))?;
        device.read_vec(0, device.size())?;
    }
    // Two processes of one session, one of which is soon gone, and another program.
    let bdf = lab.express()?;
    let at = spot(Device::open(bdf)?.map())?;
    let mut holder = Holder::start(bdf)?;
    holder.read(at)?;
    holder.read_in_children(3, at + 4)?;
    holder.exec(&crate::holder::program()?)?;
    holder.read(at + 8)?;
    holder.kill()?;

    observing.until_recorded(kinds.len() + 1, is_close)?;
    let observed = observing.stop()?;
    for bdf in kinds {
        let observed = of(&observed, bdf);
        let mut recorded = Vec::new();
        wait_until(Duration::from_secs(15), || {
            recorded = lab.records_of(bdf)?;
            Ok(recorded.len() >= observed.len())
        })?;
        let same = recorded.len() == observed.len()
            && recorded
                .iter()
                .zip(&observed)
                .all(|(one, other)| is_same(one, other));
        ensure!(
            same,
            "of {bdf} the module recorded {:#?}, and observed were {:#?}",
            texts(&recorded),
            texts(&observed)
        );
        lab.note(format!("{bdf}: {} records, all the same", observed.len()));
    }
    Ok(())
}

fn flood(lab: &mut Lab) -> Result<()> {
    let device = Device::open(lab.express()?)?;
    let mut observing = Observing::start(&[])?;
    let mut truth = Truth::default();
    play(&device, &plan(3, 50), &mut truth)?;
    observing.until_recorded(1, Record::is_access)?;
    // As if there were no processor for it. The ring has room for a hundred thousand.
    observing.signal(Signal::STOP)?;
    let at = spot(device.map())?;
    for number in 0..95_000 {
        let offset = at + number % 8;
        device.read_vec(offset as u64, 1)?;
        truth.add(Op::Read, true, offset..offset + 1);
    }
    let writes = Plan {
        mix: Mix::Writes,
        unassigned_only: true,
        ..plan(4, 5_000)
    };
    play(&device, &writes, &mut truth)?;
    observing.signal(Signal::CONT)?;
    let bdf = device.bdf();
    drop(device);
    observing.until_recorded(1, is_close)?;
    let records = of(&observing.stop()?, bdf);
    let totals = account::check(&records, &truth, Loss::Refused)?;
    ensure!(totals.lost > 0, "nothing was lost: {totals:?}");
    let said = observing.said()?;
    let told = format!("{} of them came faster", totals.lost);
    ensure!(said.contains(&told), "{totals:?}, and it said {said}");
    lab.note(format!(
        "of {} accesses {} found no room",
        totals.reads + totals.writes,
        totals.lost
    ));
    Ok(())
}

fn open_before(lab: &mut Lab) -> Result<()> {
    let device = Device::open(lab.express()?)?;
    let at = spot(device.map())?;
    device.read_vec(at as u64, 4)?;
    let mut observing = Observing::start(UNLIMITED)?;
    device.write(at as u64, &[1, 2])?;
    let again = device.open_again()?;
    drop(device);
    again.read_vec(at as u64, 4)?;
    drop(again);
    observing.until_recorded(1, is_close)?;
    // One that is open at the end is told as far as it was seen.
    let device = Device::open(lab.express()?)?;
    device.read_vec(at as u64 + 1, 1)?;
    observing.until_recorded(3, Record::is_access)?;
    let records = observing.stop()?;
    let ops: Vec<_> = records
        .iter()
        .map(|record| record.plain.split(' ').nth(1).unwrap_or_default())
        .collect();
    ensure!(
        ops == ["op=open", "op=write", "op=read", "op=close", "op=open", "op=read", "op=close"],
        "recorded were {:#?}",
        texts(&records)
    );
    Ok(())
}

fn waits(lab: &mut Lab) -> Result<()> {
    lab.modules.unload()?;
    let mut command = Command::new(tool()?);
    let mut observing = Observing::spawn(command.arg("observe"), UNLIMITED)?;
    observing.until("waiting for vfio_pci_core to be loaded")?;
    lab.modules.load(&[])?;
    observing.until("observing by ")?;
    lab.bind()?;
    let device = Device::open(lab.express()?)?;
    device.read_vec(spot(device.map())? as u64, 4)?;
    drop(device);
    observing.until_recorded(1, is_close)?;
    observing.stop().map(drop)
}

/// `observe` of another user, who has these capabilities of root's.
fn unprivileged(capabilities: &str) -> Result<Command> {
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(format!("--inh-caps={capabilities}"))
        .arg(format!("--ambient-caps={capabilities}"))
        .arg(tool()?)
        .arg("observe");
    Ok(command)
}

fn capabilities(lab: &mut Lab) -> Result<()> {
    let mut lacking = Observing::spawn(&mut unprivileged("-all,+perfmon")?, &[])?;
    ensure!(
        lacking.exit_code()? == Some(3),
        "it said {}",
        lacking.said()?
    );
    lacking.until("this needs root, or the capabilities CAP_BPF\n")?;
    drop(lacking);

    // Debian leaves perf events to root, which it says; then it is allowed.
    let mut command = unprivileged("-all,+perfmon,+bpf")?;
    fs::write(PARANOID, "3")?;
    let mut lacking = Observing::spawn(&mut command, &[])?;
    ensure!(
        lacking.exit_code()? == Some(3),
        "it said {}",
        lacking.said()?
    );
    lacking.until("sysctl kernel.perf_event_paranoid=2")?;
    drop(lacking);
    fs::write(PARANOID, "2")?;
    let command = unprivileged("-all,+perfmon,+bpf")?;
    // Its log is in a folder of root's.
    let mut observing = Observing::spawn(
        Command::new("sh")
            .args(["-c", "chmod 777 /run/e2e/observe && exec \"$@\"", "sh"])
            .arg(command.get_program())
            .args(command.get_args()),
        UNLIMITED,
    )?;
    observing.until("observing by kprobe;")?;
    let device = Device::open(lab.express()?)?;
    let (bdf, plan) = (device.bdf(), plan(5, 100));
    let expected = act(&device, &plan, &mut Truth::default())?;
    drop(device);
    observing.until_recorded(1, is_close)?;
    let records = of(&observing.stop()?, bdf);
    ensure!(
        super::access_texts(&records) == expected,
        "recorded were {:#?}",
        texts(&records)
    );
    Ok(())
}

fn rotation(lab: &mut Lab) -> Result<()> {
    let mut observing = Observing::start(UNLIMITED)?;
    let device = Device::open(lab.express()?)?;
    let at = spot(device.map())?;
    device.read_vec(at as u64, 4)?;
    observing.until_recorded(1, Record::is_access)?;
    let old = observing.log().with_extension("1");
    fs::rename(observing.log(), &old)?;
    observing.signal(Signal::HUP)?;
    let reopened = wait_until(Duration::from_secs(10), || Ok(observing.log().exists()))?;
    ensure!(reopened, "there is no new log: {}", observing.said()?);
    device.read_vec(at as u64, 2)?;
    drop(device);
    observing.until_recorded(1, is_close)?;
    let records = observing.stop()?;
    let text = fs::read_to_string(old)?;
    // Each begins with the names of the machine and of the kernel.
    ensure!(text.lines().count() == 3, "the old log has {text}");
    ensure!(records.len() == 2, "the new log has {records:#?}");
    ensure!(records[0].serial == 5, "numbers do not go on: {records:#?}");
    Ok(())
}

fn readers(lab: &mut Lab) -> Result<()> {
    let mut observing = Observing::start(&[])?;
    let device = Device::open(lab.express()?)?;
    let (bdf, at) = (device.bdf(), spot(device.map())?);
    for number in 0..60 {
        device.write((at + number % 4) as u64, &[0])?;
    }
    drop(device);
    observing.until_recorded(1, is_close)?;
    let records = observing.stop()?;
    let log = observing.log();
    for (prefix, kind) in [("audit", "PCI"), ("audit-unpatched", "1340")] {
        let found = search_in(&lab.build.join(prefix), &log, &["-m", kind, "--raw"])?;
        let mut found = crate::record::parse_all(&found)?;
        // ausearch keeps events for two seconds, and then prints them in the order of its slots.
        found.sort_by_key(|record| record.serial);
        ensure!(found == records, "{prefix}: {found:#?}");
    }
    let tell = |what: &str| command::stdout(Command::new(tool()?).arg(what).arg(&log));
    let report = tell("report")?;
    let writes = report
        .lines()
        .find_map(|line| line.trim().strip_prefix("write allowed"));
    let writes: Option<u64> = writes.map(|line| {
        let numbers = line.split_whitespace();
        numbers
            .filter_map(|number| number.parse::<u64>().ok())
            .sum()
    });
    ensure!(
        report.contains(&bdf.to_string()) && writes == Some(60),
        "report prints {report}"
    );
    let advice = tell("advise")?;
    ensure!(
        advice.contains("60 accesses") && advice.contains(&format!("{at:#x}")),
        "advise prints {advice}"
    );
    let way = match kernel::has_policy() {
        true => "block_pci_unassigned_write=Y",
        false => "cannot block: it lacks",
    };
    ensure!(
        advice.contains(way),
        "advise does not say {way:?}: {advice}"
    );
    Ok(())
}
