// SPDX-License-Identifier: GPL-2.0

//! Builds packages as `make deb` does, of the tests' small configuration, and boots what the image
//! package installs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{ensure, Context, Result};
use lab::command;
use lab::files;
use lab::paths::Paths;
use lab::progress;

use crate::cli::checks::Checks;
use crate::cli::show::this;

/// Build and check; whether nothing failed.
pub(crate) fn run(paths: &Paths) -> Result<bool> {
    let image = scripts(paths)?;
    let root = paths.build.join("deb-small/root");
    files::fresh_folder(&root)?;
    command::stdout(Command::new("dpkg-deb").arg("-x").arg(&image).arg(&root))?;
    let modules = root.join("lib/modules");
    let release = fs::read_dir(&modules)
        .with_context(|| modules.display().to_string())?
        .next()
        .context("the package has no modules")??
        .file_name()
        .to_string_lossy()
        .into_owned();

    let mut checks = Checks::new(4)?;
    checks.check("the package's kernel is a release of its own", || {
        ensure!(release.contains("-pci-audit"), "it is {release}");
        Ok(())
    })?;
    checks.check("the option is on in it", || option_is_on(&root, &release))?;
    checks.check("its headers have pci_audit.h", || headers(&image))?;
    checks.check("it boots, and its modules block and record", || {
        tried(paths, &root, &release)
    })?;
    checks.end()
}

/// Build the packages; the one with the kernel's image.
fn scripts(paths: &Paths) -> Result<PathBuf> {
    let setup = ["scripts/setup.sh", "vm", "kernel", "deb"].map(str::to_owned);
    let status = progress::command(paths, &setup).status()?;
    ensure!(status.success(), "setup.sh ended with {status}");
    let deb = ["scripts/deb.sh", "--small"].map(str::to_owned);
    let output = progress::command(paths, &deb)
        .stderr(std::process::Stdio::inherit())
        .output()?;
    ensure!(
        output.status.success(),
        "deb.sh ended with {}",
        output.status
    );
    Ok(PathBuf::from(
        String::from_utf8_lossy(&output.stdout).trim(),
    ))
}

fn option_is_on(root: &Path, release: &str) -> Result<()> {
    let config = root.join("boot").join(format!("config-{release}"));
    let text = fs::read_to_string(&config).with_context(|| config.display().to_string())?;
    let option = "CONFIG_VFIO_PCI_UNASSIGNED_ACCESS_AUDIT=y";
    ensure!(text.lines().any(|line| line == option), "no {option}");
    Ok(())
}

fn headers(image: &Path) -> Result<()> {
    let folder = image.parent().context("a package in no folder")?;
    let packages = files::with_extension(folder, "deb")?;
    let headers = packages
        .iter()
        .find(|file| {
            file.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("linux-headers-"))
        })
        .context("there is no package of headers")?;
    let list = command::stdout(Command::new("dpkg-deb").arg("-c").arg(headers))?;
    ensure!(
        list.contains("include/linux/pci_audit.h"),
        "it is not there"
    );
    Ok(())
}

/// In the VM: the package's modules, and a scenario on them.
fn tried(paths: &Paths, root: &Path, release: &str) -> Result<()> {
    let kernel = root.join("boot").join(format!("vmlinuz-{release}"));
    let mut words = this(paths, &["vm", "--name", "deb", "--kernel"]);
    words.push(kernel.display().to_string());
    words.extend(["--", "sh", "-ec"].map(str::to_owned));
    words.push(
        "[ \"$(uname -r)\" = \"$1\" ]\n\
         modprobe -d \"$2\" -a vfio-pci vfio_iommu_type1\n\
         \"$BUILD/target/debug/e2e\" --only policy/toggles-live"
            .to_owned(),
    );
    words.extend([
        "sh".to_owned(),
        release.to_owned(),
        root.display().to_string(),
    ]);
    let said = command::stdout(&mut progress::command(paths, &words))?;
    let begins = |word: &str| said.lines().any(|line| line.starts_with(word));
    ensure!(begins("ok ") && !begins("not ok "), "{said}");
    Ok(())
}
