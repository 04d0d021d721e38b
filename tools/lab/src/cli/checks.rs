// SPDX-License-Identifier: GPL-2.0

//! Runs the checks of a script, each in a shell of its own, and prints KTAP.
//!
//! A check is a function of the script after a line `# check: NAME`. What it prints is shown if it fails; exit code 4
//! means that it cannot be tried, and its last line why, as in the kernel's selftests.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Stdio;

use anyhow::{ensure, Context, Result};
use lab::command;
use lab::ktap::{Ktap, Outcome};
use lab::paths::Paths;
use lab::progress;

/// What is shown of a check that failed, in lines.
const SHOWN: usize = 40;

/// The exit code of a check that cannot be tried.
const SKIPPED: i32 = 4;

/// Run those whose name contains any of `only`; whether they all pass.
pub(crate) fn run(paths: &Paths, script: &Path, only: &[String]) -> Result<bool> {
    let script = paths.top.join(script);
    let text = fs::read_to_string(&script).with_context(|| script.display().to_string())?;
    let checks = checks(&text)?;
    let wanted: Vec<_> = checks
        .into_iter()
        .filter(|(name, _)| only.is_empty() || only.iter().any(|part| name.contains(part)))
        .collect();
    ensure!(!wanted.is_empty(), "{} has no such check", script.display());
    let mut ktap = Ktap::new(io::stdout(), wanted.len())?;
    for (name, function) in wanted {
        let mut shell = progress::command(paths, &["bash".to_owned()]);
        let output = command::output(
            shell
                .args(["-c", "exec 2>&1; . \"$0\"; \"$1\""])
                .arg(&script)
                .arg(function)
                .stdin(Stdio::null()),
        )?;
        let said = String::from_utf8_lossy(&output.stdout);
        let lines: Vec<_> = said.lines().collect();
        let outcome = match output.status.code() {
            Some(0) => Outcome::Passed,
            Some(SKIPPED) => {
                Outcome::Skipped(lines.last().copied().unwrap_or("no reason").to_owned())
            }
            _ => {
                ktap.diagnose(&lines[lines.len().saturating_sub(SHOWN)..].join("\n"))?;
                Outcome::Failed
            }
        };
        ktap.result(name, &outcome)?;
    }
    Ok(ktap.failed() == 0)
}

/// The name of each check of a script, and its function.
fn checks(text: &str) -> Result<Vec<(&str, &str)>> {
    let mut checks = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("# check: ") else {
            continue;
        };
        let function = lines.peek().and_then(|line| line.split_once("()"));
        let (function, _) =
            function.with_context(|| format!("no function after check {name:?}"))?;
        checks.push((name, function));
    }
    Ok(checks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_of_a_script() {
        let text = "# check: one is one\none() { [ 1 = 1 ]; }\n\nhelper() { true; }\n# check: two\ntwo() {\n\ttrue\n}\n";
        assert_eq!(
            checks(text).unwrap(),
            [("one is one", "one"), ("two", "two")]
        );
        assert!(checks("# check: nothing\n\n").is_err());
    }
}
