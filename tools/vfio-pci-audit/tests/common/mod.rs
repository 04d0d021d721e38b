// SPDX-License-Identifier: GPL-2.0

//! The program as a user runs it.

// Each file of tests uses some of it.
#![allow(dead_code)]

pub(crate) mod logs;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub(crate) fn program(arguments: &[&str]) -> Command {
    // This machine may have a device at an address of the logs.
    let says = |argument: &&str| argument.starts_with("--root");
    let elsewhere = arguments.first() == Some(&"report") && !arguments.iter().any(says);
    let mut command = Command::new(env!("CARGO_BIN_EXE_vfio-pci-audit"));
    command
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data"))
        .args(arguments)
        .args(elsewhere.then_some("--root=/nowhere"))
        .env_remove("CLICOLOR_FORCE")
        .env("TZ", "UTC")
        .env_remove("COLUMNS")
        .stdin(Stdio::null());
    command
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    program(arguments).output().unwrap()
}

/// Everything that a user sees of a run.
pub(crate) fn all(arguments: &[&str]) -> String {
    let output = run(arguments);
    format!(
        "{}{}exit code {}\n",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
        output.status.code().unwrap()
    )
}

/// The same with something on standard input.
pub(crate) fn fed(arguments: &[&str], input: &[u8]) -> String {
    let mut child = program(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// A folder with files as a machine has them.
pub(crate) fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}
