// SPDX-License-Identifier: GPL-2.0

//! In the virtual machine: loads and unloads modules with their dependencies, without installing
//! them.
//!
//! This is the only place that loads modules of a kernel's object folder, or of a stock kernel's
//! image. What is built in counts as loaded; its parameters belong on the kernel's command line.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, ensure, Context, Result};
use rustix::io::Errno;
use rustix::system::uname;

use crate::command;
use crate::insmod;
use crate::livepatch;
use crate::paths::{given, Paths};

/// Where modprobe finds what is to be loaded.
const ROOT: &str = "/run/lab-modules";

/// What a user of VFIO wants.
const VFIO: [&str; 2] = ["vfio-pci", "vfio_iommu_type1"];

/// The modules of one kernel.
#[derive(Clone, Debug)]
pub struct Modules {
    objects: PathBuf,
    stock: Option<PathBuf>,
}

/// What is to be loaded.
#[derive(Clone, Debug, Default)]
pub struct Load {
    /// Files that stand for modules of the same name, or are more of them.
    pub replace: Vec<PathBuf>,
    /// A file of modprobe.d.
    pub options: Option<PathBuf>,
    /// `MODULE.PARAMETER=VALUE`, also for modules that come in as dependencies.
    pub parameters: Vec<String>,
    /// The modules; if there are none, those that a user of VFIO wants, and on a stock kernel the
    /// livepatch before them.
    pub names: Vec<String>,
}

impl Load {
    /// From words: each with a `=` is a parameter, all others are modules.
    pub fn words(words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let (parameters, names) = words
            .into_iter()
            .map(Into::into)
            .partition(|word: &String| word.contains('='));
        Self {
            parameters,
            names,
            ..Self::default()
        }
    }

    /// In modprobe's words.
    fn configuration(&self) -> Result<String> {
        let mut text = String::from("\n");
        for word in &self.parameters {
            let (name, value) = word
                .split_once('=')
                .context("a parameter without a value")?;
            let (module, parameter) = name.split_once('.').with_context(|| {
                format!("{word}: parameters are written MODULE.PARAMETER=VALUE")
            })?;
            let quote = if value.contains(' ') { "\"" } else { "" };
            text += &format!("options {module} {parameter}={quote}{value}{quote}\n");
        }
        Ok(text)
    }
}

impl Modules {
    /// Those in build/linux/m, or in the folder that OBJECTS names; with STOCK, a folder of
    /// build-stock.sh --image, those of a stock kernel.
    pub fn find(paths: &Paths) -> Self {
        Self {
            objects: given("OBJECTS").map_or_else(|| paths.build.join("linux/m"), PathBuf::from),
            stock: given("STOCK").map(PathBuf::from),
        }
    }

    /// The folder of a stock kernel, where it is one.
    pub fn stock(&self) -> Option<&Path> {
        self.stock.as_deref()
    }

    /// Load modules.
    pub fn load(&self, load: &Load) -> Result<()> {
        // Without a file in it, the host's own options would count.
        let options = Path::new(ROOT).join("options");
        let _ = fs::remove_dir_all(&options);
        fs::create_dir_all(&options).context(ROOT)?;
        fs::write(options.join("lab.conf"), load.configuration()?)?;
        if let Some(file) = &load.options {
            fs::copy(file, options.join("given.conf"))
                .with_context(|| file.display().to_string())?;
        }
        let root = match &self.stock {
            Some(stock) => {
                ensure!(
                    load.replace.is_empty(),
                    "nothing replaces a stock kernel's modules"
                );
                stock.join("image")
            }
            None => self.tree(&load.replace)?,
        };
        let mut modprobe = Command::new("modprobe");
        modprobe
            .arg("-d")
            .arg(root)
            .arg("-C")
            .arg(options)
            .arg("-a");
        if load.names.is_empty() {
            modprobe
                .args(self.stock.as_ref().map(|_| livepatch::NAME))
                .args(VFIO);
        } else {
            modprobe.args(&load.names);
        }
        if let Err(error) = command::stdout(&mut modprobe) {
            let said = command::stdout(&mut Command::new("dmesg")).unwrap_or_default();
            let last: Vec<_> = said.lines().rev().take(3).collect();
            let last: Vec<_> = last.into_iter().rev().collect();
            bail!("{error:#}\n{}", last.join("\n"));
        }
        livepatch::settle()
    }

    /// A folder as modprobe wants it, with the object folder's modules and those that take their
    /// place. It is made when the modules are others than last time.
    fn tree(&self, replace: &[PathBuf]) -> Result<PathBuf> {
        let root = PathBuf::from(ROOT);
        let tree = root.join("lib/modules").join(release());
        let order = self.objects.join("modules.order");
        let order = fs::read_to_string(&order).with_context(|| order.display().to_string())?;
        let mut files: Vec<PathBuf> = order
            .lines()
            .map(|line| self.objects.join(line).with_extension("ko"))
            .collect();
        for file in replace {
            let file = file
                .canonicalize()
                .with_context(|| format!("no module at {}", file.display()))?;
            files.retain(|other| other.file_name() != file.file_name());
            files.push(file);
        }
        let mut stamp = String::new();
        for file in &files {
            let changed = fs::metadata(file).map_or(0, |data| data.mtime());
            stamp += &format!("{} {changed}\n", file.display());
        }
        if fs::read_to_string(tree.join("stamp")).is_ok_and(|last| last == stamp) {
            return Ok(root);
        }
        let _ = fs::remove_dir_all(&tree);
        fs::create_dir_all(&tree).context(ROOT)?;
        let builtin =
            ["modules.builtin", "modules.builtin.modinfo"].map(|name| self.objects.join(name));
        for file in files.iter().chain(&builtin) {
            if let Some(name) = file.file_name() {
                symlink(file, tree.join(name)).with_context(|| file.display().to_string())?;
            }
        }
        fs::write(tree.join("modules.order"), order)?;
        command::stdout(Command::new("depmod").arg("-b").arg(&root))?;
        fs::write(tree.join("stamp"), stamp)?;
        Ok(root)
    }

    /// Unload modules, in this order. A livepatch among them is disabled first.
    pub fn unload(&self, names: &[&str]) -> Result<()> {
        names.iter().try_for_each(|name| unload(name))
    }

    /// Unload every module of VFIO and ours.
    pub fn unload_all(&self) -> Result<()> {
        if livepatch::is_enabled() {
            livepatch::unload()?;
        }
        loop {
            let loaded = loaded()?;
            let unused: Vec<_> = loaded.iter().filter(|(_, users)| *users == 0).collect();
            if unused.is_empty() {
                ensure!(loaded.is_empty(), "still in use: {loaded:?}");
                return Ok(());
            }
            for (name, _) in unused {
                unload(name)?;
            }
        }
    }
}

/// The kernel's release, as uname(1) has it.
pub fn release() -> String {
    uname().release().to_string_lossy().into_owned()
}

fn unload(name: &str) -> Result<()> {
    if name == livepatch::NAME && livepatch::is_enabled() {
        return livepatch::unload();
    }
    insmod::unload(name).map_err(|error| match error {
        Errno::AGAIN => anyhow::anyhow!("module {name} is in use"),
        error => anyhow::anyhow!("delete_module({name}): {error}"),
    })
}

/// The loaded modules of VFIO and ours, each with how many use it.
fn loaded() -> Result<Vec<(String, u32)>> {
    let text = fs::read_to_string("/proc/modules").context("/proc/modules")?;
    Ok(ours(&text))
}

fn ours(text: &str) -> Vec<(String, u32)> {
    let line = |line: &str| {
        let mut words = line.split(' ');
        let name = words.next()?;
        let users = words.nth(1)?.parse().ok()?;
        (name.starts_with("vfio") || name.starts_with("pci_audit"))
            .then(|| (name.to_owned(), users))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_modules_are_told_apart() {
        let load = Load::words([
            "vfio-pci",
            "vfio_pci_audit.uaccess_allow_ids=10de:*, 8086:10d3",
        ]);
        assert_eq!(load.names, ["vfio-pci"]);
        assert_eq!(
            load.configuration().unwrap(),
            "\noptions vfio_pci_audit uaccess_allow_ids=\"10de:*, 8086:10d3\"\n"
        );
        assert!(Load::words(["audit_rate=1"]).configuration().is_err());
    }

    #[test]
    fn our_modules_with_their_users() {
        let text = "vfio_pci 16384 0 - Live 0x0\n\
            vfio_pci_core 77824 1 vfio_pci, Live 0x0\n\
            e1000e 200704 0 - Live 0x0\n\
            pci_audit 24576 1 vfio_pci_audit, Live 0x0\n";
        let expected = [("vfio_pci", 0), ("vfio_pci_core", 1), ("pci_audit", 1)];
        assert_eq!(
            ours(text),
            expected.map(|(name, users)| (name.to_owned(), users))
        );
    }
}
