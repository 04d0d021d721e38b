// SPDX-License-Identifier: GPL-2.0

//! The checks that need no virtual machine.
//!
//! - [`sources`]: texts as they are.
//! - [`kernel`]: what goes into a kernel, compiled as its tools want it.
//! - [`host`]: the host's tools and what they depend on.

mod host;
mod kernel;
mod sources;

use anyhow::Result;
use lab::paths::Paths;

use crate::cli::checks::Checks;

/// Check all; whether nothing was found.
pub(crate) fn run(paths: &Paths) -> Result<bool> {
    let sources = sources::Sources::find(paths)?;
    let kernel = kernel::Kernel::new(paths)?;
    let mut checks = Checks::new(19)?;
    checks.check("no line is longer than 100 columns", || {
        sources::columns(paths)
    })?;
    checks.check("shellcheck finds nothing in scripts", || {
        sources::shellcheck(paths)
    })?;
    checks.check("kernel Rust is formatted as the kernel's is", || {
        sources.rustfmt()
    })?;
    checks.check("host Rust is formatted", || host::formatted(paths))?;
    checks.check("checkpatch --strict finds nothing in the series", || {
        sources.checkpatch_series()
    })?;
    checks.check(
        "checkpatch --strict finds nothing in C and Rust files",
        || sources.checkpatch_files(),
    )?;
    checks.check("kernel-doc finds nothing in headers", || {
        sources.kernel_doc()
    })?;
    checks.check(
        "Documentation/ is parsed by Sphinx without a warning",
        || sources.documentation(),
    )?;
    checks.check(
        "what goes into a kernel tree refers to documents that are there",
        || sources.references(),
    )?;
    checks.check("what kbuild builds can be built outside the tree", || {
        kernel.copy()
    })?;
    checks.check("kernel code builds without a warning (W=1)", || {
        kernel.warnings()
    })?;
    checks.check("clippy finds nothing in kernel Rust", || kernel.clippy())?;
    checks.check("sparse finds nothing in C files", || kernel.sparse())?;
    checks.check("rustdoc finds nothing in kernel Rust", || kernel.rustdoc())?;
    checks.check("KASAN applies to the metadata of pci_audit, too", || {
        kernel.sanitized()
    })?;
    checks.check("each Cargo.lock has what its workspace wants", || {
        host::locked(paths)
    })?;
    checks.check("clippy finds nothing in host Rust", || host::clippy(paths))?;
    checks.check(
        "cargo-deny finds nothing in licenses, sources and versions of dependencies",
        || host::deny(paths),
    )?;
    checks.check("cargo-deny finds no advisory on a dependency", || {
        host::advisories(paths)
    })?;
    checks.end()
}
