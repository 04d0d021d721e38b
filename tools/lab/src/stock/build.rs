// SPDX-License-Identifier: GPL-2.0

//! Builds a kernel's Rust crates, our modules on them, and for tests a bootable image.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::{ensure, Context, Result};

use super::{crates, Kernel, RUST_SAMPLE};
use crate::command;
use crate::files;
use crate::paths::given;
use crate::progress;

/// The note that the crates are built, with the version that they were built for.
pub(super) const PREPARED: &str = ".prepared";

/// What a VM that boots the kernel has no device for: depmod reads every module.
const NOT_BOOTED: &[&str] = &[
    "sound",
    "drivers/gpu",
    "drivers/hid",
    "drivers/hwmon",
    "drivers/iio",
    "drivers/infiniband",
    "drivers/input",
    "drivers/media",
    "drivers/net/ethernet/mellanox",
    "drivers/net/wireless",
    "drivers/scsi",
    "drivers/usb",
];

impl Kernel<'_> {
    /// Builds the modules; with `image`, also what a VM takes to boot the kernel.
    pub(super) fn build(&self, image: bool) -> Result<()> {
        let chosen = self.chosen(image)?;
        fs::create_dir_all(&self.folder)?;
        if !self.folder.join(PREPARED).exists() {
            self.unpack_source()?;
            self.takes_livepatch()
                .context("the livepatch does not fit")?;
            self.prepare()?;
        }
        let count = crates::compare(&self.folder.join("objects"), &self.exports()?)?;
        eprintln!("      crates: all {count} Rust symbols that it exports have the same hash here");
        let ours = self.paths.top.display().to_string();
        let (m, modules) = (format!("M={ours}"), self.output("modules"));
        let options = format!("MODULES_CONFIG={chosen}");
        let words = [m.as_str(), &modules, &options, "modules"];
        self.make("modules", "building the modules", &words)?;
        if image {
            self.others(&ours)?;
            self.image()?;
        }
        eprintln!(
            "      modules: {}",
            self.paths.show(&self.folder.join("modules"))
        );
        Ok(())
    }

    /// The further modules that the user chose; with an image, which is for tests, the samples.
    fn chosen(&self, image: bool) -> Result<String> {
        let version = self.release.version;
        let chosen = given("MODULES_CONFIG").map(|chosen| chosen.to_string_lossy().into_owned());
        if let Some(chosen) = chosen {
            ensure!(
                version.has_rust_sample() || !chosen.split(' ').any(|one| one == RUST_SAMPLE),
                "it cannot have {RUST_SAMPLE}: pci::Driver of Linux {version} is not the one that \
                 this sample implements"
            );
            return Ok(chosen);
        }
        let mut samples = Vec::new();
        if image {
            samples.push("CONFIG_SAMPLE_PCI_AUDIT_C=m");
            samples.extend(version.has_rust_sample().then_some(RUST_SAMPLE));
        }
        Ok(samples.join(" "))
    }

    /// Build what a module is built with. debian13.sh installs its compilers meanwhile, with a word
    /// about it.
    fn prepare(&self) -> Result<()> {
        let compilers = ["scripts/debian13.sh", "true"].map(str::to_owned);
        let installed = progress::command(self.paths, &compilers)
            .status()
            .context("scripts/debian13.sh")?;
        ensure!(
            installed.success(),
            "no compilers of Debian 13 to build with"
        );
        let objects = self.folder.join("objects");
        fs::create_dir_all(&objects)?;
        let config = objects.join(".config");
        fs::copy(self.headers.join(".config"), &config)
            .with_context(|| config.display().to_string())?;
        // Only Debian can sign with Debian's key.
        let mut change = Command::new(self.source().join("scripts/config"));
        change.arg("--file").arg(&config);
        change.args(["-d", "MODULE_SIG_ALL", "--set-str", "MODULE_SIG_KEY", ""]);
        command::stdout(change.args(["--set-str", "SYSTEM_TRUSTED_KEYS", ""]))?;
        self.make("config", "configuring it", &["olddefconfig"])?;
        // No type information is made of a module without the kernel's own, and so the tool for it
        // is not needed.
        let words = [
            "CONFIG_DEBUG_INFO_BTF=",
            "prepare",
            "modules_prepare",
            "scripts/module.lds",
        ];
        self.make(
            "prepare",
            "building its Rust crates and build tools",
            &words,
        )?;
        let symbols = "Module.symvers";
        fs::copy(self.headers.join(symbols), objects.join(symbols)).context(symbols)?;
        let note = self.folder.join(PREPARED);
        fs::write(&note, format!("{}\n", self.version)).with_context(|| note.display().to_string())
    }

    /// Modules that only tests load.
    fn others(&self, ours: &str) -> Result<()> {
        for (name, what) in [
            ("replace", "building a livepatch that replaces others"),
            ("faults", "building the modules of the faults"),
        ] {
            let (m, to) = (format!("M={ours}/tools/modules/{name}"), self.output(name));
            self.make(name, what, &[&m, &to, "modules"])?;
        }
        Ok(())
    }

    /// The kernel itself, with our modules among its own.
    fn image(&self) -> Result<()> {
        for kind in ["base", "binary", "modules"] {
            self.unpack(&format!("linux-{kind}-{}", self.release), "image")?;
        }
        let image = self.folder.join("image");
        let modules = image.join("usr/lib/modules").join(self.release.to_string());
        for part in NOT_BOOTED {
            let _ = fs::remove_dir_all(modules.join("kernel").join(part));
        }
        let link = image.join("lib");
        if fs::symlink_metadata(&link).is_err() {
            symlink("usr/lib", &link)?;
        }
        let updates = modules.join("updates");
        let _ = fs::remove_dir_all(&updates);
        fs::create_dir_all(&updates)?;
        copy_modules(&self.folder.join("modules"), &updates)?;
        let mut depmod = Command::new("depmod");
        depmod.arg("-b").arg(&image).arg(self.release.to_string());
        depmod.env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin");
        command::stdout(&mut depmod).map(drop)
    }

    fn output(&self, name: &str) -> String {
        format!("MO={}", self.folder.join(name).display())
    }

    /// Run make where Debian 13's compilers are.
    fn make(&self, name: &str, what: &str, words: &[&str]) -> Result<()> {
        let source = self.source().display().to_string();
        let objects = format!("O={}", self.folder.join("objects").display());
        let release = format!("KERNELRELEASE={}", self.release);
        let jobs = format!("-j{}", command::jobs());
        let mut all = vec![
            "scripts/debian13.sh",
            "make",
            "-C",
            &source,
            &objects,
            &jobs,
        ];
        all.extend(["CC=x86_64-linux-gnu-gcc-14", &release]);
        all.extend(words);
        self.step(name, what, &all)
    }
}

/// Copies the modules below a folder but the samples, which tests load by their paths.
fn copy_modules(from: &Path, to: &Path) -> Result<()> {
    // Links are not followed: one of them leads to the whole checkout.
    let modules = files::plain(from, |file| {
        let of_sample = file.components().any(|part| part.as_os_str() == "samples");
        file.extension().is_some_and(|end| end == "ko") && !of_sample
    })?;
    for module in modules {
        let name = module.file_name().unwrap_or_default();
        fs::copy(&module, to.join(name)).with_context(|| module.display().to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_not_looked_for_behind_links() {
        let folder = tempfile::tempdir().unwrap();
        let [from, to, other] = ["from", "to", "other"].map(|name| folder.path().join(name));
        for file in ["from/src/a.ko", "from/samples/b.ko", "other/c.ko", "to/x"] {
            let file = folder.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        symlink(&other, from.join("link")).unwrap();
        copy_modules(&from, &to).unwrap();
        assert!(to.join("a.ko").exists());
        assert!(!to.join("b.ko").exists() && !to.join("c.ko").exists());
    }
}
