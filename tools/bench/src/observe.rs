// SPDX-License-Identifier: GPL-2.0

//! What an access costs while `vfio-pci-audit observe` runs, on a kernel as it is.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use ::lab::modules::{Load, Modules};
use ::lab::paths::Paths;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use vfio_client::{Bdf, Device};

use crate::cell::{self, Cell};
use crate::checks::Check;
use crate::{kernel, table};

/// Where the kernel shows its types, without which BPF cannot read them.
const BTF: &str = "/sys/kernel/btf/vmlinux";

/// Instructions that a 4-byte access may cost more, where the program is attached in the first way.
const MOST: i64 = 600;

/// How the program can be attached.
const WAYS: [&str; 3] = ["fentry", "kprobe", "kprobe-without-map"];

/// The accesses of 4 bytes, and one that is sent whatever it is for.
const CELLS: [Cell; 4] = [cell::ASSIGNED, cell::READ, cell::WRITE, cell::WHOLE];

/// What was measured.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) enum Observed {
    /// Nothing, for this reason.
    Not(String),
    /// Instructions more for each of [`CELLS`].
    Rows {
        /// The release of the kernel.
        kernel: String,
        /// For each of [`WAYS`].
        ways: Vec<[i64; CELLS.len()]>,
        /// After the program ended.
        after: [i64; CELLS.len()],
    },
}

/// The program, which ends when this is dropped.
struct Observer(Child);

impl Observer {
    /// Start it, and wait until it observes.
    fn start(tool: &Path, way: &str) -> Result<Self> {
        let mut child = Command::new(tool)
            .args(["observe", "--log", "/run/bench-observe.log", "--by", way])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| tool.display().to_string())?;
        let said = child.stderr.take().context("no standard error")?;
        let mut all = String::new();
        for line in BufReader::new(said).lines() {
            let line = line?;
            if line.contains("observing by") {
                return Ok(Self(child));
            }
            all += &line;
        }
        anyhow::bail!("it does not observe: {all}");
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn figures(bdf: Bdf) -> Result<[i64; CELLS.len()]> {
    let device = Device::open(bdf)?;
    let mut figures = [0; CELLS.len()];
    for (figure, cell) in figures.iter_mut().zip(&CELLS) {
        *figure = cell.measure(&device)?.median as i64;
    }
    Ok(figures)
}

/// Measures without the program, with it, and after it ended.
pub(crate) fn measure(paths: &Paths, bdf: Bdf) -> Result<Observed> {
    if !Path::new(BTF).exists() {
        let why = format!("Linux {} does not show its types to BPF", crate::release()?);
        return Ok(Observed::Not(why));
    }
    Modules::find(paths).load(&Load::words(["vfio-pci", "vfio_iommu_type1"]))?;
    kernel::bind(bdf)?;
    let without = figures(bdf)?;
    let more = |with: [i64; CELLS.len()]| std::array::from_fn(|cell| with[cell] - without[cell]);
    let mut ways = Vec::new();
    for way in WAYS {
        let observer = Observer::start(&paths.optimised("vfio-pci-audit"), way)?;
        ways.push(more(figures(bdf)?));
        drop(observer);
    }
    Ok(Observed::Rows {
        kernel: crate::release()?,
        ways,
        after: more(figures(bdf)?),
    })
}

impl Observed {
    /// The targets.
    pub(crate) fn checks(&self) -> Vec<Check> {
        let Self::Rows { ways, after, .. } = self else {
            return Vec::new();
        };
        let mut checks = Vec::new();
        for (cell, is) in CELLS.iter().zip(&ways[0]).take(3) {
            checks.push(Check {
                what: format!("observe by {}, {}: over without", WAYS[0], cell.name),
                is: *is,
                at_most: MOST,
            });
        }
        for (cell, is) in CELLS.iter().zip(after) {
            checks.push(Check {
                what: format!("observe ended, {}: difference from before", cell.name),
                is: is.abs(),
                at_most: 0,
            });
        }
        checks
    }

    /// The table, its head first. Nothing where nothing was measured.
    fn lines(&self) -> Vec<Vec<String>> {
        let Self::Rows { ways, after, .. } = self else {
            return Vec::new();
        };
        let line = |name: String, cells: [String; CELLS.len()]| {
            std::iter::once(name).chain(cells).collect::<Vec<_>>()
        };
        let figures = |figures: &[i64; CELLS.len()]| figures.map(table::number);
        let mut lines = vec![line(String::new(), CELLS.map(|cell| cell.name.to_owned()))];
        for (way, more) in WAYS.iter().zip(ways) {
            lines.push(line(format!("by {way}"), figures(more)));
        }
        lines.push(line("after it ended".to_owned(), figures(after)));
        lines
    }

    /// The table, as reStructuredText.
    pub(crate) fn rst(&self) -> Option<String> {
        let lines = self.lines();
        (!lines.is_empty()).then(|| table::grid(&lines))
    }

    /// What came of it, as Markdown.
    pub(crate) fn markdown(&self) -> String {
        let kernel = match self {
            Self::Not(why) => return format!("The cost of observe was not measured: {why}.\n"),
            Self::Rows { kernel, .. } => kernel,
        };
        let mut text = format!("Instructions that observe adds, Linux {kernel}.\n\n");
        for (at, line) in self.lines().iter().enumerate() {
            text += &format!("| {} |\n", line.join(" | "));
            if at == 0 {
                text += &format!("|{}\n", " --- |".repeat(line.len()));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(fentry: [i64; 4], after: [i64; 4]) -> Observed {
        Observed::Rows {
            kernel: "6.12".into(),
            ways: vec![fentry, [900; 4], [950; 4]],
            after,
        }
    }

    #[test]
    fn only_accesses_of_4_bytes_by_fentry_have_a_target() {
        let met = |observed: Observed| observed.checks().iter().all(Check::met);
        assert!(met(rows([600, 600, 600, 5000], [0; 4])));
        assert!(!met(rows([100, 100, 601, 100], [0; 4])));
        assert!(!met(rows([100; 4], [0, 0, 0, -1])));
    }

    #[test]
    fn what_was_not_measured_is_said_and_misses_no_target() {
        let not = Observed::Not("there is no BPF".into());
        assert!(not.checks().is_empty() && not.rst().is_none());
        assert_eq!(
            not.markdown(),
            "The cost of observe was not measured: there is no BPF.\n"
        );
        let table = rows([1, 2, 3, 4], [0; 4]).markdown();
        assert!(table.contains("| by fentry | 1 | 2 | 3 | 4 |\n"), "{table}");
        assert!(
            table.ends_with("| after it ended | 0 | 0 | 0 | 0 |\n"),
            "{table}"
        );
    }
}
