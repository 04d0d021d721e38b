// SPDX-License-Identifier: GPL-2.0

//! Whether series and livepatch fit the kernel tree, and whether it would be found if they did not:
//! defects are planted into copies of what a new release consists of. Prints KTAP.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{ensure, Context, Result};
use lab::fits::{self, Exports};
use lab::graft::Tree;
use lab::ktap::{Ktap, Outcome};
use lab::paths::Paths;
use lab::series::Series;
use tempfile::TempDir;

/// What a release may do to the livepatch: a name for it, and what is then to be named.
const PLANTED: &[(&str, Defect, &str)] = &[
    (
        "an export that the livepatch calls is gone",
        Defect::Export("klp_shadow_get_or_alloc"),
        "does not export klp_shadow_get_or_alloc,",
    ),
    (
        "an export that the livepatch looks up is gone",
        Defect::Export("vfio_pci_config_rw_single"),
        "does not export vfio_pci_config_rw_single,",
    ),
    (
        "an export that the Rust code calls is gone",
        Defect::Export("synchronize_rcu"),
        "does not export synchronize_rcu,",
    ),
    (
        "the function that is replaced has other arguments",
        Defect::Declaration("ssize_t vfio_pci_config_rw(", "int vfio_pci_config_rw("),
        "vfio_pci_config_rw() is not what the livepatch replaces",
    ),
    (
        "the function that is called has other arguments",
        Defect::Declaration(
            "ssize_t vfio_pci_config_rw_single(",
            "int vfio_pci_config_rw_single(",
        ),
        "vfio_pci_config_rw_single",
    ),
    (
        "the function that is probed has another name",
        Defect::Declaration("vfio_config_free(", "vfio_config_release("),
        "vfio_config_free",
    ),
];

/// A change that a new release may have.
enum Defect {
    /// A symbol is not exported any more.
    Export(&'static str),
    /// vfio_pci_priv.h declares something else.
    Declaration(&'static str, &'static str),
}

/// Run them; whether all pass.
pub(crate) fn run(paths: &Paths) -> Result<bool> {
    let source = paths.kernel_tree();
    let release = Release::new(paths, &source)?;
    let mut ktap = Ktap::new(io::stdout(), 4 + PLANTED.len())?;
    let mut say = |name: &str, result: Result<()>| -> Result<()> {
        if let Err(error) = &result {
            ktap.diagnose(&format!("{error:#}"))?;
        }
        let outcome = match result {
            Ok(()) => Outcome::Passed,
            Err(_) => Outcome::Failed,
        };
        ktap.result(name, &outcome)?;
        Ok(())
    };
    let answer = fits::tree(paths, &source, None)?;
    say("the series fits the kernel tree", answer.series)?;
    say("the livepatch fits it", answer.livepatch)?;
    say(
        "and its headers with the symbols that it exports",
        release.ask(paths),
    )?;
    for (what, defect, named) in PLANTED {
        say(
            &format!("it is found when {what}"),
            release.found(paths, defect, named),
        )?;
    }
    say(
        "a version that nothing was compiled on gets nothing, and is told so",
        release.other_versions(paths),
    )?;
    Ok(ktap.failed() == 0)
}

/// What is there of a new release before it is built: VFIO's source, headers and Module.symvers.
struct Release {
    folder: TempDir,
    exports: BTreeSet<String>,
    declarations: String,
}

impl Release {
    /// One that is like the test kernel, with every option on.
    fn new(paths: &Paths, source: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let vfio = folder.path().join("tree/drivers/vfio/pci");
        fs::create_dir_all(&vfio)?;
        let declarations = source.join("drivers/vfio/pci/vfio_pci_priv.h");
        let declarations = fs::read_to_string(&declarations)
            .with_context(|| declarations.display().to_string())?;
        for file in ["Kbuild", "Makefile"] {
            fs::copy(source.join(file), folder.path().join("tree").join(file))
                .with_context(|| source.join(file).display().to_string())?;
        }
        let headers = folder.path().join("headers");
        fs::create_dir_all(&headers)?;
        for part in ["include", "arch", "source"] {
            symlink(paths.build.join("linux/m").join(part), headers.join(part))?;
        }
        Ok(Self {
            exports: Exports::of_source(source)?.into_names(),
            folder,
            declarations,
        })
    }

    fn tree(&self) -> std::path::PathBuf {
        self.folder.path().join("tree")
    }

    /// Whether the livepatch fits it as it is.
    fn ask(&self, paths: &Paths) -> Result<()> {
        self.write(&self.declarations, None)?;
        fits::tree(
            paths,
            &self.tree(),
            Some(&self.folder.path().join("headers")),
        )?
        .livepatch
    }

    /// Whether a defect is found, and named.
    fn found(&self, paths: &Paths, defect: &Defect, named: &str) -> Result<()> {
        match defect {
            Defect::Export(name) => {
                ensure!(self.exports.contains(*name), "the kernel exports no {name}");
                self.write(&self.declarations, Some(name))?;
            }
            Defect::Declaration(from, to) => {
                ensure!(self.declarations.contains(from), "nothing declares {from}");
                self.write(&self.declarations.replace(from, to), None)?;
            }
        }
        let headers = self.folder.path().join("headers");
        let answer = fits::tree(paths, &self.tree(), Some(&headers))?;
        let error = answer.livepatch.err().context("it was not found")?;
        let said = format!("{error:#}");
        ensure!(said.contains(named), "it was found as: {said}");
        Ok(())
    }

    /// Older and newer versions are refused by all that could build something.
    fn other_versions(&self, paths: &Paths) -> Result<()> {
        let makefile = self.tree().join("Makefile");
        let series = Series::read(paths)?;
        for (major, minor, named) in [(6, 12, "older than"), (7, 1, "older than"), (9, 0, "newer")]
        {
            let text = format!("VERSION = {major}\nPATCHLEVEL = {minor}\nSUBLEVEL = 1\n");
            fs::write(&makefile, text)?;
            let answer = fits::tree(paths, &self.tree(), None)?;
            let errors = [
                answer.series.err(),
                answer.livepatch.err(),
                Tree::open(&self.tree())?.add(&series).err(),
            ];
            for error in errors {
                let said = error.context("it was not refused")?.to_string();
                ensure!(
                    said.contains(named),
                    "{major}.{minor} was refused with: {said}"
                );
            }
            ensure!(
                !self.tree().join(".vfio-pci-audit").exists(),
                "something was changed"
            );
        }
        Ok(())
    }

    fn write(&self, declarations: &str, missing: Option<&str>) -> Result<()> {
        let file = self.tree().join("drivers/vfio/pci/vfio_pci_priv.h");
        fs::write(&file, declarations)?;
        let lines: Vec<_> = self
            .exports
            .iter()
            .filter(|name| Some(name.as_str()) != missing)
            .map(|name| format!("0x00000000\t{name}\tvmlinux\tEXPORT_SYMBOL\t\n"))
            .collect();
        fs::write(
            self.folder.path().join("headers/Module.symvers"),
            lines.concat(),
        )?;
        Ok(())
    }
}
