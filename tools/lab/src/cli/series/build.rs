// SPDX-License-Identifier: GPL-2.0

//! Builds every patch of the series in build/series, with the option off and on, in a tree and an
//! object folder of its own under build/linux/series. Only the folders that the series touches are
//! built, and that their symbols fit is checked without linking the kernel: 10 minutes on two cores
//! the first time, most of it the kernel crate, and 5 later.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{ensure, Context, Result};
use lab::command;
use lab::files;
use lab::paths::Paths;
use lab::{progress, shell};

use crate::cli::checks::Checks;
use crate::cli::compiler;

/// Build all; whether none failed.
pub(crate) fn run(paths: &Paths) -> Result<bool> {
    let commits = paths.build.join("series/linux");
    ensure!(
        commits.join(".git").is_dir(),
        "there is no series: run scripts/lab.sh series"
    );
    let folder = paths.build.join("linux/series");
    let builds = Builds {
        paths,
        commits,
        tree: folder.join("tree"),
        objects: folder.join("objects"),
    };
    let list = builds.git(&["rev-list", "--reverse", "base..series"])?;
    let list: Vec<_> = list.lines().collect();
    eprintln!("copying the kernel tree");
    builds.copy()?;
    let mut checks = Checks::new(2 * list.len())?;
    for on in [false, true] {
        for commit in &list {
            let subject = builds.git(&["log", "-1", "--format=%s", commit])?;
            let option = if on { "on" } else { "off" };
            let name = format!("with the option {option}: {}", subject.trim());
            let started = Instant::now();
            checks.check(&name, || builds.build(commit, on))?;
            eprintln!("    {} s", started.elapsed().as_secs());
        }
    }
    builds.git(&["checkout", "-q", "series"])?;
    checks.end()
}

struct Builds<'a> {
    paths: &'a Paths,
    commits: PathBuf,
    tree: PathBuf,
    objects: PathBuf,
}

/// What the series is about.
const OPTION: &str = "CONFIG_VFIO_PCI_UNASSIGNED_ACCESS_AUDIT";

impl Builds<'_> {
    fn git(&self, words: &[&str]) -> Result<String> {
        command::stdout(Command::new("git").arg("-C").arg(&self.commits).args(words))
    }

    /// A copy of links to the files that stay as they are. rsync replaces a link by a file.
    fn copy(&self) -> Result<()> {
        let source = self.paths.kernel_tree().canonicalize()?;
        files::fresh_folder(&self.tree)?;
        fs::remove_dir(&self.tree)?;
        command::stdout(Command::new("cp").arg("-as").arg(source).arg(&self.tree))?;
        if self.tree.join(".vfio-pci-audit").exists() {
            let mut graft = progress::command(self.paths, &["scripts/graft.sh".to_owned()]);
            command::stdout(graft.arg("--remove").arg(&self.tree))?;
        }
        Ok(())
    }

    /// Bring the copy to a commit; what stays the same keeps its date, and is not built again.
    fn checkout(&self, commit: &str) -> Result<()> {
        self.git(&["checkout", "-q", commit])?;
        let mut rsync = Command::new("rsync");
        rsync.args(["-r", "--checksum", "--exclude", ".git"]);
        // Its content, not the folder itself.
        command::stdout(rsync.arg(self.commits.join("")).arg(self.tree.join("")))?;
        let later = self.git(&["diff", "--name-only", "--diff-filter=A", commit, "series"])?;
        for file in later.lines().map(|file| self.tree.join(file)) {
            if file.exists() {
                fs::remove_file(file)?;
            }
        }
        Ok(())
    }

    fn configure(&self, on: bool) -> Result<()> {
        fs::create_dir_all(&self.objects)?;
        let fragment = self.objects.join("fragment");
        let mut text = fs::read_to_string(self.paths.script("test-kernel.config"))?;
        text += &match on {
            true => "CONFIG_PCI_AUDIT_KUNIT_TEST=y\n".to_owned(),
            false => format!("{OPTION}=n\n"),
        };
        fs::write(&fragment, text)?;
        let mut configure = shell::function(self.paths, "configure");
        configure.arg(&self.tree).arg(&self.objects).arg(fragment);
        command::stdout(&mut configure)?;
        let config = fs::read_to_string(self.objects.join(".config"))?;
        let is_on = config.lines().any(|line| line == format!("{OPTION}=y"));
        ensure!(
            is_on == on,
            "the option cannot be {}",
            if on { "on" } else { "off" }
        );
        Ok(())
    }

    fn build(&self, commit: &str, on: bool) -> Result<()> {
        self.checkout(commit)?;
        self.configure(on)?;
        for object in self.built()? {
            fs::remove_file(object)?;
        }
        let mut make = shell::function(self.paths, "kmake");
        // With the warnings that kmake leaves out.
        make.arg(&self.objects)
            .args(["KCFLAGS=", "drivers/vfio/", "drivers/pci/"]);
        let output = command::output(&mut make)?;
        let said = [output.stdout, output.stderr]
            .map(|said| String::from_utf8_lossy(&said).into_owned())
            .concat();
        ensure!(output.status.success(), "{said}");
        compiler::judge(&said)?;
        self.symbols_fit()
    }

    fn built(&self) -> Result<Vec<PathBuf>> {
        let mut objects = Vec::new();
        for folder in ["drivers/vfio", "drivers/pci"] {
            let folder = self.objects.join(folder);
            if folder.exists() {
                let is_object = |file: &Path| file.extension().is_some_and(|end| end == "o");
                objects.extend(files::plain(&folder, is_object)?);
            }
        }
        Ok(objects)
    }

    /// What our modules and VFIO want of each other is there.
    fn symbols_fit(&self) -> Result<()> {
        let wanted = self.symbols("--undefined-only")?;
        let there = self.symbols("--defined-only")?;
        ensure!(!there.is_empty() || wanted.is_empty(), "nothing was built");
        let missing: Vec<_> = wanted.difference(&there).collect();
        ensure!(missing.is_empty(), "no definition of: {missing:?}");
        Ok(())
    }

    fn symbols(&self, which: &str) -> Result<BTreeSet<String>> {
        let mut nm = shell::in_toolchain(self.paths, "llvm-nm");
        nm.args(["--format=just-symbols", which])
            .args(self.built()?);
        let said = command::stdout(&mut nm).context("llvm-nm")?;
        let ours = |name: &&str| {
            ["vfio_pci_audit", "pci_audit", "vfio_pci_config"]
                .iter()
                .any(|begin| name.starts_with(begin))
        };
        Ok(said.lines().filter(ours).map(str::to_owned).collect())
    }
}
