// SPDX-License-Identifier: GPL-2.0

//! What goes into a kernel tree: the files of src/, and the changes of the kernel's own files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::paths::Paths;

/// Sources and patches, as this repository has them.
#[derive(Default)]
pub struct Series {
    /// The folder of the sources.
    pub folder: PathBuf,
    /// The files in it that belong in a kernel tree, in order.
    pub sources: Vec<String>,
    /// The patches, by name.
    pub patches: BTreeMap<String, String>,
    /// What each changes of the kernel's own files.
    pub glue: BTreeMap<String, String>,
    /// What each changes of files that an earlier patch adds. src/ has those as they are after the
    /// last patch.
    pub own: BTreeMap<String, String>,
}

impl Series {
    /// Reads them.
    pub fn read(paths: &Paths) -> Result<Self> {
        let folder = paths.top.join("src");
        let mut sources = Vec::new();
        list(&folder, "", &mut sources)?;
        sources.sort();
        let patches = patches(&paths.top.join("patches/linux"))?;
        let parts = |own: bool| {
            let wanted = |file: &str| sources.iter().any(|source| source == file) == own;
            patches
                .iter()
                .map(|(name, text)| (name.clone(), part(text, wanted)))
                .collect()
        };
        let (glue, own) = (parts(false), parts(true));
        Ok(Self {
            folder,
            sources,
            patches,
            glue,
            own,
        })
    }
}

/// The files below a folder but those of the livepatch, which is for a kernel as it is. Links are
/// followed.
fn list(top: &Path, below: &str, files: &mut Vec<String>) -> Result<()> {
    let folder = top.join(below);
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_str().context("a file's name is not UTF-8")?;
        let path = match below {
            "" => name.to_owned(),
            below => format!("{below}/{name}"),
        };
        if fs::metadata(entry.path())
            .with_context(|| entry.path().display().to_string())?
            .is_dir()
        {
            list(top, &path, files)?;
        } else if !name.starts_with("livepatch") {
            files.push(path);
        }
    }
    Ok(())
}

/// The patches of a folder, by name; none where there is no folder.
pub fn patches(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut patches = BTreeMap::new();
    if !folder.exists() {
        return Ok(patches);
    }
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let file = entry?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".patch") {
            let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            patches.insert(name.into_owned(), text);
        }
    }
    Ok(patches)
}

/// The changes of the files that are wanted.
fn part(patch: &str, wanted: impl Fn(&str) -> bool) -> String {
    let mut on = false;
    let mut part = String::new();
    for line in patch.lines() {
        if let Some(file) = line.strip_prefix("--- a/") {
            on = wanted(file);
        }
        if on {
            part.push_str(line);
            part.push('\n');
        }
    }
    part
}

/// The files that a patch changes.
pub fn changed(patch: &str) -> impl Iterator<Item = &str> {
    patch.lines().filter_map(|line| line.strip_prefix("--- a/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_patch() {
        let patch = "Subject: x\n---\n--- a/one\n+++ b/one\n@@ -1 +1 @@\n-a\n+b\n--- a/two\n+++ \
                     b/two\n@@ -1 +1 @@\n-c\n+d\n";
        assert_eq!(
            part(patch, |file| file == "one"),
            "--- a/one\n+++ b/one\n@@ -1 +1 @@\n-a\n+b\n"
        );
        assert_eq!(changed(patch).collect::<Vec<_>>(), ["one", "two"]);
    }

    #[test]
    fn the_livepatch_stays_out_of_a_tree() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        for file in ["a/b/one.rs", "a/livepatch.c"] {
            fs::write(folder.path().join(file), "").unwrap();
        }
        let mut files = Vec::new();
        list(folder.path(), "", &mut files).unwrap();
        assert_eq!(files, ["a/b/one.rs"]);
    }
}
