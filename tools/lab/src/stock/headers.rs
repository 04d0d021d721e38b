// SPDX-License-Identifier: GPL-2.0

//! What a kernel's headers tell before anything is built.

use std::fs;
use std::path::Path;

use anyhow::{bail, ensure, Context, Result};

use crate::fits::Exports;

/// What is done about a kernel that cannot be patched as it is.
const REBUILD: &str = "take another with RELEASE=, or rebuild the kernel with the patch series";

/// A kernel's configuration.
pub(super) struct Config(String);

impl Config {
    /// Of the kernel whose headers are in a folder.
    pub(super) fn read(headers: &Path) -> Result<Self> {
        let file = headers.join(".config");
        fs::read_to_string(&file)
            .map(Self)
            .with_context(|| file.display().to_string())
    }

    fn has(&self, line: &str) -> bool {
        self.0.lines().any(|present| present == line)
    }

    /// Refuse a kernel without an option that `kconfig`, the text of the top-level Kconfig, says
    /// it needs.
    pub(super) fn check(&self, kconfig: &str) -> Result<()> {
        match options(kconfig).find(|option| !self.has(option)) {
            Some(option) => bail!("it lacks {option}: {REBUILD}"),
            None => Ok(()),
        }
    }

    /// The version of rustc that the kernel was built with, as in "1.85.1".
    pub(super) fn rustc(&self) -> Option<String> {
        let number = |line: &str| line.strip_prefix("CONFIG_RUSTC_VERSION=")?.parse().ok();
        let version: u32 = self.0.lines().find_map(number)?;
        let (major, minor, patch) = (version / 100_000, version / 100 % 1000, version % 100);
        Some(format!("{major}.{minor}.{patch}"))
    }
}

/// The options with their values that a text names, as in CONFIG_RUST=y.
fn options(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split("CONFIG_").skip(1).filter_map(|rest| {
        let (name, rest) = rest.split_once('=')?;
        let value = rest.chars().next().filter(|value| "ym".contains(*value))?;
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        name.chars()
            .all(is_name)
            .then(|| format!("CONFIG_{name}={value}"))
    })
}

/// Refuse a kernel whose exports say that there is nothing to build, or nothing to call.
pub(super) fn check_exports(exports: &Exports) -> Result<()> {
    ensure!(
        !exports.has("vfio_pci_audit_config_rw"),
        "it has vfio_pci_audit of its own: there is nothing to build"
    );
    ensure!(
        exports.has("vfio_pci_config_rw_single"),
        "it exports no vfio_pci_config_rw_single(): {REBUILD}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "CONFIG_RUST=y\nCONFIG_VFIO_PCI_CORE=m\nCONFIG_RUSTC_VERSION=108501\n";

    #[test]
    fn what_a_configuration_lacks() {
        let config = Config(CONFIG.to_owned());
        config
            .check("needs CONFIG_RUST=y, and CONFIG_VFIO_PCI_CORE=m: $(CONFIG_OTHER)")
            .unwrap();
        let error = config.check("no CONFIG_LIVEPATCH=y: x").unwrap_err();
        assert!(error.to_string().contains("lacks CONFIG_LIVEPATCH=y: "));
        let error = config.check("no CONFIG_RUST=m").unwrap_err();
        assert!(error.to_string().contains("lacks CONFIG_RUST=m: "));
        assert_eq!(config.rustc().as_deref(), Some("1.85.1"));
        assert_eq!(Config(String::new()).rustc(), None);
    }
}
