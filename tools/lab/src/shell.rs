// SPDX-License-Identifier: GPL-2.0

//! Calls functions of scripts/lib.sh, which knows the compilers, and what scripts that run before
//! there is a lab have to know too.

use std::process::Command;

use crate::paths::Paths;
use crate::progress;

/// A command line of lib.sh's that takes more arguments: a function and its first arguments, or
/// `toolchain; exec` for any program with the kernel's compilers in its path.
pub fn words(call: &str) -> [String; 4] {
    let script = format!(". scripts/lib.sh; {call} \"$@\"");
    ["bash", "-c", &script, "lib.sh"].map(str::to_owned)
}

/// The same as a command.
pub fn function(paths: &Paths, call: &str) -> Command {
    progress::command(paths, &words(call))
}

/// A program with the kernel's compilers in its path.
pub fn in_toolchain(paths: &Paths, program: &str) -> Command {
    let mut command = function(paths, "toolchain; exec");
    command.arg(program);
    command
}
