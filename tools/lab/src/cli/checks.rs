// SPDX-License-Identifier: GPL-2.0

//! Does checks one after the other, and makes KTAP of how they end.

use std::io::{self, Stdout, Write};

use anyhow::{ensure, Result};
use clap::ValueEnum;
use lab::ktap::{Ktap, Outcome, Skip};
use lab::paths::Paths;

use crate::cli::{deb_test, deb_tool, lint, series, shell_test, tree};

/// What is checked.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Subject {
    /// The sources, by every tool that judges them
    Lint,
    /// What grafting does to a kernel tree, and what the option does to the code when it is off
    Tree,
    /// Each patch of the series in build/series, built with the option off and on
    Series,
    /// The machine to try things in, as `make shell` starts it
    Shell,
    /// The packages of `make deb`, of a small kernel, which is booted
    Deb,
    /// The packages of `make deb-tool`, in fresh systems of Debian 12 and 13
    DebTool,
}

/// Check; whether nothing failed.
pub(crate) fn run(paths: &Paths, subject: Subject) -> Result<bool> {
    match subject {
        Subject::Lint => lint::run(paths),
        Subject::Tree => tree::run(paths),
        Subject::Series => series::build::run(paths),
        Subject::Shell => shell_test::run(paths),
        Subject::Deb => deb_test::run(paths),
        Subject::DebTool => deb_tool::run(paths),
    }
}

/// What is shown of a check that failed, in lines.
const SHOWN: usize = 40;

/// As many checks as were planned.
pub(crate) struct Checks<W: Write> {
    ktap: Ktap<W>,
    planned: usize,
    done: usize,
}

impl Checks<Stdout> {
    /// On standard output.
    pub(crate) fn new(planned: usize) -> Result<Self> {
        Self::to(io::stdout(), planned)
    }
}

impl<W: Write> Checks<W> {
    fn to(out: W, planned: usize) -> Result<Self> {
        Ok(Self {
            ktap: Ktap::new(out, planned)?,
            planned,
            done: 0,
        })
    }

    /// Do one.
    pub(crate) fn check(&mut self, name: &str, check: impl FnOnce() -> Result<()>) -> Result<()> {
        let outcome = match check() {
            Ok(()) => Outcome::Passed,
            Err(error) => match error.downcast_ref::<Skip>() {
                Some(skip) => Outcome::Skipped(skip.0.clone()),
                None => {
                    let text = format!("{error:#}");
                    let lines: Vec<_> = text.lines().collect();
                    let shown = &lines[lines.len().saturating_sub(SHOWN)..];
                    self.ktap.diagnose(&shown.join("\n"))?;
                    Outcome::Failed
                }
            },
        };
        self.done += 1;
        Ok(self.ktap.result(name, &outcome)?)
    }

    /// Whether none failed; an error if some were left out.
    pub(crate) fn end(self) -> Result<bool> {
        let (planned, done) = (self.planned, self.done);
        ensure!(done == planned, "of {planned} checks there were {done}");
        Ok(self.ktap.failed() == 0)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn ktap_of_checks() {
        let mut out = Vec::new();
        let mut checks = Checks::to(&mut out, 3).unwrap();
        checks.check("one", || Ok(())).unwrap();
        let lines: Vec<_> = (0..50).map(|number| number.to_string()).collect();
        checks.check("two", || bail!(lines.join("\n"))).unwrap();
        checks
            .check("three", || bail!(Skip("no clippy".to_owned())))
            .unwrap();
        assert!(!checks.end().unwrap());
        let out = String::from_utf8(out).unwrap();
        assert!(
            out.starts_with("KTAP version 1\n1..3\nok 1 - one\n# 10\n# 11\n"),
            "{out}"
        );
        assert!(
            out.ends_with("# 49\nnot ok 2 - two\nok 3 - three # SKIP no clippy\n"),
            "{out}"
        );
    }

    #[test]
    fn a_check_that_is_missing_is_no_success() {
        let mut out = Vec::new();
        let mut checks = Checks::to(&mut out, 2).unwrap();
        checks.check("one", || Ok(())).unwrap();
        assert!(checks.end().is_err());
    }
}
