// SPDX-License-Identifier: GPL-2.0

//! All that CI runs: sets everything up, runs every kind of test, and counts.
//!
//! The scenarios are emulated, and half of the time they wait: three machines run a third of them
//! each. What else there is runs beside them, two parts at a time, and gives way to them. When the
//! scenarios have ended, their thread takes parts too. What a part prints is shown whole when it
//! has ended, so that nothing is mixed.

use std::fs::File;
use std::io::{self, Write};
use std::process::Stdio;
use std::sync::Mutex;
use std::thread::{self, ScopedJoinHandle};
use std::time::Instant;

use anyhow::{Context, Result};
use lab::ktap::Counts;
use lab::paths::{is_set, last_lines, Paths};
use lab::progress;

use crate::cli::prepare::{self, Part};
use crate::cli::queue::Queue;

/// One kind of test, or something that one wants.
struct Job {
    name: &'static str,
    /// Whether it has results to count.
    counts: bool,
    command: &'static [&'static str],
    /// What has to end before it begins.
    after: Option<&'static str>,
}

impl Job {
    const fn after(mut self, name: &'static str) -> Self {
        self.after = Some(name);
        self
    }
}

const fn test(name: &'static str, command: &'static [&'static str]) -> Job {
    Job {
        name,
        counts: true,
        command,
        after: None,
    }
}

const fn build(name: &'static str, command: &'static [&'static str]) -> Job {
    Job {
        name,
        counts: false,
        command,
        after: None,
    }
}

/// The program that this is, as `make` starts it.
const LAB: &str = "scripts/lab.sh";

/// What takes the processor that the scenarios do not, the longest parts first. Both "host" and
/// "lint" compile the host's tools, and cargo makes one wait for the other. While the kernel that
/// "lint" needs is built, "host" compiles.
const BESIDE: &[Job] = &[
    test("host", &["scripts/host-test.sh"]),
    build("kernel-y", &["scripts/build-kernel.sh", "y"]),
    test("lint", &[LAB, "check", "lint"]).after("kernel-y"),
    test("crash", &["scripts/crash.sh"]),
    build("kernel-novfio", &["scripts/build-kernel.sh", "novfio"]).after("kernel-y"),
    test("audit", &[LAB, "audit-suite"]),
    test("tree", &[LAB, "check", "tree"]),
    test(
        "e2e-builtin",
        &[LAB, "e2e", "--no-build", "--on", "builtin"],
    )
    .after("kernel-y"),
    test("e2e-novfio", &[LAB, "e2e", "--no-build", "--on", "novfio"]).after("kernel-novfio"),
    test("fits", &[LAB, "fits-check"]),
    test("kunit", &[LAB, "kunit"]).after("kernel-y"),
];

/// How many of these run at a time while scenarios do.
const AT_A_TIME: usize = 2;

/// The scenarios, a third of them each.
const SCENARIOS: &[Job] = &[
    test(
        "e2e-1",
        &[LAB, "e2e", "--no-build", "--on=modules", "--share=1/3"],
    ),
    test(
        "e2e-2",
        &[LAB, "e2e", "--no-build", "--on=modules", "--share=2/3"],
    ),
    test(
        "e2e-3",
        &[LAB, "e2e", "--no-build", "--on=modules", "--share=3/3"],
    ),
];

/// What only long runs have, and what takes the place of that in others: after the scenarios.
const SHORT: &[Job] = &[test(
    "observe",
    &[
        LAB,
        "observe",
        "--no-build",
        "--only",
        "observe/client",
        "--only",
        "observe/each",
        "--only",
        "observe/readers",
        "trixie",
    ],
)];
const LONG: &[Job] = &[
    test(
        "e2e-parallel",
        &[LAB, "e2e", "--no-build", "--on", "parallel"],
    ),
    test(
        "e2e-stock-guest",
        &[
            LAB,
            "e2e",
            "--no-build",
            "--on",
            "modules",
            "--stock-guest",
            "--only",
            "guest-driver/",
        ],
    ),
    test(
        "e2e-stock",
        &[
            LAB,
            "e2e",
            "--no-build",
            "--on",
            "stock",
            "--only",
            "guest-driver/",
        ],
    ),
    test(
        "observe-bookworm",
        &[LAB, "observe", "--no-build", "bookworm"],
    ),
    test("observe-trixie", &[LAB, "observe", "--no-build", "trixie"]),
    test("observe-stock", &[LAB, "observe", "--no-build", "stock"]),
    test("shell", &[LAB, "check", "shell"]),
    test("deb", &[LAB, "check", "deb"]),
    test("deb-tool", &[LAB, "check", "deb-tool"]),
];

/// The number of what a job needs.
fn needed(job: &Job) -> Option<usize> {
    let name = job.after?;
    let number = BESIDE.iter().position(|other| other.name == name);
    Some(number.expect("what a job needs is there"))
}

/// Run all of them; whether nothing failed. The last line is "N passed, N failed[, N skipped]".
pub(crate) fn run(paths: &Paths) -> Result<bool> {
    // Building cargo-deny takes 400 processor seconds. Licenses, sources and versions change with
    // Cargo.lock only, and "make lint" builds it too.
    let mut linters = vec!["scripts/setup.sh", "check"];
    linters.extend(is_set("LONG").then_some("deny"));
    let check =
        lab::progress::Step::new("setup-check", "installing what the linters want", &linters);
    let mut steps = prepare::steps(paths, &[Part::Setup]);
    steps.push(check);
    progress::run(paths, &steps)?;

    let beside = prepare::steps(paths, &[Part::Tests, Part::Audit, Part::UnpatchedAudit]);
    let mut parts = vec![Part::Qemu, Part::M, Part::Unpatched];
    parts.extend(is_set("LONG").then_some(Part::Dpdk));
    progress::run_beside(paths, &prepare::steps(paths, &parts), &beside)?;
    prepare::run(paths, &[Part::Guest])?;

    let total = Mutex::new(Counts::default());
    let queue = Queue::new(BESIDE.iter().map(needed).collect());
    let help = || queue.work(|job| one(paths, &BESIDE[job], true, &total));
    let scenarios = |job| one(paths, job, false, &total);
    let more = if is_set("LONG") { LONG } else { SHORT };
    thread::scope(|scope| -> Result<()> {
        let helpers = [(); AT_A_TIME].map(|()| scope.spawn(help));
        let machines: Vec<_> = SCENARIOS
            .iter()
            .map(|job| scope.spawn(|| scenarios(job)))
            .collect();
        let join = |thread: ScopedJoinHandle<'_, Result<()>>| {
            thread.join().expect("a test's thread does not panic")
        };
        // What follows may want another inner guest, of which there is one: they end first.
        let result = machines
            .into_iter()
            .map(join)
            .fold(Ok(()), Result::and)
            .and_then(|()| more.iter().try_for_each(scenarios))
            .and_then(|()| help());
        helpers.into_iter().map(join).fold(result, Result::and)
    })?;
    let total = total.into_inner().expect("no thread panicked");
    let Counts {
        passed,
        failed,
        skipped,
    } = total;
    match skipped {
        0 => println!("{passed} passed, {failed} failed"),
        _ => println!("{passed} passed, {failed} failed, {skipped} skipped"),
    }
    Ok(failed == 0)
}

fn one(paths: &Paths, job: &Job, gentle: bool, total: &Mutex<Counts>) -> Result<()> {
    let name = if job.counts {
        format!("test-{}", job.name)
    } else {
        job.name.to_owned()
    };
    let log = paths.log(&name);
    let shown = paths.show(&log);
    eprintln!("==> {}: begins (log: {shown})", job.name);
    let started = Instant::now();
    let nice = if gentle {
        &["nice", "-n", "19"][..]
    } else {
        &[]
    };
    let words: Vec<_> = nice
        .iter()
        .chain(job.command)
        .map(|&word| word.to_owned())
        .collect();
    let output = File::create(&log).with_context(|| log.display().to_string())?;
    let status = progress::command(paths, &words)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .status()
        .with_context(|| job.name)?;
    let seconds = started.elapsed().as_secs();
    let repeat = job.command.join(" ");
    if !job.counts {
        // What wanted it says so when it fails.
        if !status.success() {
            eprintln!(
                "==> {}: {status} after {seconds} s; the last lines of {shown}:\n{}\nTo repeat it \
                 alone: {repeat}",
                job.name,
                last_lines(&log, 25)
            );
        }
        return Ok(());
    }
    let mut counts = Counts::of(&paths.kernel_tree(), &log)?;
    // What failed without a result, or printed none, is a failure too.
    let silent = counts.passed + counts.failed == 0;
    if silent || (!status.success() && counts.failed == 0) {
        counts.failed += 1;
    }
    let text = std::fs::read(&log)?;
    let mut total = total.lock().expect("no thread panicked");
    *total += counts;
    let mut out = io::stdout().lock();
    writeln!(out, "==> {}: what it printed", job.name)?;
    out.write_all(&text)?;
    out.flush()?;
    eprintln!(
        "==> {}: {} passed, {} failed, {} skipped, in {seconds} s",
        job.name, counts.passed, counts.failed, counts.skipped
    );
    if counts.failed > 0 {
        let text = String::from_utf8_lossy(&text);
        for line in text
            .lines()
            .filter(|line| line.trim_start().starts_with("not ok "))
        {
            eprintln!("    {}", line.trim());
        }
        eprintln!("    {status}; its log is {shown}; to repeat it alone: {repeat}");
    }
    Ok(())
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn what_a_job_needs_comes_before_it() {
        Queue::new(BESIDE.iter().map(needed).collect());
    }
}
