// SPDX-License-Identifier: GPL-2.0

//! The host's tools, and the crates that they depend on.

use std::path::Path;
use std::process::Command;

use anyhow::{bail, Result};
use lab::command;
use lab::ktap::Skip;
use lab::paths::Paths;
use lab::shell;

pub(super) fn formatted(paths: &Paths) -> Result<()> {
    let mut cargo = shell::function(paths, "host_cargo");
    command::stdout(cargo.args(["fmt", "--all", "--check"])).map(drop)
}

/// The workspaces: the host's tools, and what takes a fuzzer's compiler.
const WORKSPACES: [&str; 2] = ["Cargo.toml", "tools/fuzz/libfuzzer/Cargo.toml"];

/// The features that no package has by default.
const OPTIONAL: &str = "pci-audit-core/bench,vfio-pci-audit/parquet";

/// A lock that is not up to date is changed by whatever builds next.
pub(super) fn locked(paths: &Paths) -> Result<()> {
    for manifest in WORKSPACES {
        let mut cargo = shell::function(paths, "host_cargo");
        cargo.args(["metadata", "--locked", "--quiet", "--format-version", "1"]);
        // What other systems want is not fetched.
        cargo.args(["--filter-platform", "x86_64-unknown-linux-gnu"]);
        command::stdout(cargo.args(["--manifest-path", manifest]))?;
    }
    Ok(())
}

/// The whole workspace with what is optional, and again with the operator's tool as it is built
/// without clang and libelf. The second names the workspace and examples too: for less, cargo
/// chooses fewer features of what the tool depends on, and checks that anew.
pub(super) fn clippy(paths: &Paths) -> Result<()> {
    for part in [
        &["--all-targets", "--features", OPTIONAL][..],
        &["--lib", "--bins", "--examples", "--no-default-features"],
    ] {
        let mut cargo = cargo_clippy(paths)?;
        cargo.args(["--workspace", "--quiet"]).args(part);
        command::stdout(cargo.args(["--", "-D", "warnings"]))?;
    }
    Ok(())
}

/// The distribution's clippy goes with what the distribution's compiler has built. One of rustup's
/// brings a compiler of its own, which builds the dependencies too.
fn cargo_clippy(paths: &Paths) -> Result<Command> {
    let mut cargo = if Path::new("/usr/bin/cargo-clippy").exists() {
        shell::function(paths, "host_cargo")
    } else if succeeds(Command::new("cargo").args(["clippy", "--version"])) {
        let mut cargo = Command::new("cargo");
        cargo
            .current_dir(&paths.top)
            .env_remove("RUSTC")
            .env("CARGO_TARGET_DIR", paths.build.join("target-clippy"));
        cargo
    } else {
        bail!(Skip("this system has no cargo clippy".to_owned()));
    };
    cargo.arg("clippy");
    Ok(cargo)
}

/// Licenses, sources and versions.
pub(super) fn deny(paths: &Paths) -> Result<()> {
    let what = [
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ];
    command::stdout(cargo_deny(paths)?.args(what)).map(drop)
}

/// Advisories, if their database can be had.
pub(super) fn advisories(paths: &Paths) -> Result<()> {
    if !succeeds(cargo_deny(paths)?.args(["fetch", "db"])) {
        bail!(Skip(
            "the advisory database cannot be fetched from here".to_owned()
        ));
    }
    let what = ["check", "--hide-inclusion-graph", "advisories"];
    command::stdout(cargo_deny(paths)?.args(what)).map(drop)
}

fn cargo_deny(paths: &Paths) -> Result<Command> {
    if !succeeds(shell::in_toolchain(paths, "cargo-deny").arg("--version")) {
        bail!(Skip(
            "cargo-deny is missing: make lint installs it".to_owned()
        ));
    }
    let mut cargo = shell::function(paths, "toolchain; host_cargo");
    cargo.args(["deny", "--log-level", "error"]);
    Ok(cargo)
}

fn succeeds(command: &mut Command) -> bool {
    command::output(command).is_ok_and(|output| output.status.success())
}
