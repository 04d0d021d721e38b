// SPDX-License-Identifier: GPL-2.0

//! The demonstrations, and the machine to try things in.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus};

use anyhow::{bail, Context, Result};
use lab::auditd::Audit;
use lab::kernel;
use lab::kernels::Release;
use lab::modules::{self, Load, Modules};
use lab::paths::{given, Paths};
use lab::progress;
use lab::vm;

use crate::cli::demo;
use crate::cli::prepare::{self, Part, Stock};

/// This program's own words for the VM.
pub(crate) fn this(paths: &Paths, arguments: &[&str]) -> Vec<String> {
    let program = paths.tool("lab").display().to_string();
    let arguments = arguments.iter().map(|&word| word.to_owned());
    std::iter::once(program).chain(arguments).collect()
}

/// From a fresh machine to the output of ausearch -m PCI.
pub(crate) fn run(paths: &Paths) -> Result<u8> {
    prepare::run(paths, &[Part::Setup])?;
    // The kernel takes longer, and leaves a processor idle until its Rust crates are built.
    let beside = prepare::steps(paths, &[Part::Client, Part::Audit]);
    progress::run_beside(paths, &prepare::steps(paths, &[Part::M]), &beside)?;
    prepare::run(paths, &[Part::Guest])?;
    let options = vm::Options {
        name: Some("demo".to_owned()),
        ..vm::Options::default()
    };
    eprintln!("Booting the kernel in a VM (log: build/log/vm-demo.log)");
    Ok(options.run(paths, &this(paths, &["demo"]))?)
}

/// The kernel to take for one that modules are built for and that does not boot in the VM.
fn boots_instead(release: &str) -> Option<String> {
    let parsed = release.parse::<Release>().ok()?;
    // For a kernel that is refused anyway, another is built for, or the reason is told.
    let built = parsed.refusal().is_none() && !parsed.is_plain();
    built.then(|| release.replace("cloud-", ""))
}

/// The same on a kernel of Debian's as it is, which takes the modules while a guest runs.
pub(crate) fn run_stock(paths: &Paths) -> Result<u8> {
    let release = given("RELEASE").map_or_else(modules::release, |release| {
        release.to_string_lossy().into_owned()
    });
    if let Some(plain) = boots_instead(&release) {
        bail!(
            "Debian's cloud kernels have no 9P, by which the VM has its root file system: make \
             stock builds for {release}, and make run-stock RELEASE={plain} shows it"
        );
    }
    prepare::run(paths, &[Part::SetupStock])?;
    // The modules take longer, most of it on one processor.
    let beside = prepare::steps(paths, &[Part::Client, Part::Audit]);
    progress::run_beside(paths, &[prepare::stock()], &beside)?;
    let stock = Stock::find(paths)?;
    progress::run(paths, &[prepare::guest(paths, &stock.kernel)])?;
    let options = vm::Options {
        name: Some("run-stock".to_owned()),
        timeout: 1800,
        kernel: Some(stock.kernel),
        ..vm::Options::default()
    };
    let mut command = vec![
        "env".to_owned(),
        format!("STOCK={}", stock.folder.display()),
    ];
    command.extend(this(paths, &["demo"]));
    Ok(options.run(paths, &command)?)
}

/// The machine to try things in, on this terminal.
pub(crate) fn shell(paths: &Paths) -> Result<u8> {
    prepare::run(
        paths,
        &[Part::Setup, Part::Tools, Part::Audit, Part::M, Part::Guest],
    )?;
    let words = this(paths, &["welcome"]).join(" ");
    let command = format!(
        "TOP='{}' BUILD='{}' {words}",
        paths.top.display(),
        paths.build.display()
    );
    let status = vm::Options::default().shell(paths, &command)?;
    Ok(code(status))
}

fn code(status: ExitStatus) -> u8 {
    status
        .code()
        .and_then(|code| code.try_into().ok())
        .unwrap_or(1)
}

/// Where its audit daemon and its shell have their files.
const FOLDER: &str = "/run/lab";

/// What its shell shows when it waits for a command.
pub(crate) const PROMPT: &str = "lab# ";

/// In that machine: a device bound, an audit daemon that runs, a hint, and a shell.
pub(crate) fn welcome(paths: &Paths) -> Result<()> {
    Modules::find(paths).load(&Load::default())?;
    kernel::bind(demo::DEVICE.parse()?)?;
    let mut audit = Audit::fresh(&paths.audit(), Path::new(FOLDER).join("audit"))?;
    let (device, log) = (demo::DEVICE, audit.log());
    let rc = Path::new(FOLDER).join("bashrc");
    fs::write(
        &rc,
        format!(
            "cd '{}'\n\
             export HOME=/root LD_LIBRARY_PATH='{audit}/lib'\n\
             export PATH='{tools}:{audit}/sbin':/usr/local/sbin:/usr/local/bin\n\
             export PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin\n\
             PS1='{PROMPT}'\n",
            paths.top.display(),
            audit = paths.audit().display(),
            tools = paths.tools().display(),
        ),
    )?;
    println!(
        "\n{device} is bound to vfio-pci, auditd logs to {log}. Try:\n\
         \n\
         \x20   vfio-client map {device}\n\
         \x20   vfio-client write {device} {offset} ff\n\
         \x20   ausearch -m PCI -if {log}\n\
         \x20   echo Y >/sys/module/vfio_pci_audit/parameters/block_pci_unassigned_write\n\
         \x20   lab guest {device} poke={offset}:0xff:1\n\
         \n\
         After you rebuilt modules on the host: lab unload; lab load. To leave: exit.\n",
        log = log.display(),
        offset = demo::OFFSET_TEXT,
    );
    Command::new("bash")
        .arg("--rcfile")
        .arg(&rc)
        .arg("-i")
        .status()
        .context("bash")?;
    audit.stop(rustix::process::Signal::TERM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_that_do_not_boot_here() {
        let plain = boots_instead("7.3.4+deb13-cloud-amd64");
        assert_eq!(plain.as_deref(), Some("7.3.4+deb13-amd64"));
        for release in [
            "7.3.4+deb13-amd64",
            "7.3.4+deb13-rt-amd64",
            "6.12.48+deb13-cloud-amd64",
            "6.1.0-40-cloud-amd64",
            "6.18.44",
        ] {
            assert_eq!(boots_instead(release), None, "{release}");
        }
    }
}
