// SPDX-License-Identifier: GPL-2.0

//! What is done with kernel trees, and with kernels of Debian's as they are.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use lab::fits;
use lab::graft::Tree;
use lab::paths::{given, Paths};
use lab::series::Series;
use lab::stock;

/// Puts the series into a tree.
#[derive(Args)]
pub(crate) struct Graft {
    /// Take both out again, leaving the tree as it was
    #[arg(long, conflicts_with = "unpatched")]
    remove: bool,
    /// Only copy the files that the glue changes into this folder, as they are without it
    #[arg(long, value_name = "FOLDER")]
    unpatched: Option<PathBuf>,
    /// The kernel tree
    tree: PathBuf,
}

pub(crate) fn graft(paths: &Paths, arguments: &Graft) -> Result<()> {
    let tree = Tree::open(&arguments.tree)?;
    let series = Series::read(paths)?;
    if let Some(folder) = &arguments.unpatched {
        return tree.unpatched(&series, folder);
    }
    if arguments.remove {
        tree.remove(&series)?;
        eprintln!("removed from {}", tree.root().display());
        return Ok(());
    }
    tree.add(&series)?;
    for note in fits::Answer::notes(tree.version()?) {
        eprintln!("note: {note}");
    }
    Ok(())
}

/// Builds modules for a stock kernel.
#[derive(Args)]
pub(crate) struct Stock {
    /// Fetch the kernel itself too, to boot it
    #[arg(long)]
    image: bool,
    /// What uname -r says (default: RELEASE, else the running kernel, else the newest in backports)
    release: Option<String>,
}

pub(crate) fn stock(paths: &Paths, arguments: &Stock) -> Result<()> {
    let folder = stock::build(paths, arguments.release.as_deref(), arguments.image)?;
    println!("{}", folder.display());
    Ok(())
}

/// Asks whether both fit.
#[derive(Args)]
pub(crate) struct Fits {
    /// The headers of a kernel that was built from the tree, with their Module.symvers
    #[arg(long, value_name = "FOLDER")]
    headers: Option<PathBuf>,
    /// A kernel tree, or a kernel of Debian 13's as uname -r has it (default: KDIR, RELEASE, or
    /// the tree that was fetched)
    kernel: Option<String>,
}

pub(crate) fn fits(paths: &Paths, arguments: &Fits) -> Result<bool> {
    let release = || given("RELEASE").map(|release| release.to_string_lossy().into_owned());
    let tree = || paths.kernel_tree().display().to_string();
    let kernel = match &arguments.kernel {
        Some(kernel) => kernel.clone(),
        None => release().unwrap_or_else(tree),
    };
    let folder = PathBuf::from(&kernel);
    let answer = if folder.is_dir() {
        fits::tree(paths, &folder, arguments.headers.as_deref())?
    } else {
        stock::fits(paths, &kernel)?
    };
    println!("{answer}");
    Ok(answer.is_good())
}
