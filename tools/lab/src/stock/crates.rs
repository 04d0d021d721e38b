// SPDX-License-Identifier: GPL-2.0

//! Whether the Rust crates that were built are those of the kernel.
//!
//! The name of a Rust symbol has a hash of its crate in it: compiler, options and content. The
//! kernel has to export what our crates were built to call.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{ensure, Context, Result};

use crate::command;
use crate::fits::Exports;

/// Compares the crates in an object folder with what the kernel exports. Returns how many symbols
/// there are.
pub(super) fn compare(objects: &Path, exports: &Exports) -> Result<usize> {
    let built = built(&objects.join("rust"))?;
    let exported: Vec<_> = exports.of_rust().collect();
    ensure!(!exported.is_empty(), "the kernel exports no Rust symbols");
    let missing: Vec<_> = exported
        .iter()
        .filter(|name| !built.contains(**name))
        .collect();
    ensure!(
        missing.is_empty(),
        "the Rust crates that were built are not those of the kernel: {} of the {} symbols that it \
         exports are missing, such as {}. Debian built it with another compiler than Debian 13 has \
         now: upgrade to the newest kernel of backports, and build for that",
        missing.len(),
        exported.len(),
        missing[0]
    );
    Ok(exported.len())
}

/// The Rust symbols that the objects of a folder define.
fn built(folder: &Path) -> Result<BTreeSet<String>> {
    let mut objects = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let file = entry?.path();
        if file.extension().is_some_and(|end| end == "o") {
            objects.push(file);
        }
    }
    let table = command::stdout(
        Command::new("nm")
            .args(["--defined-only", "-P", "-A"])
            .args(&objects),
    )?;
    Ok(table.lines().filter_map(rust_symbol).collect())
}

/// The name in a line of nm, if it is a Rust symbol that other objects may use.
fn rust_symbol(line: &str) -> Option<String> {
    let (_, line) = line.split_once(": ")?;
    let (name, rest) = line.split_once(' ')?;
    let kind = rest.chars().next()?;
    (name.starts_with("_R") && "TRDB".contains(kind)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_of_objects() {
        let global = "/x/kernel.o: _RNvCs1_6kernel T 0 10";
        assert_eq!(rust_symbol(global).as_deref(), Some("_RNvCs1_6kernel"));
        assert_eq!(rust_symbol("/x/kernel.o: _RNvCs1_6kernel t 0 10"), None);
        assert_eq!(rust_symbol("/x/kernel.o: main T 0 10"), None);
    }
}
