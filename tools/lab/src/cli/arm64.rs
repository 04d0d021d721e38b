// SPDX-License-Identifier: GPL-2.0

//! Both modules on other architectures: compiled for arm64 by LLVM and by GCC, and for s390, which
//! is big-endian. On arm64 the KUnit suites run, and the kselftests in a machine with an SMMUv3.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{bail, ensure, Context, Result};
use lab::complaints;
use lab::initramfs;
use lab::ktap::Counts;
use lab::paths::Paths;
use lab::progress::{self, Step};
use lab::shell;

/// What kunit.py is told: the options that both suites ask for, the compilers of
/// scripts/build-kernel.sh, and what to run.
const KUNIT: &str = "run --arch=arm64 --timeout=600 --kernel_args=audit=1 \
    --kunitconfig=drivers/pci/audit/kunit --kunitconfig=drivers/vfio/pci/audit/kunit \
    --make_options=LLVM=-19 --make_options=RUSTC=/usr/bin/rustc \
    --make_options=KBUILD_BUILD_TIMESTAMP=1970-01-01 *pci_audit*";

/// What runs on a device.
const SELFTESTS: [&str; 2] = ["vfio_pci_device_test", "vfio_pci_unassigned_access_test"];

/// The machine that they run in: each device behind a port is in an IOMMU group of its own. One
/// thread emulates all processors, as in the VM.
const MACHINE: &str = "-machine virt,gic-version=3,iommu=smmuv3 -cpu cortex-a57 -smp 2 -m 1024 \
    -accel tcg,thread=single -nodefaults -display none -no-reboot -serial stdio \
    -device pcie-root-port,id=port1,bus=pcie.0,chassis=1 -device e1000e,bus=port1,romfile=";

/// The kernel's arguments there; scripts/guest/selftests has the device from them. Audit records,
/// which no daemon takes, are not shown, and warnings are.
const KERNEL_ARGUMENTS: &str =
    "console=ttyAMA0 loglevel=5 audit=1 kunit.enable=0 panic=-1 DEVICE=0000:01:00.0";

/// Compile and run; whether all tests pass.
pub(crate) fn run(paths: &Paths) -> Result<bool> {
    let kernel = |kind, what| {
        let name = format!("kernel-{kind}");
        Step::new(&name, what, &["scripts/build-kernel.sh", kind])
    };
    progress::run(
        paths,
        &[
            Step::new(
                "setup",
                "installing what is missing",
                &["scripts/setup.sh", "kernel", "arm64"],
            ),
            Step::new(
                "arm64-packages",
                "fetching packages of arm64",
                &["scripts/fetch-arm64.sh"],
            ),
            kernel("arm64-gcc", "compiling the modules for arm64 by GCC"),
            kernel("s390", "compiling the modules for s390"),
            kernel("arm64", "building the kernel for arm64 (15 minutes)"),
            Step::new(
                "selftest-arm64",
                "building the selftests of VFIO for arm64",
                &["scripts/build-selftest.sh", "arm64"],
            ),
            kunit(paths),
        ],
    )?;
    let log = boot(paths)?;
    let mut all = Counts::default();
    for (name, log) in [("KUnit", paths.log("arm64-kunit")), ("kselftest", log)] {
        let counts = Counts::of(&paths.kernel_tree(), &log)?;
        println!(
            "{name} on arm64: {} passed, {} failed, {} skipped",
            counts.passed, counts.failed, counts.skipped
        );
        ensure!(
            counts.passed > 0,
            "no test has run, see {}",
            paths.show(&log)
        );
        all += counts;
    }
    // This machine has all that they ask for.
    Ok(all.failed + all.skipped == 0)
}

/// The step that has the kernel's own kunit.py bring the kernel up to date and boot it. The
/// configuration is the kernel's, and what the suites ask for.
fn kunit(paths: &Paths) -> Step {
    let program = paths.kernel_tree().join("tools/testing/kunit/kunit.py");
    let objects = objects(paths);
    let objects = objects.display();
    let mut words = shell::words("toolchain; exec python3").to_vec();
    words.push(program.display().to_string());
    words.extend(KUNIT.split_whitespace().map(str::to_owned));
    words.push(format!("--build_dir={objects}"));
    words.push(format!("--kunitconfig={objects}/.config"));
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    Step::new("arm64-kunit", "running the KUnit suites on arm64", &words)
}

fn objects(paths: &Paths) -> PathBuf {
    paths.build.join("linux/arm64")
}

/// Run the kselftests; the log of the machine.
fn boot(paths: &Paths) -> Result<PathBuf> {
    let work = tempfile::Builder::new()
        .prefix("arm64.")
        .tempdir_in(&paths.build)?;
    let initramfs = root(paths, work.path())?;
    let log = paths.log("arm64-kselftest");
    eprintln!(
        "running the kselftests on arm64 (log: {}; a minute)",
        paths.show(&log)
    );
    let output = File::create(&log).with_context(|| log.display().to_string())?;
    let status = Command::new("timeout")
        .args(["600", "qemu-system-aarch64"])
        .args(MACHINE.split_whitespace())
        .arg("-kernel")
        .arg(objects(paths).join("arch/arm64/boot/Image.gz"))
        .arg("-initrd")
        .arg(&initramfs)
        .args(["-append", KERNEL_ARGUMENTS])
        .stdin(Stdio::null())
        .stdout(output)
        .status()
        .context("QEMU")?;
    let shown = paths.show(&log);
    ensure!(status.success(), "QEMU ended with {status}, see {shown}");
    let said = fs::read(&log).with_context(|| shown.clone())?;
    let said = String::from_utf8_lossy(&said);
    if let Some((line, complaint)) = complaints::find(&said, &[]).first() {
        bail!("the kernel complained, line {line} of {shown}: {complaint}");
    }
    Ok(log)
}

/// The root file system, packed.
fn root(paths: &Paths, work: &Path) -> Result<PathBuf> {
    let root = work.join("root");
    initramfs::folders(&root)?;
    let busybox = paths.build.join("arm64/bin/busybox");
    initramfs::program(&busybox, &root, "bin/busybox")?;
    initramfs::program(&paths.script("guest/selftests"), &root, "init")?;
    for test in SELFTESTS {
        let built = paths.build.join("linux/selftests/arm64").join(test);
        initramfs::program(&built, &root, &format!("tests/{test}"))?;
    }
    let packed = work.join("initramfs");
    initramfs::pack(&root, &packed)?;
    Ok(packed)
}
