// SPDX-License-Identifier: GPL-2.0

//! What the top-level Kbuild refuses, and chooses, for a stock kernel.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, ensure, Context, Result};
use lab::command;
use lab::paths::Paths;

/// A configuration that the livepatch is for.
const GOOD: [&str; 7] = [
    "64BIT=y",
    "PCI=y",
    "LIVEPATCH=y",
    "RUST=y",
    "AUDIT=y",
    "KPROBES=y",
    "VFIO_PCI_CORE=m",
];

/// Where this is said, all that a configuration has to have is there.
const GOOD_ENOUGH: &str = "no Rust crates";

/// The object folder of a kernel, with nothing built in it.
pub(super) struct Objects<'a> {
    paths: &'a Paths,
    folder: PathBuf,
}

impl<'a> Objects<'a> {
    pub(super) fn new(paths: &'a Paths, folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let scripts = folder.join("scripts");
        if !scripts.exists() {
            symlink(paths.build.join("linux/m/scripts"), scripts)?;
        }
        Ok(Self {
            paths,
            folder: folder.to_owned(),
        })
    }

    /// With the good configuration in which a word is another, and with more options, building ends
    /// with these words.
    fn refused(
        &self,
        words: &str,
        (old, new): (&str, &str),
        more: &[&str],
        modules: &str,
    ) -> Result<()> {
        let options = GOOD.map(|option| option.replace(old, new));
        let options = options
            .iter()
            .map(String::as_str)
            .chain(more.iter().copied());
        let text: String = options.map(|option| format!("CONFIG_{option}\n")).collect();
        fs::write(self.folder.join(".config"), text)?;
        let mut make = Command::new("make");
        make.args(["-s", "-f"])
            .arg(self.paths.top.join("Kbuild"))
            .arg(format!("src={}", self.paths.top.display()))
            .arg(format!("obj={0}", self.folder.display()))
            .arg(format!("objtree={0}", self.folder.display()))
            .env("MODULES_CONFIG", modules);
        match command::stdout(&mut make) {
            Ok(_) => bail!("not refused with {words:?}"),
            Err(error) => ensure!(
                error.to_string().contains(words),
                "not refused with {words:?}, but {error}"
            ),
        }
        Ok(())
    }

    pub(super) fn refusals(&self) -> Result<()> {
        let none = (" ", " ");
        for (words, change, more) in [
            (
                "has vfio_pci_audit of its own",
                none,
                &["VFIO_PCI_UNASSIGNED_ACCESS_AUDIT=y"][..],
            ),
            ("no CONFIG_LIVEPATCH", ("LIVEPATCH=y", ""), &[]),
            ("no CONFIG_RUST", ("RUST=y", ""), &[]),
            ("no CONFIG_AUDIT", ("AUDIT=y", ""), &[]),
            ("no CONFIG_KPROBES", ("KPROBES=y", ""), &[]),
            ("no CONFIG_VFIO_PCI_CORE=m", ("CORE=m", "CORE=y"), &[]),
            ("PREEMPT_RT", none, &["PREEMPT_RT=y"]),
            (GOOD_ENOUGH, none, &[]),
        ] {
            self.refused(words, change, more, "")?;
        }
        Ok(())
    }

    /// For a kernel with KUnit, these are what is built besides the modules.
    fn chosen(&self, options: &[&str]) -> Result<()> {
        let kunit = ["DEBUG_FS=y", "KUNIT=y"];
        self.refused(GOOD_ENOUGH, (" ", " "), &kunit, &options.join(" "))?;
        let file = self.folder.join(".modules.config");
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let mut found: Vec<_> = text.lines().filter(|line| is_choice(line)).collect();
        found.sort_unstable();
        ensure!(found == options, "chosen: {found:?}, not {options:?}");
        Ok(())
    }

    pub(super) fn choices(&self) -> Result<()> {
        self.chosen(&[])?;
        self.chosen(&["CONFIG_SAMPLE_PCI_AUDIT_C=m"])?;
        self.chosen(&[
            "CONFIG_PCI_AUDIT_KUNIT_TEST=m",
            "CONFIG_SAMPLE_PCI_AUDIT_C=m",
            "CONFIG_SAMPLE_PCI_AUDIT_RUST=m",
            "CONFIG_VFIO_PCI_AUDIT_KUNIT_TEST=y",
        ])?;
        for (option, more) in [
            ("CONFIG_SAMPLE_PCI_AUDIT_C=m", &["KUNIT=y"][..]),
            ("CONFIG_PCI_AUDIT_KUNIT_TEST=m", &[]),
            ("CONFIG_MISSPELLED=m", &[]),
        ] {
            self.refused(&format!("cannot have {option}:"), (" ", " "), more, option)?;
        }
        Ok(())
    }
}

fn is_choice(line: &str) -> bool {
    line.starts_with("CONFIG_") && (line.contains("SAMPLE") || line.contains("KUNIT_TEST"))
}
