// SPDX-License-Identifier: GPL-2.0

//! Tells the tests whether there are a browser, a parser of metrics and a database, so that those
//! that need them are counted as ignored where there are none.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=PATH");
    println!("cargo:rustc-check-cfg=cfg(has_chromium)");
    let path = env::var_os("PATH").unwrap_or_default();
    if env::split_paths(&path).any(|folder| folder.join("chromium").is_file()) {
        println!("cargo:rustc-cfg=has_chromium");
    }
    println!("cargo:rustc-check-cfg=cfg(has_prometheus_client)");
    // Prometheus' own, of Debian's python3-prometheus-client.
    let system = Path::new("/usr/bin/python3");
    if has_module(system, "prometheus_client.openmetrics.parser") {
        println!("cargo:rustc-cfg=has_prometheus_client");
    }
    println!("cargo:rerun-if-env-changed=BUILD");
    println!("cargo:rustc-check-cfg=cfg(has_duckdb)");
    let build = env::var_os("BUILD").map_or_else(|| "../../build".into(), PathBuf::from);
    if has_module(&build.join("venv/bin/python"), "duckdb") {
        println!("cargo:rustc-cfg=has_duckdb");
    }
}

/// Whether a Python has a module.
fn has_module(python: &Path, module: &str) -> bool {
    let found = Command::new(python)
        .args(["-c", &format!("import {module}")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    found.is_ok_and(|status| status.success())
}
