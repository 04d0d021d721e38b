// SPDX-License-Identifier: GPL-2.0

//! The machine that dies: QEMU, on the host's own files, which it cannot change.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use lab::vm::{clock, CACHED_ROOT};

use crate::case::{Case, DONE, WRITTEN};
use crate::monitor::Monitor;
use crate::Arguments;

/// How long a machine may take for each thing; emulated machines are slow on busy hosts.
const PATIENCE: Duration = Duration::from_secs(500);

/// What reserves memory at the boot of a host, as it is shipped.
const RESERVE: &str = "packaging/vfio-pci-audit-last-boot.cfg";

/// What else the test needs on the kernel's command line.
const PARAMETERS: &str = "\
    panic=1 unknown_nmi_panic pcie_ports=native intel_iommu=on audit=1 \
    console=ttyS0 loglevel=7 printk.time=1 no_timer_check root=/dev/root rootfstype=9p ro";

/// The console, as far as it was read.
struct Console {
    file: File,
    text: String,
}

impl Console {
    /// Wait until it has one of some texts behind a place; the place behind that.
    fn wait(&mut self, texts: &[&str], from: usize, qemu: &mut Child) -> Result<usize> {
        let start = Instant::now();
        loop {
            let mut bytes = Vec::new();
            self.file.read_to_end(&mut bytes)?;
            self.text += &String::from_utf8_lossy(&bytes);
            let found = texts.iter().filter_map(|text| {
                let at = self.text.get(from..)?.find(text)?;
                Some(from + at + text.len())
            });
            if let Some(found) = found.min() {
                return Ok(found);
            }
            let last = || {
                let lines: Vec<_> = self.text.lines().rev().take(8).collect();
                lines.into_iter().rev().collect::<Vec<_>>().join("\n# ")
            };
            if let Some(status) = qemu.try_wait()? {
                bail!("QEMU ended ({status}) before {texts:?}:\n# {}", last());
            }
            ensure!(
                start.elapsed() < PATIENCE,
                "no {texts:?} within {} s:\n# {}",
                PATIENCE.as_secs(),
                last()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// QEMU, which ends with this.
struct Qemu(Child);

impl Drop for Qemu {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(case: Case, arguments: &Arguments, folder: &Path) -> Result<Qemu> {
    let program = std::env::current_exe()?;
    let share = |id: &str, path: &Path, tag: &str, options: &str| {
        [
            "-fsdev".to_owned(),
            format!(
                "local,id={id},path={},security_model=none,multidevs=remap{options}",
                path.display()
            ),
            "-device".to_owned(),
            format!("virtio-9p-pci,fsdev={id},mount_tag={tag}"),
        ]
    };
    let rasdaemon = match &arguments.rasdaemon {
        Some(path) => format!(" crash_rasdaemon={}", path.canonicalize()?.display()),
        None => String::new(),
    };
    let shipped = fs::read_to_string(arguments.top.join(RESERVE)).context(RESERVE)?;
    let reserve = shipped
        .split([' ', '"', '\n'])
        .find(|word| word.starts_with("reserve_mem="))
        .with_context(|| format!("{RESERVE} reserves nothing"))?;
    let append = format!(
        "{reserve} {PARAMETERS} {} {CACHED_ROOT}{rasdaemon} init={} crash_case={} crash_top={} \
         crash_build={}",
        clock::arguments(false),
        program.display(),
        case.name(),
        arguments.top.canonicalize()?.display(),
        arguments.build.canonicalize()?.display()
    );
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args([
        "-accel",
        "tcg,thread=single",
        "-cpu",
        "max",
        "-smp",
        "2",
        "-m",
        "1G",
    ])
    .args(["-machine", "q35,kernel-irqchip=split"])
    .args(["-device", "intel-iommu,intremap=on,caching-mode=on"])
    .args(["-nodefaults", "-no-user-config", "-display", "none"])
    .arg("-kernel")
    .arg(&arguments.kernel)
    .args(["-append", &append])
    .args(share("root", Path::new("/"), "/dev/root", ",readonly=on"))
    .args(share("crash", folder, "crash", ""))
    .arg("-serial")
    .arg(format!("file:{}", folder.join("console.log").display()))
    .arg("-qmp")
    .arg(format!(
        "unix:{},server=on,wait=off",
        folder.join("qmp").display()
    ))
    .args([
        "-device",
        "pcie-root-port,id=port1,bus=pcie.0,addr=0x10,chassis=1,slot=1",
    ])
    .args([
        "-device",
        "virtio-rng-pci,id=rng0,bus=port1,addr=0.0,multifunction=on,aer=on",
    ])
    .args([
        "-device",
        "virtio-rng-pci,id=rng1,bus=port1,addr=0.1,aer=on",
    ])
    .stdin(Stdio::null())
    .stdout(Stdio::null())
    .stderr(File::create(folder.join("qemu.log"))?);
    Ok(Qemu(qemu.spawn().context("qemu-system-x86_64")?))
}

/// Let a machine live, and say where it left what it has to say.
pub(crate) fn run(case: Case, arguments: &Arguments) -> Result<PathBuf> {
    let folder = arguments.build.join("crash").join(case.name());
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let folder = folder.canonicalize()?;
    let console = folder.join("console.log");
    File::create(&console)?;
    let mut qemu = start(case, arguments, &folder)?;
    let mut monitor = Monitor::connect(&folder.join("qmp"))?;
    let mut file = File::open(&console)?;
    file.seek(SeekFrom::Start(0))?;
    let mut console = Console {
        file,
        text: String::new(),
    };
    let written = console.wait(&[WRITTEN], 0, &mut qemu.0)?;
    let said = monitor.human(&format!("pcie_aer_inject_error rng0 {}", case.error()))?;
    ensure!(said.starts_with("OK"), "QEMU injects no error: {said}");
    let mut from = console.wait(&["Bus Error: severity="], written, &mut qemu.0)?;
    if case == Case::Fatal {
        // As a platform does that takes a fatal error for the end: it asserts SERR.
        monitor.command("inject-nmi", serde_json::json!({}))?;
        from = console.wait(&["Kernel panic - not syncing"], from, &mut qemu.0)?;
        from = console.wait(&["Linux version "], from, &mut qemu.0)?;
    }
    console.wait(&[DONE], from, &mut qemu.0)?;
    Ok(folder)
}
