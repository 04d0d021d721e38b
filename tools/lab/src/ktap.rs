// SPDX-License-Identifier: GPL-2.0

//! The kernel's test protocol: Documentation/dev-tools/ktap.rst. This is the only place that writes
//! it and has it counted, except for scripts/guest/selftests, an init for arm64 without Rust.

use std::fmt;
use std::io::{self, Write};
use std::ops::AddAssign;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command;

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Passed,
    /// Not as it should.
    Failed,
    /// It could not be tried, and why.
    Skipped(String),
}

/// The error of a test that cannot be tried on this machine, and why.
#[derive(Debug)]
pub struct Skip(pub String);

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Skip {}

/// Writes one flat plan of tests.
pub struct Ktap<W: Write> {
    out: W,
    number: usize,
    failed: usize,
}

impl<W: Write> Ktap<W> {
    /// Begin, with the number of tests to come.
    pub fn new(mut out: W, plan: usize) -> io::Result<Self> {
        writeln!(out, "KTAP version 1\n1..{plan}")?;
        out.flush()?;
        Ok(Self {
            out,
            number: 0,
            failed: 0,
        })
    }

    /// Say something about the test whose result comes next.
    pub fn diagnose(&mut self, text: &str) -> io::Result<()> {
        for line in text.lines() {
            writeln!(self.out, "# {line}")?;
        }
        self.out.flush()
    }

    /// The result of the next test.
    pub fn result(&mut self, name: &str, outcome: &Outcome) -> io::Result<()> {
        self.number += 1;
        let number = self.number;
        match outcome {
            Outcome::Passed => writeln!(self.out, "ok {number} - {name}")?,
            Outcome::Skipped(why) => {
                // A second line would be taken for something else.
                let why = why.replace('\n', " ");
                writeln!(self.out, "ok {number} - {name} # SKIP {why}")?;
            }
            Outcome::Failed => {
                self.failed += 1;
                writeln!(self.out, "not ok {number} - {name}")?;
            }
        }
        // After a crash of the kernel, what is in a buffer is lost.
        self.out.flush()
    }

    /// How many failed.
    pub fn failed(&self) -> usize {
        self.failed
    }
}

/// How many tests ended how.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// As they should.
    pub passed: u64,
    /// Not as they should.
    pub failed: u64,
    /// They could not be tried.
    pub skipped: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl Counts {
    /// Count what a log has: KTAP by kunit.py of the kernel tree, and cargo's own results.
    pub fn of(tree: &Path, log: &Path) -> Result<Self> {
        let text = std::fs::read(log).with_context(|| log.display().to_string())?;
        let text = String::from_utf8_lossy(&text);
        let mut counts = cargo(&text);
        if text.contains("Testing complete. Ran ") {
            counts += kunit(&text);
        } else if text.contains("KTAP version") || text.contains("TAP version") {
            let program = tree.join("tools/testing/kunit/kunit.py");
            let mut parser = Command::new("python3");
            // Its exit code says whether a test failed.
            let output = command::output(parser.arg(program).arg("parse").arg(log))?;
            counts += kunit(&String::from_utf8_lossy(&output.stdout));
        }
        Ok(counts)
    }
}

/// The sum that kunit.py prints at its end: "Testing complete. Ran 5 tests: passed: 3, failed: 1,
/// skipped: 1".
fn kunit(text: &str) -> Counts {
    let mut counts = Counts::default();
    let line = text
        .lines()
        .rfind(|line| line.contains("Testing complete. Ran "));
    let words: Vec<_> = line.unwrap_or_default().split([' ', ',']).collect();
    let mut words = words.iter().filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        let counted = match *word {
            "passed:" => &mut counts.passed,
            "failed:" | "crashed:" | "errors:" => &mut counts.failed,
            "skipped:" => &mut counts.skipped,
            _ => continue,
        };
        *counted += words
            .next()
            .and_then(|number| number.parse::<u64>().ok())
            .unwrap_or(0);
    }
    counts
}

/// The lines that each test program of cargo's ends with: "test result: ok. 5 passed; 0 failed; 1
/// ignored; …".
fn cargo(text: &str) -> Counts {
    let mut counts = Counts::default();
    for line in text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("test result: "))
    {
        for part in line.split([';', '.']) {
            let mut words = part.split_whitespace();
            let Some(number) = words.next().and_then(|word| word.parse::<u64>().ok()) else {
                continue;
            };
            match words.next() {
                Some("passed") => counts.passed += number,
                Some("failed") => counts.failed += number,
                Some("ignored") => counts.skipped += number,
                _ => {}
            }
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_of_it() {
        let mut text = Vec::new();
        let mut ktap = Ktap::new(&mut text, 3).unwrap();
        ktap.result("policy/one", &Outcome::Passed).unwrap();
        ktap.diagnose("expected 1\ngot 2").unwrap();
        ktap.result("policy/two", &Outcome::Failed).unwrap();
        ktap.result("guest/real", &Outcome::Skipped("no\nguest".into()))
            .unwrap();
        assert_eq!(ktap.failed(), 1);
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "KTAP version 1\n1..3\nok 1 - policy/one\n# expected 1\n# got 2\nnot ok 2 - \
             policy/two\n\
             ok 3 - guest/real # SKIP no guest\n"
        );
    }

    #[test]
    fn sums_of_kunit_py() {
        let text = "[12:00:00] Testing complete. Ran 9 tests: passed: 3, crashed: 1, failed: 2, \
         skipped: 3, errors: 1\n";
        let expected = Counts {
            passed: 3,
            failed: 4,
            skipped: 3,
        };
        assert_eq!(kunit(text), expected);
        assert_eq!(kunit("no such line"), Counts::default());
    }

    #[test]
    fn sums_of_cargo() {
        let text = "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; \
             0 filtered out; finished in 0.50s\n\
             test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; \
             7 filtered out; finished in 1.00s\n";
        let expected = Counts {
            passed: 7,
            failed: 3,
            skipped: 1,
        };
        assert_eq!(cargo(text), expected);
    }
}
