// SPDX-License-Identifier: GPL-2.0

//! Counts the instructions of system calls on configuration space: with the series and without, in
//! a VM whose time-stamp counter counts instructions, and with the livepatch and without in
//! another, on Debian's own kernel. What `vfio-pci-audit observe` costs is counted in a third, on
//! Debian 13's kernel as it is.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use lab::command;
use lab::paths::{is_set, Paths};
use lab::progress::{self, Step};
use lab::shell;
use lab::vm::machine::crowd;

use crate::cli::prepare::{self, Part, Stock};
use crate::cli::show::this;

/// Measure, and put tables, charts and JSON into build/bench; whether every target is met.
pub(crate) fn run(paths: &Paths, quick: bool) -> Result<bool> {
    prepare::run(
        paths,
        &[
            Part::Setup,
            Part::Optimised,
            Part::Audit,
            Part::M,
            Part::Unpatched,
        ],
    )?;
    let out = paths.build.join("bench");
    fs::create_dir_all(&out)?;
    let bench = paths.optimised("bench").display().to_string();
    let results = out.join("results.json").display().to_string();
    let stock_results = out.join("stock.json").display().to_string();

    let mut measure = vec![bench.clone(), "measure".to_owned()];
    measure.extend(quick.then(|| "--quick".to_owned()));
    measure.push(results.clone());
    // Devices to hold many sessions on, and memory to keep accesses in.
    let devices = [
        "--qemu".to_owned(),
        crowd(64).join(" "),
        "--append=reserve_mem=16M:4096:pci_audit".to_owned(),
    ];
    progress::run(
        paths,
        &[
            Step::new(
                "kernel-bench",
                "building the yardstick",
                &["scripts/build-module.sh", "yardstick", "bench/yardstick"],
            ),
            Step::new(
                "kernel-crowd",
                "building a crowd of devices",
                &["scripts/build-module.sh", "crowd", "bench/crowd"],
            ),
            vm(paths, "bench", "counting instructions", &devices, &measure),
            prepare::stock(),
        ],
    )?;
    let stock = Stock::find(paths)?;
    let kernel = ["--kernel".to_owned(), stock.kernel.display().to_string()];
    let measure = [
        "env".to_owned(),
        format!("STOCK={}", stock.folder.display()),
        bench.clone(),
        "measure".to_owned(),
        stock_results.clone(),
    ];
    let what = "counting instructions on Debian's own kernel";
    progress::run(paths, &[vm(paths, "bench-stock", what, &kernel, &measure)])?;

    let observed = observe(paths, &bench, &out.join("observed.json"))?;

    // There will be none if nothing was measured.
    let _ = fs::remove_file(out.join("observe.rst"));
    let folder = out.display().to_string();
    let mut report = vec![bench.as_str(), "report", "--stock", &stock_results];
    if let Some(observed) = &observed {
        report.extend(["--observed", observed]);
    }
    report.extend([&*results, &*folder]);
    let report: Vec<String> = report.iter().map(|&word| word.to_owned()).collect();
    let met = progress::command(paths, &report).status()?.success();
    let sizes = sizes(paths)?;
    print!("{sizes}");
    fs::write(out.join("sizes.txt"), sizes)?;
    if is_set("UPDATE") {
        update(paths, "table.rst", "performance.rst")?;
        if out.join("observe.rst").exists() {
            update(
                paths,
                "observe.rst",
                "admin-guide/vfio-pci-audit-observe.rst",
            )?;
        }
    }
    Ok(met)
}

/// What the modules of the kernel in build/linux/m take: their sizes, and large stack frames.
fn sizes(paths: &Paths) -> Result<String> {
    let modules = ["pci/audit/pci-audit.ko", "vfio/pci/audit/vfio-pci-audit.ko"];
    let drivers = paths.build.join("linux/m/drivers");
    let mut size = shell::in_toolchain(paths, "llvm-size");
    let sizes = command::stdout(size.args(modules.map(|module| drivers.join(module))))?;
    let code = tempfile::NamedTempFile::new()?;
    let mut dump = Command::new("objdump");
    dump.arg("-d")
        .args(modules.map(|module| drivers.join(module)));
    fs::write(code.path(), command::stdout(&mut dump)?)?;
    let mut frames = Command::new(paths.kernel_tree().join("scripts/checkstack.pl"));
    let frames = command::stdout_of_input(frames.arg("x86_64"), code.path())?;
    // Each line begins with an address.
    let frames: String = frames
        .lines()
        .map(|line| match line.split_once(' ') {
            Some((address, rest)) if address.starts_with("0x") => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    Ok(format!(
        "\nSizes of the modules, in bytes:\n\n{sizes}\nStack frames of 100 bytes and \
         more:\n\n{frames}"
    ))
}

/// Put a table of build/bench into a document.
fn update(paths: &Paths, table: &str, doc: &str) -> Result<()> {
    let table = paths.build.join("bench").join(table);
    let doc = paths.top.join("Documentation").join(doc);
    let name = |file: &Path| file.display().to_string();
    let new = fs::read_to_string(&table).with_context(|| name(&table))?;
    let text = fs::read_to_string(&doc).with_context(|| name(&doc))?;
    fs::write(&doc, replace_table(&text, &new)?).with_context(|| name(&doc))
}

/// Count what `vfio-pci-audit observe` costs. The results; nothing where the kernel to count it on
/// cannot be fetched.
fn observe(paths: &Paths, bench: &str, results: &Path) -> Result<Option<String>> {
    let suite = "trixie";
    if let Err(error) = progress::run(paths, &[prepare::image(suite)]) {
        eprintln!("the cost of observe is not measured: {error:#}");
        return Ok(None);
    }
    let stock = Stock::of_suite(paths, suite)?;
    let kernel = ["--kernel".to_owned(), stock.kernel.display().to_string()];
    let results = results.display().to_string();
    let command = [
        "env".to_owned(),
        format!("STOCK={}", stock.folder.display()),
        bench.to_owned(),
        "observe".to_owned(),
        results.clone(),
    ];
    let what = "counting instructions of observe";
    progress::run(
        paths,
        &[vm(paths, "bench-observe", what, &kernel, &command)],
    )?;
    Ok(Some(results))
}

/// A VM that runs a step.
fn vm(paths: &Paths, name: &str, what: &str, options: &[String], command: &[String]) -> Step {
    let mut words = this(
        paths,
        &["vm", "--name", name, "--icount", "--timeout", "3000"],
    );
    words.extend(options.iter().cloned());
    words.push("--".to_owned());
    words.extend(command.iter().cloned());
    Step {
        name: name.to_owned(),
        what: what.to_owned(),
        command: words,
    }
}

/// What a document says between two marks is the table.
fn replace_table(text: &str, table: &str) -> Result<String> {
    let begin = text
        .find(".. table begins")
        .context("the document has no table")?;
    let begin = begin
        + text[begin..]
            .find('\n')
            .context("the mark's line does not end")?
        + 1;
    let end = text
        .find(".. table ends")
        .context("the document's table does not end")?;
    Ok(format!(
        "{}\n{}\n{}",
        &text[..begin],
        table.trim_end(),
        &text[end - 1..]
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_takes_the_place_of_the_last() {
        let text = "before\n\n.. table begins: by make bench\n\nold\n\n.. table ends\n\nafter\n";
        let new = replace_table(text, "new\n").unwrap();
        assert_eq!(
            new,
            "before\n\n.. table begins: by make bench\n\nnew\n\n.. table ends\n\nafter\n"
        );
        assert_eq!(replace_table(&new, "new\n").unwrap(), new);
        assert!(replace_table("nothing", "new").is_err());
    }
}
