// SPDX-License-Identifier: GPL-2.0

//! The kernel's test protocol: Documentation/dev-tools/ktap.rst.

use std::io::{self, Write};

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As it should.
    Passed,
    /// Not as it should.
    Failed,
    /// It could not be tried, and why.
    Skipped(String),
}

/// Writes one flat plan of tests.
pub(crate) struct Ktap<W: Write> {
    out: W,
    number: usize,
    failed: usize,
}

impl<W: Write> Ktap<W> {
    /// Begin, with the number of tests to come.
    pub(crate) fn new(mut out: W, plan: usize) -> io::Result<Self> {
        writeln!(out, "KTAP version 1\n1..{plan}")?;
        out.flush()?;
        Ok(Self {
            out,
            number: 0,
            failed: 0,
        })
    }

    /// Say something about the test whose result comes next.
    pub(crate) fn diagnose(&mut self, text: &str) -> io::Result<()> {
        for line in text.lines() {
            writeln!(self.out, "# {line}")?;
        }
        self.out.flush()
    }

    /// The result of the next test.
    pub(crate) fn result(&mut self, name: &str, outcome: &Outcome) -> io::Result<()> {
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
        // Show each result at once: if the kernel crashes, a buffer is lost.
        self.out.flush()
    }

    /// How many failed.
    pub(crate) fn failed(&self) -> usize {
        self.failed
    }
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
}
