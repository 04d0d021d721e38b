// SPDX-License-Identifier: GPL-2.0

//! Puts the sources and the C glue into a kernel tree, and takes them out again.
//!
//! A note in the tree says what was put there: the files that were added, and the patches as they
//! were applied. With it, doing it again brings a tree up to date.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, ensure, Context, Result};
use tempfile::{NamedTempFile, TempDir};

use crate::command;
use crate::kernels::Version;
use crate::series::{self, Series};

/// A kernel tree.
pub struct Tree {
    root: PathBuf,
}

impl Tree {
    /// Opens a folder that looks like one.
    pub fn open(folder: &Path) -> Result<Self> {
        ensure!(
            folder.join("Kbuild").is_file() && folder.join("drivers/vfio/pci").is_dir(),
            "{} is not a Linux kernel tree",
            folder.display()
        );
        Ok(Self {
            root: folder.canonicalize()?,
        })
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Its version.
    pub fn version(&self) -> Result<Version> {
        Version::of_tree(&self.root)
    }

    /// Puts the series there, or brings it up to date.
    pub fn add(&self, series: &Series) -> Result<()> {
        if let Some(why) = self.version()?.refusal() {
            bail!("{why}; nothing was changed");
        }
        let note = self.note();
        let new = !note.exists();
        if new {
            if let Some(file) = self.taken(series) {
                bail!(
                    "{} has a {file} of its own; nothing was changed",
                    self.root.display()
                );
            }
        }
        let applied = self.applied()?;
        if applied != series.glue {
            let copies = self.with_glue(series, &applied)?;
            replace_all(copies.path(), &self.root)?;
            let patches = note.join("patches");
            let _ = fs::remove_dir_all(&patches);
            fs::create_dir_all(&patches)?;
            for (name, text) in &series.glue {
                fs::write(patches.join(name), text)?;
            }
        }
        fs::create_dir_all(&note)?;
        // A file that the sources no longer have goes from the tree too.
        for file in self.files()? {
            if !series.sources.contains(&file) {
                remove(&self.root.join(file))?;
            }
        }
        fs::write(note.join("files"), series.sources.join("\n") + "\n")?;
        for file in &series.sources {
            replace(&series.folder.join(file), &self.root.join(file))?;
        }
        Ok(())
    }

    /// Takes out what was put there.
    pub fn remove(&self, series: &Series) -> Result<()> {
        let note = self.note();
        let root = self.root.display();
        ensure!(note.exists(), "nothing was grafted into {root}");
        let copies = tempfile::tempdir()?;
        self.unpatched(series, copies.path()).with_context(|| {
            format!("{root} was changed since the series was applied; nothing was removed")
        })?;
        replace_all(copies.path(), &self.root)?;
        for file in self.files()? {
            let file = self.root.join(file);
            remove(&file)?;
            // Folders that are empty now: others stay.
            let mut folder = file.parent();
            while let Some(path) = folder.filter(|path| *path != self.root) {
                if path.exists() && fs::remove_dir(path).is_err() {
                    break;
                }
                folder = path.parent();
            }
        }
        fs::remove_dir_all(&note).with_context(|| note.display().to_string())
    }

    /// Copies the files that the glue changes into a folder, as they are without it.
    pub fn unpatched(&self, series: &Series, to: &Path) -> Result<()> {
        self.copy_unpatched(series, &self.applied()?, to)
    }

    /// Whether the series would apply; nothing is changed.
    pub fn fits(&self, series: &Series) -> Result<()> {
        self.with_glue(series, &self.applied()?).map(drop)
    }

    /// A file of the series that a tree without it has.
    fn taken<'a>(&self, series: &'a Series) -> Option<&'a str> {
        let mut sources = series.sources.iter();
        sources
            .find(|file| self.root.join(file).exists())
            .map(String::as_str)
    }

    /// Copies of the files that the glue changes, with it. Patches are applied and reverted on
    /// copies, and only what differs goes into the tree: it is never left half patched, and a
    /// header that stays the same has not half of the kernel compiled again.
    fn with_glue(&self, series: &Series, applied: &BTreeMap<String, String>) -> Result<TempDir> {
        let copies = tempfile::tempdir()?;
        self.copy_unpatched(series, applied, copies.path())
            .and_then(|()| {
                let mut glue = series.glue.iter();
                glue.try_for_each(|(name, patch)| apply(copies.path(), name, patch, false))
            })
            .with_context(|| {
                let version = self.version().map_or_else(
                    |_| "of no version".to_owned(),
                    |version| version.to_string(),
                );
                format!(
                    "the series does not apply to {} (Linux {version}); nothing was changed",
                    self.root.display()
                )
            })?;
        Ok(copies)
    }

    fn copy_unpatched(
        &self,
        series: &Series,
        applied: &BTreeMap<String, String>,
        to: &Path,
    ) -> Result<()> {
        let patches = series.glue.values().chain(applied.values());
        for file in patches
            .flat_map(|patch| series::changed(patch))
            .collect::<BTreeSet<_>>()
        {
            if self.root.join(file).exists() {
                replace(&self.root.join(file), &to.join(file))?;
            }
        }
        // Patches build on each other: what was applied last is reverted first.
        let mut last_first = applied.iter().rev();
        last_first.try_for_each(|(name, patch)| apply(to, name, patch, true))
    }

    fn note(&self) -> PathBuf {
        self.root.join(".vfio-pci-audit")
    }

    /// The patches that were applied, by name.
    fn applied(&self) -> Result<BTreeMap<String, String>> {
        series::patches(&self.note().join("patches"))
    }

    /// The files that were added.
    fn files(&self) -> Result<Vec<String>> {
        let list = self.note().join("files");
        if !list.exists() {
            return Ok(Vec::new());
        }
        let text = fs::read_to_string(&list).with_context(|| list.display().to_string())?;
        Ok(text.lines().map(str::to_owned).collect())
    }
}

/// Applies a patch without fuzz and without leaving anything behind.
fn apply(folder: &Path, name: &str, patch: &str, revert: bool) -> Result<()> {
    let mut input = NamedTempFile::new()?;
    input.write_all(patch.as_bytes())?;
    let mut program = Command::new("patch");
    program
        .arg("-d")
        .arg(folder)
        .args([
            "-p1",
            "-F0",
            "-f",
            "-s",
            "--no-backup-if-mismatch",
            "-r",
            "-",
        ])
        .args(revert.then_some("-R"));
    command::stdout_of_input(&mut program, input.path())
        .map(drop)
        .with_context(|| name.to_owned())
}

/// Replaces every file of a tree that differs from the one in a folder.
fn replace_all(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let path = entry?.path();
        let to = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            replace_all(&path, &to)?;
        } else {
            replace(&path, &to)?;
        }
    }
    Ok(())
}

/// Has a file be as another is. One that is already keeps its date, and a link is replaced, not
/// followed: a tree may be made of links into another.
fn replace(from: &Path, to: &Path) -> Result<()> {
    let content = fs::read(from).with_context(|| from.display().to_string())?;
    if fs::read(to).is_ok_and(|present| present == content) {
        return Ok(());
    }
    let folder = to.parent().context("a file without a folder")?;
    let put = || -> Result<()> {
        fs::create_dir_all(folder)?;
        let mut file = NamedTempFile::new_in(folder)?;
        file.write_all(&content)?;
        fs::set_permissions(file.path(), fs::metadata(from)?.permissions())?;
        file.persist(to)?;
        Ok(())
    };
    put().with_context(|| to.display().to_string())
}

/// Removes a file that may be gone.
fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| file.display().to_string())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "--- a/drivers/vfio/pci/x.c\n+++ b/drivers/vfio/pci/x.c\n@@ -1 +1,2 @@\n \
                         one\n+two\n";

    /// A tree of a version, and a series of one file and one patch.
    fn tree(minor: u32) -> (TempDir, Tree, Series) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("linux");
        fs::create_dir_all(root.join("drivers/vfio/pci")).unwrap();
        fs::write(root.join("drivers/vfio/pci/x.c"), "one\n").unwrap();
        fs::write(root.join("Kbuild"), "").unwrap();
        let makefile = format!("VERSION = 7\nPATCHLEVEL = {minor}\nSUBLEVEL = 1\n");
        fs::write(root.join("Makefile"), makefile).unwrap();
        let sources = folder.path().join("src");
        fs::create_dir_all(sources.join("drivers/vfio/pci/audit")).unwrap();
        fs::write(sources.join("drivers/vfio/pci/audit/a.rs"), "a\n").unwrap();
        let series = Series {
            folder: sources,
            sources: vec!["drivers/vfio/pci/audit/a.rs".to_owned()],
            glue: BTreeMap::from([("1.patch".to_owned(), PATCH.to_owned())]),
            ..Series::default()
        };
        let tree = Tree::open(&root).unwrap();
        (folder, tree, series)
    }

    fn text(tree: &Tree, file: &str) -> String {
        fs::read_to_string(tree.root().join(file)).unwrap_or_default()
    }

    #[test]
    fn in_and_out() {
        let (_folder, tree, series) = tree(3);
        tree.fits(&series).unwrap();
        assert_eq!(text(&tree, "drivers/vfio/pci/x.c"), "one\n");
        tree.add(&series).unwrap();
        tree.add(&series).unwrap();
        assert_eq!(text(&tree, "drivers/vfio/pci/x.c"), "one\ntwo\n");
        assert_eq!(text(&tree, "drivers/vfio/pci/audit/a.rs"), "a\n");
        tree.remove(&series).unwrap();
        assert_eq!(text(&tree, "drivers/vfio/pci/x.c"), "one\n");
        assert!(!tree.root().join("drivers/vfio/pci/audit").exists());
        assert!(tree.remove(&series).is_err());
    }

    #[test]
    fn a_version_that_does_not_compile_is_refused() {
        for (minor, why) in [(1, "older than 7.2"), (4, "newer than 7.3")] {
            let (_folder, tree, series) = tree(minor);
            let error = tree.add(&series).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
            assert_eq!(text(&tree, "drivers/vfio/pci/x.c"), "one\n");
            assert!(!tree.note().exists());
        }
    }

    #[test]
    fn a_file_that_the_sources_lost_goes() {
        let (_folder, tree, mut series) = tree(2);
        tree.add(&series).unwrap();
        series.sources.clear();
        tree.add(&series).unwrap();
        assert_eq!(text(&tree, "drivers/vfio/pci/audit/a.rs"), "");
    }

    #[test]
    fn links_into_another_tree_are_replaced() {
        let (folder, tree, series) = tree(3);
        let file = tree.root().join("drivers/vfio/pci/x.c");
        let other = folder.path().join("other.c");
        fs::rename(&file, &other).unwrap();
        std::os::unix::fs::symlink(&other, &file).unwrap();
        tree.add(&series).unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "one\n");
        assert_eq!(text(&tree, "drivers/vfio/pci/x.c"), "one\ntwo\n");
    }
}
