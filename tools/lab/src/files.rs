// SPDX-License-Identifier: GPL-2.0

//! Finds and copies files.

use std::fs::{self, FileType};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Every file and link below a folder, sorted, with its type; links are not followed.
pub fn below(folder: &Path) -> Result<Vec<(PathBuf, FileType)>> {
    let mut found = Vec::new();
    collect(folder, &mut found)?;
    found.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(found)
}

fn collect(folder: &Path, found: &mut Vec<(PathBuf, FileType)>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            collect(&entry.path(), found)?;
        } else {
            found.push((entry.path(), kind));
        }
    }
    Ok(())
}

/// The plain files below a folder that are wanted.
pub fn plain(folder: &Path, wanted: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    let all = below(folder)?.into_iter();
    Ok(all
        .filter(|(file, kind)| kind.is_file() && wanted(file))
        .map(|(file, _)| file)
        .collect())
}

/// The files of a folder, and of none below it, with this ending, sorted.
pub fn with_extension(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let file = entry?.path();
        if file.extension().is_some_and(|end| end == extension) {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// Copy files, named relative to `from`, to the same places below `to`; what links point to is
/// copied.
pub fn copy<'a>(from: &Path, to: &Path, files: impl IntoIterator<Item = &'a str>) -> Result<()> {
    for file in files {
        let (from, to) = (from.join(file), to.join(file));
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        fs::copy(&from, &to).with_context(|| from.display().to_string())?;
    }
    Ok(())
}

/// An empty folder in the place of what was there.
pub fn fresh_folder(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_not_plain_files() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path();
        copy(top, top, []).unwrap();
        fs::create_dir(top.join("sub")).unwrap();
        fs::write(top.join("sub/a.rs"), "a").unwrap();
        fs::write(top.join("b.c"), "b").unwrap();
        std::os::unix::fs::symlink("b.c", top.join("c.c")).unwrap();
        assert_eq!(below(top).unwrap().len(), 3);
        let c = |file: &Path| file.extension().is_some_and(|end| end == "c");
        assert_eq!(plain(top, c).unwrap(), [top.join("b.c")]);
        assert_eq!(with_extension(top, "rs").unwrap(), [] as [PathBuf; 0]);

        let to = top.join("to");
        copy(top, &to, ["sub/a.rs", "c.c"]).unwrap();
        assert_eq!(plain(&to, |_| true).unwrap().len(), 2);
        fresh_folder(&to).unwrap();
        assert!(below(&to).unwrap().is_empty());
    }
}
