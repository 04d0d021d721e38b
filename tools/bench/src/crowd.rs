// SPDX-License-Identifier: GPL-2.0

//! What a session costs while there are a thousand others, of other devices.
//!
//! As many devices cannot be emulated: the functions are those of a module (tools/modules/crowd),
//! which opens sessions as vfio-pci-core does, and counts.

use std::fs;

use anyhow::{ensure, Context, Result};

use crate::checks::Check;
use crate::lab::{Core, Lab};
use crate::matrix::block;
use crate::result::Growth;

/// Numbers of open sessions.
const SESSIONS: [u64; 4] = [1, 10, 100, 1000];

/// What is counted, and how many instructions more it may take with 1,000 open sessions than with
/// one.
///
/// Devices are found in a balanced tree, ten levels deep with a thousand of them. A walk over a
/// thousand devices takes thousands of instructions. The first session of a device allocates what
/// the device keeps, which costs some hundreds more or less from run to run.
const COSTS: [(&str, i64); 4] = [
    ("opening a session", 200),
    ("a session's first blocked access", 0),
    ("closing a session", 50),
    ("opening a device's first session", 1500),
];

/// What they are counted by, while auditing is off and on. While it is on, an access takes the
/// device's limits and counts, as in a flood: few of the sessions that are counted have records.
const WITH: [&str; 2] = [
    "open sessions of as many devices",
    "open sessions of as many devices, auditing on",
];

const PARAMETERS: &str = "/sys/module/audit_crowd/parameters";

/// The costs, in the order of [`COSTS`].
fn costs() -> Result<[u64; COSTS.len()]> {
    let text = fs::read_to_string(format!("{PARAMETERS}/costs")).context("the costs")?;
    let numbers: Vec<u64> = text
        .split_whitespace()
        .map(|word| word.parse().with_context(|| text.clone()))
        .collect::<Result<_>>()?;
    numbers
        .try_into()
        .ok()
        .with_context(|| format!("the module says {text:?}"))
}

/// Each cost by the number of open sessions.
pub(crate) fn measure(lab: &Lab) -> Result<Vec<Growth>> {
    let mut all = Vec::new();
    for (with, audit) in WITH.into_iter().zip([false, true]) {
        lab.load(Core::Ours, &[])?;
        block(true)?;
        lab.load_module("crowd")?;
        if audit {
            lab.start_daemon()?;
            lab.enable_audit(true)?;
        }
        all.extend(by_sessions(with)?);
        if audit {
            lab.drain()?;
            lab.stop_daemon()?;
        }
        lab.unload_module("crowd")?;
    }
    Ok(all)
}

fn by_sessions(with: &str) -> Result<[Growth; COSTS.len()]> {
    let mut growth = COSTS.map(|(what, _)| Growth {
        what: what.to_owned(),
        with: with.to_owned(),
        points: Vec::new(),
    });
    for sessions in SESSIONS {
        fs::write(format!("{PARAMETERS}/sessions"), sessions.to_string())
            .with_context(|| format!("opening {sessions} sessions"))?;
        for (growth, cost) in growth.iter_mut().zip(costs()?) {
            growth.points.push((sessions, cost));
        }
    }
    Ok(growth)
}

/// Whether they stay nearly the same.
pub(crate) fn checks(all: &[Growth]) -> Result<Vec<Check>> {
    let of_all = WITH
        .iter()
        .flat_map(|with| COSTS.iter().map(move |cost| (with, cost)));
    of_all
        .map(|(with, (what, at_most))| {
            let growth = all
                .iter()
                .find(|growth| growth.what == *what && growth.with == *with)
                .with_context(|| format!("{what}, by {with}, was not counted"))?;
            let (Some(one), Some(most)) = (growth.points.first(), growth.points.last()) else {
                anyhow::bail!("{what}, by {with}, was not counted");
            };
            ensure!(
                (one.0, most.0) == (SESSIONS[0], SESSIONS[SESSIONS.len() - 1]),
                "{what} was counted with other sessions: {growth:?}"
            );
            let audit = with.strip_prefix(WITH[0]).unwrap_or_default();
            Ok(Check {
                what: format!("{what}{audit}, 1,000 open: over one open"),
                is: most.1 as i64 - one.1 as i64,
                at_most: *at_most,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn growth(last: u64) -> Vec<Growth> {
        let of = |with: &str, what: &str| Growth {
            what: what.to_owned(),
            with: with.to_owned(),
            points: vec![(1, 1000), (1000, last)],
        };
        WITH.iter()
            .flat_map(|with| COSTS.map(|(what, _)| of(with, what)))
            .collect()
    }

    #[test]
    fn a_walk_is_too_much() {
        assert!(checks(&growth(1000)).unwrap().iter().all(Check::met));
        assert!(!checks(&growth(5000)).unwrap().iter().any(Check::met));
        assert!(checks(&[]).is_err());
    }
}
