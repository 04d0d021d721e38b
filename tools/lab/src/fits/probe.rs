// SPDX-License-Identifier: GPL-2.0

//! Compiles the livepatch's C with a kernel's headers and source, and looks at what it calls.
//!
//! Nothing of the kernel is built for that: a new release that lacks a symbol, or has another
//! function under its name, is found in seconds.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, Context, Result};

use crate::command;
use crate::paths::Paths;

const PROBE: &str = include_str!("probe.c");

/// Compilers of which one is there wherever this program is.
const COMPILERS: [&str; 3] = ["gcc", "clang-19", "x86_64-linux-gnu-gcc-14"];

/// What is compiled with.
pub(super) struct Kernel<'a> {
    /// The source of VFIO.
    pub(super) source: &'a Path,
    /// The source whose headers are taken, mostly the same.
    pub(super) headers: &'a Path,
    /// Where the headers are that its configuration generates.
    pub(super) generated: &'a Path,
}

/// The symbols that both modules and the livepatch want a kernel to export. An error says what does
/// not compile.
pub(super) fn wanted(paths: &Paths, kernel: &Kernel<'_>) -> Result<BTreeSet<String>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("probe.c");
    let object = folder.path().join("probe.o");
    fs::write(&file, format!("{PROBE}\n{}", calls(paths, kernel)?))?;
    let mut compiler = Command::new(compiler()?);
    compiler
        .args(arguments(paths, kernel))
        .arg("-o")
        .arg(&object)
        .arg(&file);
    let output = command::output(&mut compiler)?;
    if !output.status.success() {
        bail!("{}", first_error(&String::from_utf8_lossy(&output.stderr)));
    }
    let table = command::stdout(
        Command::new("nm")
            .args(["--undefined-only", "-P"])
            .arg(&object),
    )?;
    let mut wanted: BTreeSet<String> = table
        .lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|name| !is_own(name))
        .map(str::to_owned)
        .collect();
    let livepatch = livepatch(paths)?;
    wanted.extend(arguments_of(&livepatch, "symbol_get(").map(str::to_owned));
    Ok(wanted)
}

/// Whether the modules have it themselves, or the linker.
fn is_own(name: &str) -> bool {
    name.starts_with("pci_audit_") || name.starts_with("vfio_pci_audit_") || name == "__this_module"
}

fn livepatch(paths: &Paths) -> Result<String> {
    let file = paths.top.join("src/drivers/vfio/pci/audit/livepatch.c");
    fs::read_to_string(&file).with_context(|| file.display().to_string())
}

/// The names behind an opening parenthesis.
fn arguments_of<'a>(text: &'a str, call: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(call)
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|name| name.chars().all(is_word))
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// C that refers to each function which the Rust code calls by its bindings. What the kernel's
/// Rust has a helper for may be a macro.
fn calls(paths: &Paths, kernel: &Kernel<'_>) -> Result<String> {
    let bindings = texts(&paths.top.join("rust-bindings"), "rs")?;
    let helpers = texts(&kernel.headers.join("rust/helpers"), "c")?;
    let helpers: BTreeSet<&str> = helpers_in(&helpers).collect();
    let names: BTreeSet<&str> = calls_in(&bindings)
        .filter(|name| !is_own(name) && !helpers.contains(name))
        .collect();
    let list: Vec<_> = names.iter().map(|name| format!("\t{name},\n")).collect();
    Ok(format!("void *const calls[] = {{\n{}}};\n", list.concat()))
}

/// The text of all files below a folder whose names end in an extension.
fn texts(folder: &Path, extension: &str) -> Result<String> {
    let mut texts = String::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            texts += &self::texts(&path, extension)?;
        } else if path.extension().is_some_and(|end| end == extension) {
            texts += &fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        }
    }
    Ok(texts)
}

/// The functions that are called by bindings.
fn calls_in(text: &str) -> impl Iterator<Item = &str> {
    text.split("bindings::").skip(1).filter_map(|rest| {
        let (name, _) = rest.split_once('(')?;
        (!name.is_empty() && name.chars().all(is_word)).then_some(name)
    })
}

/// The functions and macros that helpers are defined for.
fn helpers_in(text: &str) -> impl Iterator<Item = &str> {
    text.split("rust_helper_").skip(1).filter_map(|rest| {
        let (name, _) = rest.split_once('(')?;
        name.chars().all(is_word).then_some(name)
    })
}

fn compiler() -> Result<&'static str> {
    COMPILERS
        .into_iter()
        .find(|name| command::output(Command::new(name).arg("--version")).is_ok())
        .with_context(|| format!("no compiler is installed, of {}", COMPILERS.join(", ")))
}

/// What the kernel's Makefile passes, as far as its headers want it.
fn arguments(paths: &Paths, kernel: &Kernel<'_>) -> Vec<String> {
    let Kernel {
        source,
        headers,
        generated,
    } = kernel;
    let ours = paths.top.join("src");
    let include = |folder: PathBuf| format!("-I{}", folder.display());
    let folders = [
        headers.join("arch/x86/include"),
        generated.join("arch/x86/include/generated"),
        headers.join("include"),
        generated.join("include"),
        headers.join("arch/x86/include/uapi"),
        generated.join("arch/x86/include/generated/uapi"),
        headers.join("include/uapi"),
        generated.join("include/generated/uapi"),
        headers.join("rust"),
        ours.join("include"),
        ours.join("drivers/vfio/pci/audit"),
        source.join("drivers/vfio/pci"),
    ];
    let flags = [
        "-nostdinc",
        "-D__KERNEL__",
        "-DMODULE",
        "-DKBUILD_MODNAME=\"probe\"",
        "-DKBUILD_BASENAME=\"probe\"",
        "-D__KBUILD_MODNAME=probe",
        "-DCC_USING_FENTRY",
        "-DCONFIG_LIVEPATCH=1",
        "-DCONFIG_PCI_AUDIT_MODULE=1",
        "-DCONFIG_VFIO_PCI_UNASSIGNED_ACCESS_AUDIT=1",
        "-DAUDIT_PCI=1340",
        "-std=gnu11",
        "-fms-extensions",
        "-fshort-wchar",
        "-fno-pie",
        "-mcmodel=kernel",
        "-mno-red-zone",
        "-O2",
        "-w",
        "-Werror=implicit-function-declaration",
        "-Werror=incompatible-pointer-types",
        "-c",
    ];
    let mut arguments: Vec<_> = folders.into_iter().map(include).collect();
    for header in ["compiler-version.h", "kconfig.h", "compiler_types.h"] {
        let header = headers.join("include/linux").join(header);
        arguments.extend(["-include".to_owned(), header.display().to_string()]);
    }
    arguments.extend(flags.map(str::to_owned));
    arguments
}

/// The first thing that a compiler complains of, without where.
fn first_error(said: &str) -> &str {
    said.lines()
        .find_map(|line| line.split_once("error: "))
        .map_or(said, |(_, error)| error)
        .trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_by_bindings() {
        let text = "unsafe { bindings::one(1) };\nlet x: bindings::gfp_t;\nbindings::two_2()";
        assert_eq!(calls_in(text).collect::<Vec<_>>(), ["one", "two_2"]);
        let text = "__rust_helper void rust_helper_smp_wmb(void)\n{\n\tsmp_wmb();\n}\n";
        assert_eq!(helpers_in(text).collect::<Vec<_>>(), ["smp_wmb"]);
        let text = "x = symbol_get(found);\n symbol_get(a b)";
        assert_eq!(
            arguments_of(text, "symbol_get(").collect::<Vec<_>>(),
            ["found"]
        );
    }

    #[test]
    fn what_a_compiler_says() {
        let said = "In file included from a.c:1:\nb.h:3:1: error: no such thing\n    3 | x\n";
        assert_eq!(first_error(said), "no such thing");
        assert_eq!(first_error("killed\n"), "killed");
    }
}
