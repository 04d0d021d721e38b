// SPDX-License-Identifier: GPL-2.0

//! Runs a script of checks, and makes KTAP of what it says.
//!
//! Such a script says `@plan COUNT`, and for each check `@check NAME`, what was printed, and
//! `@result CODE` (scripts/lib.sh has functions for these). Exit code 4 means that it cannot be
//! tried, and the last line why, as in the kernel's selftests.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::Stdio;

use anyhow::{ensure, Context, Result};
use lab::ktap::{Ktap, Outcome};
use lab::paths::Paths;
use lab::progress;

/// What is shown of a check that failed, in lines.
const SHOWN: usize = 40;

/// The exit code of a check that cannot be tried.
const SKIPPED: &str = "4";

/// Run the script; whether all of its checks pass.
pub(crate) fn run(paths: &Paths, script: &Path) -> Result<bool> {
    let words = ["bash".to_owned(), script.display().to_string()];
    let mut child = progress::command(paths, &words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| script.display().to_string())?;
    let said = child.stdout.take().context("a script without output")?;
    let passed = judge(said, io::stdout());
    let status = child.wait()?;
    ensure!(
        status.success(),
        "{} ended with {status} before its last check",
        script.display()
    );
    passed
}

/// Make KTAP of what a script says; whether as many checks passed as it planned.
fn judge(said: impl Read, out: impl Write) -> Result<bool> {
    let mut lines = BufReader::new(said).lines();
    let plan = loop {
        let line = lines.next().context("the script ended before its plan")??;
        if let Some(count) = line.strip_prefix("@plan ") {
            break count.parse().with_context(|| line.clone())?;
        }
    };
    let mut ktap = Ktap::new(out, plan)?;
    let mut done = 0;
    let mut name = String::new();
    let mut printed = Vec::new();
    for line in lines {
        let line = line?;
        if let Some(check) = line.strip_prefix("@check ") {
            check.clone_into(&mut name);
            printed.clear();
        } else if let Some(code) = line.strip_prefix("@result ") {
            let outcome = match code {
                "0" => Outcome::Passed,
                SKIPPED => Outcome::Skipped(printed.last().cloned().unwrap_or_default()),
                _ => {
                    let shown = &printed[printed.len().saturating_sub(SHOWN)..];
                    ktap.diagnose(&shown.join("\n"))?;
                    Outcome::Failed
                }
            };
            ktap.result(&name, &outcome)?;
            done += 1;
        } else {
            printed.push(line);
        }
    }
    ensure!(done == plan, "of {plan} checks there were {done}");
    Ok(ktap.failed() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(said: &str) -> (Result<bool>, String) {
        let mut out = Vec::new();
        let passed = judge(said.as_bytes(), &mut out);
        (passed, String::from_utf8(out).unwrap())
    }

    #[test]
    fn ktap_of_checks() {
        let said =
            "noise\n@plan 3\n@check one\nfine\n@result 0\n@check two\nbad\nworse\n@result 1\n\
             @check three\nno clippy\n@result 4\n";
        let (passed, text) = text(said);
        assert!(!passed.unwrap());
        assert_eq!(
            text,
            "KTAP version 1\n1..3\nok 1 - one\n# bad\n# worse\nnot ok 2 - two\nok 3 - three # \
             SKIP no clippy\n"
        );
    }

    #[test]
    fn a_check_that_is_missing_is_no_success() {
        assert!(text("@plan 2\n@check one\n@result 0\n").0.is_err());
        assert!(text("nothing\n").0.is_err());
    }
}
