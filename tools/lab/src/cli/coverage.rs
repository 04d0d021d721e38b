// SPDX-License-Identifier: GPL-2.0

//! How much of the modules' files that import only core the host's tests run: lines and branches,
//! for each file. Prints KTAP; a file's lines or branches at 95 % or below are a failure.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use lab::command;
use lab::ktap::{Ktap, Outcome};
use lab::paths::Paths;
use lab::progress::{self, Step};
use serde_json::Value;

use crate::cli::prepare;

/// In percent.
const LEAST: f64 = 95.0;

/// A wrapper, so that what the tests depend on is built once, without coverage. Branches are
/// counted by an option that is not stable, as the kernel uses many.
const WRAPPER: &str = "#!/bin/sh\n\
    RUSTC_BOOTSTRAP=1 exec \"$@\" -Cinstrument-coverage -Zcoverage-options=branch -Copt-level=0 \
     -Zcross-crate-inline-threshold=never\n";

/// How often each place was passed.
type Times = BTreeMap<String, u64>;

/// What a file's lines and branches were passed.
#[derive(Default)]
struct Passed {
    lines: Times,
    branches: Times,
}

/// Measure and judge; whether every file has enough.
pub(crate) fn run(paths: &Paths) -> Result<bool> {
    let version = command::stdout(Command::new("/usr/bin/rustc").arg("-vV"))?;
    let llvm = llvm_version(&version).context("rustc does not tell its LLVM")?;
    // Only the LLVM that rustc was built with is sure to read what its programs write; setup.sh
    // installs its tools.
    let tools = PathBuf::from(format!("/usr/lib/llvm-{llvm}/bin"));
    if !tools.join("llvm-cov").exists() {
        let mut ktap = Ktap::new(io::stdout(), 1)?;
        let why = format!("there is no llvm-cov of LLVM {llvm}, which rustc uses");
        ktap.result("coverage of the core-only files", &Outcome::Skipped(why))?;
        return Ok(true);
    }
    let files = files(paths)?;
    let passed = measure(paths, &tools)?;

    let mut ktap = Ktap::new(io::stdout(), files.len())?;
    for file in files {
        let shown = paths.show(&file);
        let (figures, enough) = match passed.get(&file) {
            Some(passed) => judge(passed),
            None => {
                let code = fs::read_to_string(&file)?.contains("fn ");
                (
                    if code { "no test has it" } else { "no code" }.to_owned(),
                    !code,
                )
            }
        };
        let outcome = if enough {
            Outcome::Passed
        } else {
            Outcome::Failed
        };
        ktap.result(&format!("coverage of {shown}: {figures}"), &outcome)?;
    }
    Ok(ktap.failed() == 0)
}

fn llvm_version(text: &str) -> Option<&str> {
    let version = text
        .lines()
        .find_map(|line| line.strip_prefix("LLVM version: "))?;
    version.split('.').next()
}

/// The crates that link to the modules' files.
const CRATES: [&str; 2] = ["tools/pci-audit", "tools/core"];

/// The modules' files that they link to.
fn files(paths: &Paths) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in CRATES {
        links(&paths.top.join(folder).join("src"), &mut files)?;
    }
    files.sort();
    files.dedup();
    Ok(files)
}

fn links(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            files.push(entry.path().canonicalize()?);
        } else if kind.is_dir() {
            links(&entry.path(), files)?;
        }
    }
    Ok(())
}

/// The names of their tests.
fn tests(paths: &Paths) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for folder in CRATES {
        let folder = paths.top.join(folder).join("tests");
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            let test =
                path.extension().is_some_and(|end| end == "rs") || path.join("main.rs").exists();
            if let (true, Some(name)) = (test, path.file_stem()) {
                names.push(name.to_string_lossy().into_owned());
            }
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// Run the tests, and have LLVM's tools tell what they passed.
fn measure(paths: &Paths, tools: &Path) -> Result<BTreeMap<PathBuf, Passed>> {
    let out = paths.build.join("coverage");
    fs::create_dir_all(&out)?;
    let wrapper = out.join("rustc");
    fs::write(&wrapper, WRAPPER)?;
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(&out)? {
        let file = entry?.path();
        if file.extension().is_some_and(|end| end == "profraw") {
            fs::remove_file(file)?;
        }
    }
    // Of the whole workspace: for a package alone, cargo would build what it depends on anew, with
    // fewer features.
    let names = tests(paths)?;
    let named = names.iter().flat_map(|name| ["--test", name]);
    let test: Vec<_> = ["test", "--workspace"].into_iter().chain(named).collect();
    let cover = |more: &[&str]| {
        let cargo = prepare::cargo("coverage", "", &[&test, more].concat());
        let variables = [
            "env".to_owned(),
            format!("RUSTC_WORKSPACE_WRAPPER={}", wrapper.display()),
            format!("LLVM_PROFILE_FILE={}/%p-%m.profraw", out.display()),
        ];
        [variables.to_vec(), cargo.command].concat()
    };
    let step = Step {
        name: "coverage".to_owned(),
        what: "running the tests of the core-only files, with coverage".to_owned(),
        command: cover(&[]),
    };
    progress::run(paths, &[step])?;
    let built = cover(&["--no-run", "--message-format=json"]);
    let messages = command::stdout(&mut progress::command(paths, &built))?;

    let merged = out.join("all.profdata");
    let mut merge = Command::new(tools.join("llvm-profdata"));
    merge.args(["merge", "-sparse", "-o"]).arg(&merged);
    for entry in fs::read_dir(&out)? {
        let file = entry?.path();
        if file.extension().is_some_and(|end| end == "profraw") {
            merge.arg(file);
        }
    }
    command::stdout(&mut merge)?;
    let export = |format: &str| {
        let mut export = Command::new(tools.join("llvm-cov"));
        export.arg("export").arg(format!("-format={format}"));
        export.arg(format!("-instr-profile={}", merged.display()));
        for program in executables(&messages) {
            export.arg(format!("-object={program}"));
        }
        command::stdout(&mut export)
    };
    let mut passed = BTreeMap::new();
    lines(&export("lcov")?, &mut passed);
    branches(&export("text")?, &mut passed)?;
    Ok(passed)
}

/// The programs in cargo's messages.
fn executables(messages: &str) -> Vec<String> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| Some(message.get("executable")?.as_str()?.to_owned()))
        .collect()
}

/// A file may be there under several spellings of its name.
fn real(name: &str) -> PathBuf {
    Path::new(name)
        .canonicalize()
        .unwrap_or_else(|_| name.into())
}

/// Take lines from lcov's form: a function is there once for each program that has it.
fn lines(text: &str, passed: &mut BTreeMap<PathBuf, Passed>) {
    let mut current = PathBuf::new();
    for line in text.lines() {
        match line.split_once(':') {
            Some(("SF", name)) => current = real(name),
            Some(("DA", rest)) => {
                let mut words = rest.split(',');
                let (Some(place), Some(times)) = (words.next(), words.next()) else {
                    continue;
                };
                let lines = &mut passed.entry(current.clone()).or_default().lines;
                *lines.entry(place.to_owned()).or_default() += times.parse::<u64>().unwrap_or(0);
            }
            _ => {}
        }
    }
}

/// Take branches from LLVM's own form: an array of line and column of both ends, and how often they
/// were true and false.
fn branches(text: &str, passed: &mut BTreeMap<PathBuf, Passed>) -> Result<()> {
    let all: Value = serde_json::from_str(text).context("llvm-cov's JSON")?;
    let files = all["data"][0]["files"]
        .as_array()
        .context("llvm-cov's JSON has no files")?;
    for file in files {
        let name = real(file["filename"].as_str().context("a file without a name")?);
        for branch in file["branches"].as_array().into_iter().flatten() {
            let branch: Vec<u64> = branch
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_u64)
                .collect();
            let [place @ .., yes, no] = branch.get(..6).context("a branch without figures")? else {
                continue;
            };
            let branches = &mut passed.entry(name.clone()).or_default().branches;
            for (way, times) in [("yes", yes), ("no", no)] {
                *branches.entry(format!("{place:?} {way}")).or_default() += times;
            }
        }
    }
    Ok(())
}

/// What is shown of a file, and whether it is enough.
fn judge(passed: &Passed) -> (String, bool) {
    let ((lines, line_percent), (branches, branch_percent)) =
        (figures(&passed.lines), figures(&passed.branches));
    (
        format!("lines {lines}, branches {branches}"),
        line_percent.min(branch_percent) > LEAST,
    )
}

/// Covered, count, and percent; nothing to cover is covered.
fn figures(times: &Times) -> (String, f64) {
    let covered = times.values().filter(|&&times| times > 0).count();
    let percent = match times.len() {
        0 => 100.0,
        all => 100.0 * covered as f64 / all as f64,
    };
    (format!("{covered}/{} {percent:.1} %", times.len()), percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_several_programs_are_added() {
        let mut passed = BTreeMap::new();
        lines(
            "SF:/nowhere/a.rs\nDA:1,0\nDA:2,3\nend_of_record\nSF:/nowhere/a.rs\nDA:1,2\nDA:3,0\n",
            &mut passed,
        );
        let file = &passed[Path::new("/nowhere/a.rs")];
        assert_eq!(figures(&file.lines), ("2/3 66.7 %".to_owned(), 200.0 / 3.0));
        assert!(!judge(file).1);
    }

    #[test]
    fn both_ways_of_a_branch_count() {
        let mut passed = BTreeMap::new();
        let text = r#"{"data":[{"files":[{"filename":"/nowhere/a.rs","branches":[[5,8,5,11,7,0,0,0,4]]}]}]}"#;
        branches(text, &mut passed).unwrap();
        let file = &passed[Path::new("/nowhere/a.rs")];
        assert_eq!(figures(&file.branches).0, "1/2 50.0 %");
        assert!(branches("{}", &mut passed).is_err());
    }

    #[test]
    fn the_version_of_llvm() {
        assert_eq!(
            llvm_version("rustc 1.85.1\nLLVM version: 19.1.7\n"),
            Some("19")
        );
    }
}
