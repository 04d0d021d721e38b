// SPDX-License-Identifier: GPL-2.0

//! Both modules compiled for arm64, with LLVM and with GCC.

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{ensure, Context, Result};
use lab::command;
use lab::paths::Paths;
use lab::progress::{self, Step};

/// A compiler's name, and what the kernel's Makefile takes for it.
const COMPILERS: [(&str, &str); 2] = [
    ("llvm", "LLVM=-19"),
    ("gcc", "CROSS_COMPILE=aarch64-linux-gnu-"),
];

/// The configuration, on top of tinyconfig.
const FRAGMENTS: [&str; 3] = [
    "scripts/test-kernel.config",
    "scripts/test-kernel-builtin.config",
    "scripts/test-kernel-arm64.config",
];

/// What the kernel must not have lost by a dependency.
const WANTED: [&str; 4] = [
    "CONFIG_ARM64=y",
    "CONFIG_PCI_AUDIT=y",
    "CONFIG_PCI_AUDIT_KUNIT_TEST=y",
    "CONFIG_VFIO_PCI_AUDIT=y",
];

/// Compiles them with both.
pub(crate) fn run(paths: &Paths) -> Result<()> {
    let tree = paths.kernel_tree().display().to_string();
    progress::run(
        paths,
        &[
            Step::new(
                "setup",
                "installing what is missing",
                &["scripts/setup.sh", "kernel", "arm64"],
            ),
            Step::new(
                "kernel-source",
                "fetching the kernel's source",
                &["scripts/fetch-kernel.sh"],
            ),
            Step::new(
                "graft",
                "putting the sources there",
                &["scripts/graft.sh", &tree],
            ),
        ],
    )?;
    for (name, compiler) in COMPILERS {
        Build::new(paths, name, compiler, &tree).run()?;
    }
    Ok(())
}

/// A kernel's object folder.
struct Build<'a> {
    paths: &'a Paths,
    name: &'static str,
    folder: PathBuf,
    /// The words that make begins with.
    make: Vec<String>,
    tree: &'a str,
}

impl<'a> Build<'a> {
    fn new(paths: &'a Paths, name: &'static str, compiler: &str, tree: &'a str) -> Self {
        let folder = paths.build.join("linux").join(format!("arm64-{name}"));
        let path = env::var("PATH").unwrap_or_default();
        let bin = paths.build.join("bin");
        let make = [
            "env".to_owned(),
            format!("PATH={}:/usr/lib/llvm-19/bin:{path}", bin.display()),
            "make".to_owned(),
            "-C".to_owned(),
            tree.to_owned(),
            format!("O={}", folder.display()),
            "ARCH=arm64".to_owned(),
            compiler.to_owned(),
            "RUSTC=/usr/bin/rustc".to_owned(),
            format!("-j{}", command::jobs()),
        ];
        Self {
            paths,
            name,
            folder,
            make: make.to_vec(),
            tree,
        }
    }

    fn run(&self) -> Result<()> {
        fs::create_dir_all(&self.folder).with_context(|| self.folder.display().to_string())?;
        let config = self.folder.join(".config");
        if !config.exists() {
            self.configure()?;
        }
        let text = fs::read_to_string(&config).with_context(|| config.display().to_string())?;
        for option in WANTED {
            ensure!(
                text.lines().any(|line| line == option),
                "the kernel in {} cannot have {option} for arm64",
                self.tree
            );
        }
        let what = "building the kernel crate for arm64 (3 minutes of a processor the first time)";
        self.make("prepare", what, &["prepare"])?;
        let folders = ["drivers/pci/audit/", "drivers/vfio/pci/audit/"];
        self.make("modules", "compiling both modules for arm64", &folders)
    }

    fn configure(&self) -> Result<()> {
        self.make("config", "configuring a kernel for arm64", &["tinyconfig"])?;
        let objects = self.folder.display().to_string();
        let merge = format!("{}/scripts/kconfig/merge_config.sh", self.tree);
        let base = format!("{objects}/.config");
        let mut words = vec![merge.as_str(), "-m", "-O", &objects, &base];
        words.extend(FRAGMENTS);
        let step = Step::new(
            &format!("arm64-{}-merge", self.name),
            "with what the modules want",
            &words,
        );
        progress::run(self.paths, &[step])?;
        self.make("config", "and its dependencies", &["olddefconfig"])
    }

    fn make(&self, name: &str, what: &str, targets: &[&str]) -> Result<()> {
        let mut words: Vec<&str> = self.make.iter().map(String::as_str).collect();
        words.extend(targets);
        let log = format!("arm64-{}-{name}", self.name);
        let what = format!("{}: {what}", self.name);
        progress::run(self.paths, &[Step::new(&log, &what, &words)])
    }
}
