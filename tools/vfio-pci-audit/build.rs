// SPDX-License-Identifier: GPL-2.0

//! Tells the tests whether there are a browser and a parser of metrics, so that those that need
//! them are counted as ignored where there are none.

use std::env;
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
    let parser = Command::new("/usr/bin/python3")
        .args(["-c", "import prometheus_client.openmetrics.parser"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if parser.is_ok_and(|status| status.success()) {
        println!("cargo:rustc-cfg=has_prometheus_client");
    }
}
