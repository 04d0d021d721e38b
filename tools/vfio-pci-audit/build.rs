// SPDX-License-Identifier: GPL-2.0

//! Tells the tests whether there is a browser, so that those that need one are counted as ignored where there is none.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=PATH");
    println!("cargo:rustc-check-cfg=cfg(has_chromium)");
    let path = env::var_os("PATH").unwrap_or_default();
    if env::split_paths(&path).any(|folder| folder.join("chromium").is_file()) {
        println!("cargo:rustc-cfg=has_chromium");
    }
}
