// SPDX-License-Identifier: GPL-2.0

//! Where the repository is, and what is built from it.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{ensure, Result};

/// The folders that everything else is in.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The repository.
    pub top: PathBuf,
    /// Where it builds.
    pub build: PathBuf,
}

impl Paths {
    /// The repository that this was started in, and its build folder, unless TOP and BUILD say
    /// otherwise.
    pub fn find() -> Result<Self> {
        let top = match given("TOP") {
            Some(top) => PathBuf::from(top),
            None => env::current_dir()?,
        };
        ensure!(
            top.join("Kbuild").exists() && top.join("scripts").is_dir(),
            "{} is not the repository of vfio-pci-audit",
            top.display()
        );
        let build = given("BUILD").map_or_else(|| top.join("build"), PathBuf::from);
        Ok(Self { top, build })
    }

    /// A script of the repository.
    pub fn script(&self, name: &str) -> PathBuf {
        self.top.join("scripts").join(name)
    }

    /// A log among the others.
    pub fn log(&self, name: &str) -> PathBuf {
        self.build.join("log").join(format!("{name}.log"))
    }

    /// Where the programs of the host's tools are, as they are tested.
    pub fn tools(&self) -> PathBuf {
        self.build.join("target/debug")
    }

    /// One of them.
    pub fn tool(&self, name: &str) -> PathBuf {
        self.tools().join(name)
    }

    /// The same with the release profile, as operators have it.
    pub fn optimised(&self, name: &str) -> PathBuf {
        self.build.join("target/release").join(name)
    }

    /// The patched audit userspace.
    pub fn audit(&self) -> PathBuf {
        self.build.join("audit")
    }

    /// The image of a test kernel, by its kind: m, y, novfio, debug.
    pub fn image(&self, kind: &str) -> PathBuf {
        self.build
            .join("linux")
            .join(kind)
            .join("arch/x86/boot/bzImage")
    }

    /// The kernel's source.
    pub fn kernel_tree(&self) -> PathBuf {
        given("KDIR").map_or_else(|| self.build.join("linux/src"), PathBuf::from)
    }

    /// A path as it is shown: within the repository where it is there.
    pub fn show(&self, path: &Path) -> String {
        path.strip_prefix(&self.top)
            .unwrap_or(path)
            .display()
            .to_string()
    }
}

/// A variable of the environment; one that is empty counts as not there.
pub fn given(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// Whether a variable of the environment is there and not 0.
pub fn is_set(name: &str) -> bool {
    given(name).is_some_and(|value| value != "0")
}

/// The last lines of a file; nothing where it cannot be read.
pub fn last_lines(file: &Path, count: usize) -> String {
    let text = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text
        .lines()
        .map(|line| line.trim_end_matches('\r'))
        .collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_lines_of_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "one\r\ntwo\nthree").unwrap();
        assert_eq!(last_lines(file.path(), 2), "two\nthree");
        assert_eq!(last_lines(file.path(), 5), "one\ntwo\nthree");
        assert_eq!(last_lines(Path::new("/nowhere"), 5), "");
    }
}
