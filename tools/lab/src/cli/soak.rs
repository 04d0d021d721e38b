// SPDX-License-Identifier: GPL-2.0

//! Hours of mixed load in one VM, as tools/e2e/src/scenarios/soak.rs makes it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::Args;
use lab::paths::Paths;

use crate::cli::e2e::{self, On};

/// The scenario, which takes how long it shall go on and its seed from the environment.
const SCENARIO: &str = "soak/";

/// What the VM may take besides: booting, the last cycle and the time until its account is exact.
const MARGIN: Duration = Duration::from_secs(1800);

/// The longest run.
const MOST: Duration = Duration::from_secs(1000 * 3600);

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// How long to go on; fractions are allowed
    #[arg(long, value_name = "H", default_value = "8", value_parser = hours)]
    hours: Duration,
    /// The order of what happens, to repeat a run that printed it (default: another one each time)
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
}

fn hours(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text} is not a number of hours above 0 and up to 1000");
    let hours: f64 = text.parse().map_err(|_| wrong())?;
    match Duration::try_from_secs_f64(hours * 3600.0) {
        Ok(span) if (Duration::from_secs(1)..=MOST).contains(&span) => Ok(span),
        _ => Err(wrong()),
    }
}

/// Run it; its exit code.
pub(crate) fn run(paths: &Paths, arguments: &Arguments) -> Result<u8> {
    let seed = match arguments.seed {
        Some(seed) => seed,
        None => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .context("the clock")?
            .as_secs(),
    };
    let variables = [
        format!("SOAK_SECONDS={}", arguments.hours.as_secs()),
        format!("SOAK_SEED={seed}"),
    ];
    e2e::run_with(
        paths,
        &e2e::Arguments::long(On::Modules, vec![SCENARIO.to_owned()]),
        Some((arguments.hours + MARGIN).as_secs()),
        &variables,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_may_be_fractions() {
        assert_eq!(hours("0.5"), Ok(Duration::from_secs(1800)));
        assert_eq!(hours("8"), Ok(Duration::from_secs(8 * 3600)));
        for wrong in ["", "x", "0", "-1", "nan", "inf", "1001", "1e300"] {
            assert!(hours(wrong).is_err(), "{wrong}");
        }
    }
}
