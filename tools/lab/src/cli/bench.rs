// SPDX-License-Identifier: GPL-2.0

//! Counts the instructions of system calls on configuration space: with the series and without, in
//! a VM whose time-stamp counter counts instructions, and with the livepatch and without in
//! another, on Debian's own kernel.

use std::fs;

use anyhow::{Context, Result};
use lab::paths::{is_set, Paths};
use lab::progress::{self, Step};
use lab::vm::machine::crowd;

use crate::prepare::{self, Part, Stock};
use crate::show::this;

/// Measure, and put tables, charts and JSON into build/bench; whether every target is met.
pub(crate) fn run(paths: &Paths, quick: bool) -> Result<bool> {
    prepare::run(
        paths,
        &[
            Part::Setup,
            Part::Tools,
            Part::Audit,
            Part::M,
            Part::Unpatched,
        ],
    )?;
    let out = paths.build.join("bench");
    fs::create_dir_all(&out)?;
    let bench = paths.tool("bench").display().to_string();
    let results = out.join("results.json").display().to_string();
    let stock_results = out.join("stock.json").display().to_string();

    let mut measure = vec![bench.clone(), "measure".to_owned()];
    measure.extend(quick.then(|| "--quick".to_owned()));
    measure.push(results.clone());
    // Devices to hold many sessions on.
    let devices = ["--qemu".to_owned(), crowd(64).join(" ")];
    progress::run(
        paths,
        &[
            Step::new(
                "kernel-bench",
                "building the yardstick",
                &["scripts/build-module.sh", "yardstick", "bench"],
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

    let folder = out.display().to_string();
    let report = [
        &bench,
        "report",
        "--stock",
        &stock_results,
        &results,
        &folder,
    ];
    let report: Vec<String> = report.iter().map(|&word| word.to_owned()).collect();
    let met = progress::command(paths, &report).status()?.success();
    let sizes = progress::command(paths, &["scripts/module-sizes.sh".to_owned()])
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())?;
    print!("{sizes}");
    fs::write(out.join("sizes.txt"), sizes)?;
    if is_set("UPDATE") {
        let doc = paths.top.join("Documentation/performance.rst");
        let table = fs::read_to_string(out.join("table.rst")).context("the table")?;
        let text = fs::read_to_string(&doc).with_context(|| doc.display().to_string())?;
        fs::write(&doc, replace_table(&text, &table)?)?;
    }
    Ok(met)
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
