// SPDX-License-Identifier: GPL-2.0

//! Programs of a fuzzer for the kernel: those that it found are run again, or it looks for more.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use pci_audit_fuzz::accesses::{Done, Kcov, Machine};
use vfio_client::Bdf;

use super::{touch, Scenario};
use crate::account::{Loss, Truth};
use crate::lab::{Lab, Skip};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "fuzzing/corpus",
        "every program that the fuzzer kept does what the model says, and all of it adds up",
        corpus,
    ),
    Scenario::new(
        "fuzzing/guided",
        "nor does the fuzzer find another one (FUZZ_SECONDS; needs a kernel with KCOV)",
        guided,
    )
    .long(),
];

/// The programs, in the repository.
const CORPUS: &str = "tools/fuzz/programs";

/// Time of the fuzzer between two looks at the account.
const SLICE: u64 = 600;

/// The devices: one with 4096 bytes and one with 256.
fn devices(lab: &Lab) -> Result<[Bdf; 2]> {
    Ok([lab.express()?, lab.conventional()?])
}

/// Checks the account of all devices, and forgets it.
fn settle(lab: &mut Lab, devices: &[Bdf], truths: &mut [Truth]) -> Result<()> {
    // Reports may be delayed for minutes.
    lab.fill()?;
    for (&bdf, truth) in devices.iter().zip(truths) {
        touch(bdf, Some(truth))?;
        let totals = lab.settle_all(bdf, truth, Loss::None)?;
        lab.note(format!("{bdf}: {totals:?}"));
    }
    lab.forget_all()
}

fn corpus(lab: &mut Lab) -> Result<()> {
    let devices = devices(lab)?;
    let mut files: Vec<PathBuf> = fs::read_dir(lab.top.join(CORPUS))
        .context(CORPUS)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.sort();
    ensure!(!files.is_empty(), "{CORPUS} has no programs");
    lab.audit().ctl(&["-b", "0"])?;

    let mut truths = [Truth::default(), Truth::default()];
    let mut machine = Machine::new(&devices)?;
    let kcov = Kcov::is_there().then(Kcov::start).transpose()?;
    let mut passed = BTreeSet::new();
    for file in &files {
        if let Some(kcov) = &kcov {
            kcov.clear();
        }
        let program = fs::read(file)?;
        machine
            .run(&program, |done| {
                truths[done.device].add(done.op, done.allowed, done.bytes);
            })
            .with_context(|| file.display().to_string())?;
        passed.extend(kcov.iter().flat_map(Kcov::passed));
    }
    // A session that is open has no account yet.
    drop(machine);
    lab.note(format!("{} programs", files.len()));
    if kcov.is_some() {
        covered(lab, &passed)?;
    }
    settle(lab, &devices, &mut truths)
}

/// Says where the places are that were passed. Modules of Rust are among them.
fn covered(lab: &mut Lab, passed: &BTreeSet<usize>) -> Result<()> {
    let modules = fs::read_to_string("/proc/modules")?;
    for name in ["vfio_pci_audit", "pci_audit", "vfio_pci_core"] {
        let words = modules
            .lines()
            .map(|line| line.split(' ').collect::<Vec<_>>())
            .find(|words| words[0] == name)
            .with_context(|| format!("{name} is not loaded"))?;
        let size: usize = words[1].parse().context("a module's size")?;
        let start = words.get(5).and_then(|word| word.strip_prefix("0x"));
        let start = usize::from_str_radix(start.context("a module's address")?, 16)?;
        let places = passed.range(start..start + size).count();
        lab.note(format!("{places} places of {name} were passed"));
        ensure!(places > 0, "KCOV sees nothing of {name}");
    }
    Ok(())
}

/// Reads the accesses that the fuzzer made.
fn read_done(file: &Path, truths: &mut [Truth; 2]) -> Result<u64> {
    let mut count = 0;
    for line in BufReader::new(fs::File::open(file)?).lines() {
        let line = line?;
        let done = Done::parse(&line).with_context(|| format!("{line:?}"))?;
        truths[done.device].add(done.op, done.allowed, done.bytes);
        count += 1;
    }
    Ok(count)
}

fn guided(lab: &mut Lab) -> Result<()> {
    if !Kcov::is_there() {
        bail!(Skip(
            "this kernel has no KCOV (make fuzz-kernel)".to_owned()
        ));
    }
    let fuzz = lab.build.join("fuzz");
    let program = fuzz.join("target/x86_64-unknown-linux-gnu/release/accesses");
    ensure!(
        program.exists(),
        "{} is not there: scripts/fuzz.sh builds it",
        program.display()
    );
    let seconds: u64 = match std::env::var("FUZZ_SECONDS") {
        Ok(text) => text.parse().context("FUZZ_SECONDS")?,
        Err(_) => 600,
    };
    let devices = devices(lab)?;
    let (learnt, artifacts) = (
        fuzz.join("corpus/accesses"),
        fuzz.join("artifacts/accesses"),
    );
    for folder in [&learnt, &artifacts] {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    lab.audit().ctl(&["-b", "0"])?;

    let names = devices.map(|bdf| bdf.to_string()).join(",");
    let done = Path::new("/run/e2e-fuzz-done");
    let started = Instant::now();
    let (mut slices, mut accesses) = (0, 0);
    while started.elapsed() < Duration::from_secs(seconds) {
        let left = seconds.saturating_sub(started.elapsed().as_secs());
        fs::write(done, "")?;
        let mut fuzzer = Command::new(&program)
            .arg(&learnt)
            .arg(lab.top.join(CORPUS))
            .arg(format!("-max_total_time={}", left.clamp(1, SLICE)))
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .args(["-max_len=512", "-rss_limit_mb=0", "-print_final_stats=1"])
            .env("FUZZ_DEVICES", &names)
            .env("FUZZ_DONE", done)
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| program.display().to_string())?;
        let said = fuzzer.stderr.take().context("the fuzzer's output")?;
        let said = thread::spawn(move || {
            let lines: Vec<String> = BufReader::new(said).lines().map_while(Result::ok).collect();
            lines[lines.len().saturating_sub(30)..].join("\n")
        });
        let status = fuzzer.wait()?;
        let said = said.join().expect("a reader does not panic");
        ensure!(
            status.success(),
            "the fuzzer ended with {status}; what it found is in {}: {said}",
            artifacts.display()
        );
        let mut truths = [Truth::default(), Truth::default()];
        accesses += read_done(done, &mut truths)?;
        settle(lab, &devices, &mut truths)?;
        slices += 1;
        let last = said
            .lines()
            .rfind(|line| line.contains(" cov: ") || line.contains(" ft: "))
            .unwrap_or_default();
        eprintln!(
            "    {} s: {accesses} accesses; {last}",
            started.elapsed().as_secs()
        );
    }
    lab.notes();
    lab.note(format!(
        "{accesses} accesses in {} s; the account was checked {slices} times",
        started.elapsed().as_secs()
    ));
    Ok(())
}
