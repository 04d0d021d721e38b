// SPDX-License-Identifier: GPL-2.0

//! An audit userspace that does not know the record type, as distributions ship it.

use std::fs;

use anyhow::{ensure, Context, Result};
use rustix::process::Signal;

use super::{every_kind, Scenario};
use crate::audit::search_in;
use crate::lab::Lab;
use crate::record;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario::new(
    "unpatched/ausearch",
    "what an unpatched auditd logs, an unpatched ausearch -m 1340 finds, records of every kind",
    ausearch,
)];

fn ausearch(lab: &mut Lab) -> Result<()> {
    let prefix = lab.build.join("audit-unpatched");
    lab.audit().stop(Signal::TERM)?;
    lab.audit().start_from(&prefix)?;
    let records = every_kind(lab)?;

    let log = lab.audit().log();
    let text = fs::read_to_string(&log)?;
    ensure!(
        text.contains("type=UNKNOWN[1340] ") && !text.contains("type=PCI "),
        "this auditd is not unpatched"
    );
    let known = search_in(&prefix, &log, &["-m", "PCI"]);
    ensure!(known.is_err(), "this ausearch is not unpatched: {known:?}");

    let raw = search_in(&prefix, &log, &["-m", "1340", "--raw"])?;
    let found = record::parse_all(&raw)?;
    ensure!(found == records, "found {found:#?}, expected {records:#?}");

    // The device is shown unmodified and the result as a word, whatever the record.
    let interpreted = search_in(&prefix, &log, &["-m", "1340", "-i"])?;
    let mut lines = interpreted.lines().filter(|line| line.starts_with("type="));
    for record in &records {
        let line = lines.next().context("-i shows fewer records")?;
        let result = if record.res == Some(false) {
            "no"
        } else {
            "yes"
        };
        ensure!(
            line.contains(&format!(" device={} op=", record.device))
                && line.trim_end().ends_with(&format!(" res={result}")),
            "-i shows {line:?} for {:?}",
            record.text
        );
    }
    ensure!(lines.next().is_none(), "-i shows more records");
    Ok(())
}
