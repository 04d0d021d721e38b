// SPDX-License-Identifier: GPL-2.0

//! Audit userspace with our patches, in the stable and in the newest version: builds both, and runs
//! the test suite of each with our tests in it. Prints KTAP, a result for each of its tests.

use std::fs;
use std::io;
use std::process::Command;

use anyhow::Result;
use lab::command;
use lab::ktap::{Ktap, Outcome};
use lab::paths::Paths;
use lab::progress::{self, Step};

/// What our patches add to the suite.
const OURS: [&str; 2] = ["normalize_pci_test", "ausearch_pci_test.sh"];

/// Build and test both; whether every test passes.
pub(crate) fn run(paths: &Paths) -> Result<bool> {
    let mut results = Vec::new();
    for (which, name, options) in [
        ("stable", "audit", &[][..]),
        ("newest", "audit-newest", &["--newest"]),
    ] {
        results.extend(suite(paths, which, name, options)?);
    }
    let mut ktap = Ktap::new(io::stdout(), results.len())?;
    for (name, outcome) in results {
        ktap.result(&name, &outcome)?;
    }
    Ok(ktap.failed() == 0)
}

/// Build and test one; its programs and logs are under `name`.
fn suite(
    paths: &Paths,
    which: &str,
    name: &str,
    options: &[&str],
) -> Result<Vec<(String, Outcome)>> {
    let log = paths.log(&format!("{name}-check"));
    let _ = fs::remove_file(&log);
    let build = [
        &["env", "IN_STEP=", "scripts/build-audit.sh", "--check"],
        options,
    ]
    .concat();
    let step = Step::new(
        &format!("{name}-suite"),
        &format!("building and testing the {which} audit userspace"),
        &build,
    );
    let mut results = Vec::new();
    if let Err(error) = progress::run(paths, &[step]) {
        eprintln!("{error:#}");
        results.push((
            format!("the {which} audit userspace is built and tested"),
            Outcome::Failed,
        ));
    }
    let Ok(text) = fs::read_to_string(&log) else {
        return Ok(results);
    };
    let auditctl = paths.build.join(name).join("sbin/auditctl");
    let version = command::stdout(Command::new(auditctl).arg("-v"))?;
    let version = version.split_whitespace().last().unwrap_or_default();
    let tests = verdicts(&text);
    for test in OURS {
        if !tests.iter().any(|(name, _)| *name == test) {
            results.push((
                format!("audit {version}: {test} is in the suite"),
                Outcome::Failed,
            ));
        }
    }
    let named = tests
        .into_iter()
        .map(|(test, outcome)| (format!("audit {version}: {test}"), outcome));
    results.extend(named);
    Ok(results)
}

/// The tests in automake's words.
fn verdicts(text: &str) -> Vec<(&str, Outcome)> {
    let verdict = |line: &'_ str| {
        Some(match line {
            "PASS" | "XFAIL" => Outcome::Passed,
            "SKIP" => Outcome::Skipped("by the suite itself".to_owned()),
            "FAIL" | "XPASS" | "ERROR" => Outcome::Failed,
            _ => return None,
        })
    };
    let lines = text.lines().filter_map(|line| line.split_once(": "));
    lines
        .filter_map(|(word, test)| Some((test, verdict(word)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_of_automake() {
        let text = "PASS: a\n# PASS: 3\nSKIP: b_test\nXPASS: c\nmake: error: d\nERROR: e\n";
        let names: Vec<_> = verdicts(text)
            .into_iter()
            .map(|(name, outcome)| (name, outcome == Outcome::Failed))
            .collect();
        assert_eq!(
            names,
            [("a", false), ("b_test", false), ("c", true), ("e", true)]
        );
    }
}
