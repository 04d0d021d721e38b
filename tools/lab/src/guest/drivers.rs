// SPDX-License-Identifier: GPL-2.0

//! The drivers that the guest has: modules of its kernel's, with those that they depend on.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{ensure, Context, Result};

use crate::command;
use crate::paths::Paths;

/// For the devices that scenarios give to a guest. A kernel may lack some of them.
const DRIVERS: &[&str] = &["e1000e", "i6300esb", "igbvf", "nvme"];

/// The programs of kmod: /sbin is not in the path of every user.
const MODINFO: &str = "/sbin/modinfo";
const DEPMOD: &str = "/sbin/depmod";

/// Where the names of those in the saved guest are.
fn list(paths: &Paths) -> PathBuf {
    paths.build.join("guest/drivers")
}

/// Write them down for [`has`].
pub(super) fn save(paths: &Paths, drivers: &[PathBuf]) -> Result<()> {
    let names: Vec<_> = drivers.iter().map(|file| name(file)).collect();
    Ok(fs::write(list(paths), names.join("\n"))?)
}

/// Whether the saved guest, if there is one, has this driver.
pub fn has(paths: &Paths, driver: &str) -> bool {
    let names = fs::read_to_string(list(paths)).unwrap_or_default();
    names.lines().any(|name| name == driver)
}

/// What the kernel calls the module in this file, which may be compressed.
fn name(file: &Path) -> String {
    let file = file.file_name().unwrap_or_default().to_string_lossy();
    let stem = file.split_once('.').map_or(&*file, |(stem, _)| stem);
    stem.replace('-', "_")
}

/// The files of the drivers that a kernel has, each after those that it depends on.
pub(super) fn files(kernel: &Path) -> Result<Vec<PathBuf>> {
    let all = modules(kernel)?;
    let mut found = Vec::new();
    for driver in DRIVERS {
        add(&all, driver, &mut found)?;
    }
    Ok(found)
}

/// Adds a module, and what it depends on before it. What is not a module is part of the kernel, or
/// the kernel does not have it.
fn add(all: &HashMap<String, PathBuf>, name: &str, found: &mut Vec<PathBuf>) -> Result<()> {
    let Some(file) = all.get(name).filter(|file| !found.contains(file)) else {
        return Ok(());
    };
    let others = about(file, "depends")?;
    for other in others.split(',') {
        add(all, &other.replace('-', "_"), found)?;
    }
    found.push(file.clone());
    Ok(())
}

/// What a module says of itself.
fn about(file: &Path, field: &str) -> Result<String> {
    let said = command::stdout(Command::new(MODINFO).args(["-F", field]).arg(file))?;
    Ok(said.trim().to_owned())
}

/// All modules of a kernel, by their names: in its object folder, or beside a stock kernel's image.
fn modules(kernel: &Path) -> Result<HashMap<String, PathBuf>> {
    let objects = kernel.ancestors().nth(4).unwrap_or(kernel);
    let beside = kernel.parent().unwrap_or(kernel);
    let folder = [objects, beside]
        .into_iter()
        .find(|folder| folder.join("modules.order").exists())
        .with_context(|| format!("{} has no modules", kernel.display()))?;
    let order = fs::read_to_string(folder.join("modules.order"))?;
    let file = |line: &str| {
        let module = folder.join(line);
        ["ko", "ko.xz"].map(|ending| module.with_extension(ending))
    };
    Ok(order
        .lines()
        .filter_map(|line| file(line).into_iter().find(|file| file.exists()))
        .map(|file| (name(&file), file))
        .collect())
}

/// Puts drivers, unpacked, where modprobe looks for them in the root file system `root`.
pub(super) fn install(drivers: &[PathBuf], root: &Path) -> Result<()> {
    let Some(first) = drivers.first() else {
        return Ok(());
    };
    let magic = about(first, "vermagic")?;
    let release = magic.split(' ').next().unwrap_or(&magic);
    let folder = root.join("lib/modules").join(release);
    fs::create_dir_all(&folder)?;
    for driver in drivers {
        copy(driver, &folder.join(name(driver)).with_extension("ko"))?;
    }
    command::stdout(Command::new(DEPMOD).arg("-b").arg(root).arg(release))?;
    Ok(())
}

fn copy(driver: &Path, to: &Path) -> Result<()> {
    if driver.extension().is_none_or(|extension| extension != "xz") {
        fs::copy(driver, to).with_context(|| driver.display().to_string())?;
        return Ok(());
    }
    let status = Command::new("xz")
        .arg("-dc")
        .arg(driver)
        .stdin(Stdio::null())
        .stdout(File::create(to)?)
        .status()
        .context("xz")?;
    ensure!(status.success(), "xz of {}: {status}", driver.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_have_the_names_that_the_kernel_gives_them() {
        for file in ["nvme-core.ko", "kernel/drivers/nvme/host/nvme-core.ko.xz"] {
            assert_eq!(name(Path::new(file)), "nvme_core");
        }
    }

    #[test]
    fn modules_are_found_in_both_places() {
        let folder = tempfile::tempdir().unwrap();
        let objects = folder.path().join("objects");
        let image = objects.join("arch/x86/boot/bzImage");
        let stock = folder.path().join("lib/modules/7.3/vmlinuz");
        for (kernel, base, listed, module) in [
            (&image, &*objects, "drivers/a-b.o", "drivers/a-b.ko"),
            (
                &stock,
                stock.parent().unwrap(),
                "kernel/a-b.ko",
                "kernel/a-b.ko.xz",
            ),
        ] {
            assert!(modules(kernel).is_err());
            let file = base.join(module);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, "").unwrap();
            fs::write(base.join("modules.order"), format!("{listed}\nc.ko\n")).unwrap();
            let expected = HashMap::from([("a_b".to_owned(), file)]);
            assert_eq!(modules(kernel).unwrap(), expected);
        }
    }
}
