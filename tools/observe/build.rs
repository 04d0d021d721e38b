// SPDX-License-Identifier: GPL-2.0

//! Compiles the BPF program with clang.

use std::env;
use std::path::{Path, PathBuf};

use libbpf_cargo::SkeletonBuilder;

const SOURCE: &str = "bpf/observe.bpf.c";

/// The clang of the variable CLANG, or else the newest in PATH that has a version in its name, as
/// Debian's have, or else plain clang.
fn clang() -> Option<PathBuf> {
    println!("cargo:rerun-if-env-changed=CLANG");
    println!("cargo:rerun-if-env-changed=PATH");
    if let Some(clang) = env::var_os("CLANG") {
        return Some(clang.into());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let find = |name: &str| {
        env::split_paths(&path)
            .map(|folder| folder.join(name))
            .find(|file| Path::is_file(file))
    };
    (12..30)
        .rev()
        .find_map(|version| find(&format!("clang-{version}")))
        .or_else(|| find("clang"))
}

fn main() {
    for file in [SOURCE, "bpf/event.h", "bpf/kernel.h"] {
        println!("cargo:rerun-if-changed={file}");
    }
    let Some(clang) = clang() else {
        panic!(
            "the BPF program of `observe` needs clang 12 or later, libelf-dev and zlib1g-dev; \
             --no-default-features builds vfio-pci-audit without `observe`"
        );
    };
    let target = match env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
        Ok("aarch64") => "-D__TARGET_ARCH_arm64",
        _ => "-D__TARGET_ARCH_x86",
    };
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    SkeletonBuilder::new()
        .source(SOURCE)
        .clang(clang)
        .clang_args([
            target,
            "-mcpu=v3",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-Wno-unused-parameter",
        ])
        .build_and_generate(out.join("observe.skel.rs"))
        .unwrap_or_else(|error| panic!("{SOURCE} does not compile: {error:#}"));
}
