// SPDX-License-Identifier: GPL-2.0

//! What grafting does to a kernel tree, and what the option does to the code when it is off.
//!
//! - [`stock`]: what building for a stock kernel refuses and chooses.
//! - [`stub`]: what a driver has of the service in a kernel without it.

mod stock;
mod stub;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{ensure, Context, Result};
use lab::command;
use lab::files;
use lab::paths::Paths;
use lab::progress;

use crate::cli::checks::Checks;
use crate::cli::series;

/// Check all; whether nothing failed.
pub(crate) fn run(paths: &Paths) -> Result<bool> {
    let work = tempfile::Builder::new()
        .prefix("tree.")
        .tempdir_in(&paths.build)?;
    let tree = Tree::new(paths, work.path())?;
    let mut checks = Checks::new(15)?;
    checks.check("the series and the sources go into a tree", || {
        tree.graft(&[]).map(drop)
    })?;
    checks.check("sources in the tree are those of the repository", || {
        tree.one_copy()
    })?;
    checks.check("grafting again changes nothing", || tree.again())?;
    checks.check("what the documentation quotes is in the tree", || {
        tree.quotes_exist()
    })?;
    checks.check("a series can be made of the tree", || tree.series())?;
    checks.check(
        "git am of the series makes the tree that grafting makes",
        || tree.series_is_graft(),
    )?;
    checks.check(
        "the decision comes with the first patch, and no other touches it",
        || tree.decision_comes_first(),
    )?;
    checks.check("both can be taken out again", || {
        tree.graft(&["--remove"]).map(drop)
    })?;
    checks.check("the tree is as it was before", || {
        same(&tree.beside("orig"), &tree.tree)
    })?;
    checks.check(
        "a tree that a patch does not apply to gets an error and stays as it is",
        || tree.refuses(),
    )?;
    checks.check(
        "with the option off, vfio_pci_config.o has the code of the unpatched file",
        || same_code(paths),
    )?;
    checks.check("with the option on, it has not", || other_code(paths))?;
    checks.check(
        "without CONFIG_PCI_AUDIT its functions compile to nothing",
        || stub::compiles_to_nothing(paths, &tree.beside("stub")),
    )?;
    checks.check(
        "a kernel that the livepatch is not for is refused when it is built, with the reason",
        || stock::Objects::new(paths, &tree.beside("objects"))?.refusals(),
    )?;
    checks.check(
        "samples and KUnit suites can be chosen for a stock kernel that has what they need",
        || stock::Objects::new(paths, &tree.beside("objects"))?.choices(),
    )?;
    checks.end()
}

/// A copy of those files of a kernel tree that grafting looks at.
struct Tree<'a> {
    paths: &'a Paths,
    source: PathBuf,
    tree: PathBuf,
}

impl<'a> Tree<'a> {
    fn new(paths: &'a Paths, work: &Path) -> Result<Self> {
        let this = Self {
            paths,
            source: paths.kernel_tree(),
            tree: work.join("tree"),
        };
        let (source, tree) = (&this.source, &this.tree);
        for folder in ["drivers/vfio", "drivers/pci"] {
            fs::create_dir_all(tree.join(folder))?;
        }
        files::copy(source, tree, ["Kbuild", "Makefile"])?;
        copy(
            &source.join("drivers/vfio/pci"),
            &tree.join("drivers/vfio/"),
        )?;
        // Those that the series changes, as they were.
        this.graft_of(&["--unpatched"], source, Some(tree))?;
        let audit = tree.join("drivers/vfio/pci/audit");
        if audit.exists() {
            fs::remove_dir_all(audit)?;
        }
        copy(tree, &this.beside("orig"))?;
        Ok(this)
    }

    /// A folder or file beside the tree.
    fn beside(&self, name: &str) -> PathBuf {
        self.tree.with_extension(name)
    }

    fn graft(&self, options: &[&str]) -> Result<String> {
        self.graft_of(options, &self.tree, None)
    }

    fn graft_of(&self, options: &[&str], tree: &Path, folder: Option<&Path>) -> Result<String> {
        let mut graft = progress::command(self.paths, &["scripts/graft.sh".to_owned()]);
        command::stdout(graft.args(options).arg(tree).args(folder))
    }

    fn one_copy(&self) -> Result<()> {
        for file in [
            "drivers/pci/audit/record.rs",
            "drivers/vfio/pci/audit/session.rs",
            "include/linux/pci_audit.h",
        ] {
            let ours = fs::read(self.paths.top.join("src").join(file)).context(file)?;
            let theirs = fs::read(self.tree.join(file)).context(file)?;
            ensure!(ours == theirs, "{file} is another one in the tree");
        }
        Ok(())
    }

    fn again(&self) -> Result<()> {
        let once = self.beside("once");
        copy(&self.tree, &once)?;
        self.graft(&[])?;
        same(&once, &self.tree)?;
        Ok(fs::remove_dir_all(once)?)
    }

    fn quotes_exist(&self) -> Result<()> {
        let doc = self.tree.join("Documentation/driver-api/pci-audit.rst");
        let text = fs::read_to_string(&doc).with_context(|| doc.display().to_string())?;
        let quoted: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix(".. literalinclude:: "))
            .collect();
        ensure!(quoted.len() == 2, "it quotes {quoted:?}");
        for file in quoted {
            let file = doc.with_file_name(file);
            ensure!(file.exists(), "there is no {}", file.display());
        }
        Ok(())
    }

    fn patches_of_series(&self) -> Result<Vec<PathBuf>> {
        let mut patches = files::with_extension(&self.beside("series"), "patch")?;
        patches.retain(|file| !name(file).starts_with("0000-"));
        Ok(patches)
    }

    /// Each patch is signed off, and goes to those that it concerns.
    fn series(&self) -> Result<()> {
        let author = series::Author {
            name: "Test".to_owned(),
            email: "test@localhost".to_owned(),
        };
        series::make(self.paths, &self.source, &self.beside("series"), &author)?;
        let patches = self.patches_of_series()?;
        let ours = files::with_extension(&self.paths.top.join("patches/linux"), "patch")?;
        ensure!(patches.len() == ours.len(), "the series is {patches:?}");
        let cover = files::with_extension(&self.beside("series"), "patch")?.remove(0);
        for file in patches.iter().chain([&cover]) {
            let text = fs::read_to_string(file)?;
            let has = |begin: &str| text.lines().any(|line| line.starts_with(begin));
            ensure!(has("Cc: "), "{} goes to none", file.display());
            ensure!(
                *file == cover || has("Signed-off-by: Test <test@localhost>"),
                "{} is not signed off",
                file.display()
            );
        }
        Ok(())
    }

    fn series_is_graft(&self) -> Result<()> {
        let am = self.beside("am");
        copy(&self.beside("orig"), &am)?;
        let git = |words: &[&str], patches: &[PathBuf]| {
            let mut git = Command::new("git");
            git.arg("-C").arg(&am);
            git.args(["-c", "user.name=Test", "-c", "user.email=test@localhost"]);
            command::stdout(git.args(words).args(patches))
        };
        git(&["init", "-q"], &[])?;
        git(&["add", "-A"], &[])?;
        git(&["commit", "-q", "-m", "before"], &[])?;
        git(&["am", "-q"], &self.patches_of_series()?)?;
        same(&am, &self.tree)
    }

    /// The helper that returns whether an access is blocked, and the policy that it asks, are there
    /// first, and no later patch touches their files.
    fn decision_comes_first(&self) -> Result<()> {
        let sources = self.paths.top.join("src");
        let patches = self.patches_of_series()?;
        for function in ["fn vfio_pci_audit_blocked(", "pub fn decide(&self"] {
            let mut found = Vec::new();
            for file in files::plain(&sources.join("drivers/vfio/pci/audit"), |_| true)? {
                if fs::read_to_string(&file)?.contains(function) {
                    found.push(file);
                }
            }
            let [file] = &found[..] else {
                anyhow::bail!("{function} is in {found:?}");
            };
            let added = format!("+++ b/{}\n", file.strip_prefix(&sources)?.display());
            let mut touched = Vec::new();
            for patch in &patches {
                if fs::read_to_string(patch)?.contains(&added) {
                    touched.push(name(patch));
                }
            }
            ensure!(
                touched.len() == 1 && touched[0].starts_with("0001-"),
                "{} is touched by {touched:?}",
                file.display()
            );
        }
        Ok(())
    }

    fn refuses(&self) -> Result<()> {
        let file = self.tree.join("drivers/vfio/pci/vfio_pci_config.c");
        let text = fs::read_to_string(&file)?;
        fs::write(&file, text.replace("vfio_pci_config_rw_single", "renamed"))?;
        let changed = self.beside("changed");
        copy(&self.tree, &changed)?;
        let said = match self.graft(&[]) {
            Ok(_) => anyhow::bail!("it was grafted"),
            Err(error) => error.to_string(),
        };
        let is_refusal =
            |line: &str| line.contains("does not apply") && line.contains("nothing was changed");
        ensure!(said.lines().any(is_refusal), "{said}");
        same(&changed, &self.tree)
    }
}

fn name(file: &Path) -> String {
    file.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    command::stdout(Command::new("cp").arg("-r").arg(from).arg(to)).map(drop)
}

/// Whether folders have the same content, but for what git and graft.sh note in them.
fn same(one: &Path, other: &Path) -> Result<()> {
    let mut diff = Command::new("diff");
    diff.args(["-r", "-x", ".git", "-x", ".vfio-pci-audit"]);
    command::stdout(diff.arg(one).arg(other)).map(drop)
}

/// The code of the file that was compiled without the series, and with the option off. Where the
/// compiler put a string is no part of the code.
fn same_code(paths: &Paths) -> Result<()> {
    let [unpatched, off] = ["unpatched", "off"].map(|kind| code(paths, kind));
    let (unpatched, off) = (unpatched?, off?);
    ensure!(unpatched.len() > 1000, "{} lines of code", unpatched.len());
    let differ = unpatched.iter().zip(&off).find(|(one, other)| one != other);
    ensure!(
        differ.is_none() && unpatched.len() == off.len(),
        "{} and {} lines of code, first other: {differ:?}",
        unpatched.len(),
        off.len()
    );
    Ok(())
}

fn code(paths: &Paths, kind: &str) -> Result<Vec<String>> {
    let object = paths
        .build
        .join("linux")
        .join(kind)
        .join("vfio_pci_config.o");
    let mut dump = Command::new("llvm-objdump-19");
    dump.args(["-d", "-r", "--no-show-raw-insn"]).arg(object);
    // The first lines have the file's name.
    Ok(command::stdout(&mut dump)?
        .lines()
        .skip(2)
        .map(without_place)
        .collect())
}

/// A line of code without the place within a section of strings.
fn without_place(line: &str) -> String {
    let place = line.find(".rodata.str").and_then(|at| {
        let plus = at + line[at..].find("+0x")?;
        let end = line[plus + 3..].find(|c: char| !c.is_ascii_hexdigit());
        Some((plus, end.map_or(line.len(), |end| plus + 3 + end)))
    });
    match place {
        Some((from, to)) => format!("{}{}", &line[..from], &line[to..]),
        None => line.to_owned(),
    }
}

fn other_code(paths: &Paths) -> Result<()> {
    let linux = paths.build.join("linux");
    let read = |name: &str| fs::read(linux.join(name)).with_context(|| name.to_owned());
    ensure!(
        read("unpatched/vfio_pci_config.o")? != read("m/drivers/vfio/pci/vfio_pci_config.o")?,
        "it is the same file"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_have_no_place() {
        assert_eq!(
            without_place("\t\tR_X86_64_32S\t.rodata.str1.1+0x1f"),
            "\t\tR_X86_64_32S\t.rodata.str1.1"
        );
        assert_eq!(
            without_place("  12:  movl 0x1f(%rdi)"),
            "  12:  movl 0x1f(%rdi)"
        );
    }
}
