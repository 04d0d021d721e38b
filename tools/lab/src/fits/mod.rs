// SPDX-License-Identifier: GPL-2.0

//! Whether the series and the livepatch fit a kernel, and why not.
//!
//! - [`exports`]: what the kernel exports.
//! - [`probe`]: what the modules and the livepatch want of it.

mod exports;
mod probe;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context, Result};

use crate::graft::Tree;
use crate::kernels::Version;
use crate::paths::Paths;
use crate::progress::{self, Step};
use crate::series::Series;

pub use exports::Exports;
use probe::Kernel;

/// What a kernel is told to be.
pub struct Answer {
    /// The kernel.
    pub name: String,
    /// Whether the patch series fits, or why not.
    pub series: Result<()>,
    /// The same of the livepatch.
    pub livepatch: Result<()>,
    /// What else is to be said.
    pub notes: Vec<String>,
}

impl Answer {
    /// Whether both fit.
    pub fn is_good(&self) -> bool {
        self.series.is_ok() && self.livepatch.is_ok()
    }

    /// What a version has to be told with.
    pub fn notes(version: Version) -> Vec<String> {
        if version.has_rust_sample() || version.refusal().is_some() {
            return Vec::new();
        }
        vec![format!(
            "CONFIG_SAMPLE_PCI_AUDIT_RUST has to be off: pci::Driver of {version} is not the one \
             that this sample implements"
        )]
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let say = |result: &Result<()>| match result {
            Ok(()) => "fits".to_owned(),
            Err(error) => format!("does not fit: {error:#}"),
        };
        writeln!(f, "{}", self.name)?;
        writeln!(f, "  series:    {}", say(&self.series))?;
        write!(f, "  livepatch: {}", say(&self.livepatch))?;
        for note in &self.notes {
            write!(f, "\n  note:      {note}")?;
        }
        Ok(())
    }
}

/// Whether both fit a kernel tree. With the headers of a build, as Debian packages them, the
/// symbols that it exports count, otherwise those of the source.
pub fn tree(paths: &Paths, folder: &Path, headers: Option<&Path>) -> Result<Answer> {
    let tree = Tree::open(folder)?;
    let version = tree.version()?;
    Ok(Answer {
        name: format!("{} (Linux {version})", folder.display()),
        series: series(paths, &tree, version),
        livepatch: tree_takes_livepatch(paths, &tree, version, headers),
        notes: Answer::notes(version),
    })
}

/// Whether the series fits a tree.
pub fn series(paths: &Paths, tree: &Tree, version: Version) -> Result<()> {
    refuse(version)?;
    let helper = tree.root().join("rust/bindings/bindings_helper.h");
    ensure!(
        helper.exists() || !tree.root().join("init").exists(),
        "the tree has no Rust"
    );
    tree.fits(&Series::read(paths)?)
}

fn refuse(version: Version) -> Result<()> {
    match version.refusal() {
        Some(why) => bail!("{why}"),
        None => Ok(()),
    }
}

fn tree_takes_livepatch(
    paths: &Paths,
    tree: &Tree,
    version: Version,
    headers: Option<&Path>,
) -> Result<()> {
    refuse(version)?;
    if let Some(headers) = headers {
        let exports = Exports::of_build(headers)?;
        return livepatch(paths, tree.root(), headers, &exports);
    }
    let generated = generated(paths, tree.root())?;
    livepatch(
        paths,
        tree.root(),
        &generated,
        &Exports::of_source(tree.root())?,
    )
}

/// Whether the livepatch fits: what it replaces, calls and probes is there, is exported where it
/// has to be, and has the types that it is taken for.
pub fn livepatch(paths: &Paths, source: &Path, generated: &Path, exports: &Exports) -> Result<()> {
    // A part of a tree has the headers of the one that it was configured from.
    let whole = source.join("include/linux/kconfig.h").exists();
    let headers = if whole {
        source.to_owned()
    } else {
        generated.join("source")
    };
    let kernel = Kernel {
        source,
        headers: &headers,
        generated,
    };
    let wanted = probe::wanted(paths, &kernel)?;
    let missing: Vec<_> = wanted
        .iter()
        .filter(|name| !exports.has(name))
        .map(String::as_str)
        .collect();
    ensure!(
        missing.is_empty(),
        "the kernel does not export {}, which the modules or the livepatch use",
        missing.join(", ")
    );
    Ok(())
}

/// Headers that a configuration generates: those of the test kernel, if it is built from this tree,
/// or of one that is configured for nothing else.
fn generated(paths: &Paths, tree: &Path) -> Result<PathBuf> {
    let built = paths.build.join("linux/m");
    let ready = built.join("include/generated/asm-offsets.h").exists();
    if ready && same(&built.join("source"), tree) {
        return Ok(built);
    }
    let objects = paths.build.join("linux/fits");
    if objects.exists() {
        fs::remove_dir_all(&objects).with_context(|| objects.display().to_string())?;
    }
    let script = ". scripts/lib.sh; toolchain; make -C \"$0\" O=\"$1\" LLVM=$LLVM defconfig && \
                  \"$0\"/scripts/config --file \"$1\"/.config -e AUDIT -e KPROBES -e LIVEPATCH \
                  -e VFIO -m VFIO_PCI && make -C \"$0\" O=\"$1\" LLVM=$LLVM olddefconfig && \
                  make -C \"$0\" O=\"$1\" -j\"$JOBS\" LLVM=$LLVM prepare0";
    let (tree, to) = (tree.display().to_string(), objects.display().to_string());
    let what = "configuring the tree for its headers";
    let words = ["bash", "-c", script, &tree, &to];
    progress::run(paths, &[Step::new("fits-headers", what, &words)])?;
    Ok(objects)
}

fn same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}
