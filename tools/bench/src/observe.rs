// SPDX-License-Identifier: GPL-2.0

//! What an access costs while `vfio-pci-audit observe` runs, on a kernel as it is.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{ensure, Context, Result};
use vfio_client::{Bdf, Device};

use crate::cell::{self, Cell};
use crate::kernel;

/// Instructions that a 4-byte access may cost more.
const MOST: i64 = 600;

/// The accesses of 4 bytes, and one that is sent whatever it is for.
const CELLS: [Cell; 4] = [cell::ASSIGNED, cell::READ, cell::WRITE, cell::WHOLE];

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

fn figures(bdf: Bdf) -> Result<Vec<i64>> {
    let device = Device::open(bdf)?;
    CELLS
        .iter()
        .map(|cell| Ok(cell.measure(&device)?.median as i64))
        .collect()
}

/// Measures, prints a table in reStructuredText, and fails if a 4-byte access costs too much by
/// fentry.
pub(crate) fn measure(bdf: Bdf, tool: &Path, table: &Path) -> Result<()> {
    use std::io::Write;

    kernel::bind(bdf)?;
    let without = figures(bdf)?;
    let mut text =
        String::from(".. list-table::\n   :header-rows: 1\n\n   * - Instructions more for\n");
    for cell in CELLS {
        text += &format!("     - {}\n", cell.name);
    }
    let mut fentry = Vec::new();
    for way in ["fentry", "kprobe", "kprobe-without-map"] {
        let observer = Observer::start(tool, way)?;
        let with = figures(bdf)?;
        drop(observer);
        let more: Vec<i64> = with
            .iter()
            .zip(&without)
            .map(|(with, without)| with - without)
            .collect();
        text += &format!("   * - {way}\n");
        for more in &more {
            text += &format!("     - {more}\n");
        }
        if way == "fentry" {
            fentry = more;
        }
    }
    text += "   * - after it ended\n";
    let after = figures(bdf)?;
    for (after, without) in after.iter().zip(&without) {
        text += &format!("     - {}\n", after - without);
    }
    print!("{text}");
    File::create(table)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| table.display().to_string())?;
    ensure!(
        fentry[..3].iter().all(|more| *more <= MOST),
        "a 4-byte access costs more than {MOST} instructions more"
    );
    ensure!(
        after == without,
        "something is left of it: {after:?}, and before {without:?}"
    );
    Ok(())
}
