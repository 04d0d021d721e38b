// SPDX-License-Identifier: GPL-2.0

//! What a kernel exports to modules.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{ensure, Context, Result};

use crate::command;

/// Where a kernel tree has the functions that are wanted.
const FOLDERS: &[&str] = &[
    "arch/x86",
    "drivers/pci",
    "drivers/vfio",
    "kernel",
    "lib",
    "mm",
];

/// Names of exported symbols.
pub struct Exports(BTreeSet<String>);

impl Exports {
    /// Those of a kernel that was built, by its Module.symvers.
    pub fn of_build(folder: &Path) -> Result<Self> {
        let file = folder.join("Module.symvers");
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let names = text.lines().filter_map(|line| line.split('\t').nth(1));
        let exports = Self(names.map(str::to_owned).collect());
        ensure!(!exports.0.is_empty(), "{} lists no symbols", file.display());
        Ok(exports)
    }

    /// Those of a tree, whatever it is configured for.
    pub fn of_source(tree: &Path) -> Result<Self> {
        let mut grep = Command::new("grep");
        grep.current_dir(tree)
            .args(["-rhoE", "--include=*.c", "--include=*.S"])
            .arg("EXPORT_SYMBOL(_GPL|_FOR_[A-Z]+)?\\([A-Za-z0-9_]+")
            .args(FOLDERS.iter().filter(|folder| tree.join(folder).exists()));
        let output = command::output(&mut grep)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let names = text.lines().filter_map(|line| line.split('(').nth(1));
        Ok(Self(names.map(str::to_owned).collect()))
    }

    /// Their names.
    pub fn into_names(self) -> BTreeSet<String> {
        self.0
    }

    /// Whether a symbol is exported.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// All that have the mangled names of Rust.
    pub(crate) fn of_rust(&self) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .map(String::as_str)
            .filter(|name| name.starts_with("_R"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_of_a_build() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("Module.symvers");
        fs::write(
            &file,
            "0x0\tkfree\tvmlinux\tEXPORT_SYMBOL\t\n0x0\t_RNv1x\tvmlinux\tEXPORT_SYMBOL_GPL\t\n",
        )
        .unwrap();
        let exports = Exports::of_build(folder.path()).unwrap();
        assert!(exports.has("kfree") && !exports.has("kfre"));
        assert_eq!(exports.of_rust().collect::<Vec<_>>(), ["_RNv1x"]);
        fs::write(&file, "").unwrap();
        assert!(Exports::of_build(folder.path()).is_err());
    }

    #[test]
    fn symbols_of_a_source() {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir_all(tree.path().join("mm")).unwrap();
        let text = "EXPORT_SYMBOL(kfree);\nEXPORT_SYMBOL_GPL(other);\n";
        fs::write(tree.path().join("mm/slub.c"), text).unwrap();
        let exports = Exports::of_source(tree.path()).unwrap();
        assert!(exports.has("kfree") && exports.has("other") && !exports.has("EXPORT_SYMBOL"));
    }
}
