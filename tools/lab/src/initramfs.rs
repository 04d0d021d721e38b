// SPDX-License-Identifier: GPL-2.0

//! Packs the root file system that a machine without a disk boots with.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{ensure, Context, Result};

/// Empty folders of `root`, to mount what the kernel shows on.
pub fn folders(root: &Path) -> Result<()> {
    for folder in ["dev", "proc", "sys"] {
        let folder = root.join(folder);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    Ok(())
}

/// Put a program there.
pub fn program(from: &Path, root: &Path, to: &str) -> Result<()> {
    let to = root.join(to);
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    fs::copy(from, &to).with_context(|| from.display().to_string())?;
    fs::set_permissions(&to, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// Pack what is in `root`.
pub fn pack(root: &Path, packed: &Path) -> Result<()> {
    let script = "find . | cpio --quiet -o -H newc -R 0:0 | gzip -9n";
    let status = Command::new("sh")
        .args(["-c", script])
        .current_dir(root)
        .stdout(File::create(packed)?)
        .status()?;
    ensure!(status.success(), "cpio and gzip: {status}");
    Ok(())
}
