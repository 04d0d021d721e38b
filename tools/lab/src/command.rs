// SPDX-License-Identifier: GPL-2.0

//! Runs other programs to completion.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

use anyhow::{bail, Context, Result};

use crate::paths::given;

/// Runs a command without input. Returns its output, whatever the exit code.
pub fn output(command: &mut Command) -> Result<Output> {
    command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("running {command:?}"))
}

/// Runs a command that has to succeed. Returns its standard output.
pub fn stdout(command: &mut Command) -> Result<String> {
    stdout_of_input(command, Path::new("/dev/null"))
}

/// The same with a file on its standard input.
pub fn stdout_of_input(command: &mut Command, input: &Path) -> Result<String> {
    let input = File::open(input).with_context(|| input.display().to_string())?;
    let output = command
        .stdin(input)
        .output()
        .with_context(|| format!("running {command:?}"))?;
    if !output.status.success() {
        bail!(
            "{command:?} ended with {}: {}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// How many jobs make may run: JOBS, or one for each processor.
pub fn jobs() -> String {
    given("JOBS").map_or_else(
        || {
            thread::available_parallelism()
                .map_or(1, usize::from)
                .to_string()
        },
        |jobs| jobs.to_string_lossy().into_owned(),
    )
}
