// SPDX-License-Identifier: GPL-2.0

//! Builds the packages of `make deb-tool`, has lintian judge them, and installs, uses and removes
//! them in fresh systems of Debian 12 and 13, which are made in build/deb-tool.
//!
//! A package needs the C library of the system that it is built on, or a newer one: on Debian 13,
//! Debian 12 is left out. DKMS builds modules on Debian 13 only, which has the compilers, and
//! fetches the kernel's source for that.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{bail, ensure, Context, Result};
use lab::command;
use lab::ktap::Skip;
use lab::paths::Paths;
use lab::{progress, shell};

use crate::cli::checks::Checks;

/// The tool, and the modules' sources, by the names of their packages.
const TOOL: &str = "vfio-pci-audit";
const DKMS: &str = "vfio-pci-audit-dkms";

/// In the fresh system: the tool's completions, and a page for each of its commands.
const PAGES: &str = r#"
    . /usr/share/bash-completion/completions/vfio-pci-audit
    complete -p vfio-pci-audit
    zcat /usr/share/man/man1/vfio-pci-audit.1.gz | grep "SH EXAMPLES"
    for command in status map report advise export watch; do
        zcat "/usr/share/man/man1/vfio-pci-audit-$command.1.gz" | grep "SH SYNOPSIS"
    done"#;

/// In the fresh system: the units are there, and whether they run is the operator's choice.
const UNITS: &str = r#"
    for unit in last-boot observe; do
        test -f "/usr/lib/systemd/system/vfio-pci-audit-$unit.service"
        test ! -L "/etc/systemd/system/multi-user.target.wants/vfio-pci-audit-$unit.service"
    done
    test -f /etc/logrotate.d/vfio-pci-audit-observe"#;

/// In the fresh system: the headers of a kernel have DKMS build and sign what is for it.
const BUILD_MODULES: &str = r#"
    cd /etc/apt/sources.list.d
    sed "s/^Suites:.*/Suites: trixie-backports/" ./*.sources >backports.sources
    apt-get update
    release=$(apt-cache pkgnames linux-headers- |
        sed -nE "s/^linux-headers-([7-9].*\+deb13-amd64)$/\1/p" | sort -V | tail -n 1)
    DEBIAN_FRONTEND=noninteractive apt-get install --yes "linux-headers-$release"
    dkms status -k "$release" | grep "^vfio-pci-audit/.*: installed"
    for module in pci-audit vfio-pci-audit vfio-pci-audit-livepatch; do
        modinfo -F signer "/lib/modules/$release/updates/dkms/$module.ko"* | grep .
    done"#;

/// In the fresh system: the modules do not fit a kernel, and the system's log has the reason.
const FAIL_TO_BUILD: &str = r#"
    release=7.1.0+deb13-amd64
    mkdir /tmp/log
    printf '#!/bin/sh\nprintf "%%s\\n" "$*" >>/tmp/log/said\n' >/tmp/log/logger
    chmod +x /tmp/log/logger
    cd /usr/src/vfio-pci-audit-*/
    if PATH=/tmp/log:$PATH scripts/dkms-build.sh "$release"; then
        exit 1
    fi
    grep "kernel $release will run WITHOUT vfio_pci_audit.* is older than" /tmp/log/said"#;

/// With /proc, in the root folder `$1`.
const CHROOT: &str = "as_root unshare --mount --propagation private bash -c \
    'mount -t proc proc \"$1/proc\" && exec chroot \"$@\"' within";

/// Build and check; whether nothing failed.
pub(crate) fn run(paths: &Paths) -> Result<bool> {
    let setup = ["scripts/setup.sh", "deb-tool"].map(str::to_owned);
    let status = progress::command(paths, &setup).status()?;
    ensure!(status.success(), "setup.sh ended with {status}");
    let output = progress::command(paths, &["scripts/deb-tool.sh".to_owned()])
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(
        output.status.success(),
        "deb-tool.sh ended with {}",
        output.status
    );
    let packages: Vec<PathBuf> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(PathBuf::from)
        .collect();
    let [tool, dkms] = [TOOL, DKMS].map(|name| find(&packages, name));
    let (tool, dkms) = (tool?, dkms?);
    let release = command::stdout(&mut shell::function(paths, "debian_release"))?;
    let is_newer = release == "13";

    let mut checks = Checks::new(10)?;
    checks.check("lintian finds no error in the packages", || {
        let mut lintian = Command::new("lintian");
        lintian.args(["--fail-on", "error", "--tag-display-limit", "0"]);
        command::stdout(lintian.args(&packages)).map(drop)
    })?;
    let old = System::new(paths, "bookworm");
    let on_old = |check: &dyn Fn() -> Result<()>| match is_newer {
        true => bail!(Skip(
            "packages that were built on Debian 13 are not for it".to_owned()
        )),
        false => check(),
    };
    checks.check("the tool installs on Debian 12", || {
        on_old(&|| old.make(&[tool]))
    })?;
    checks.check("the tool works on Debian 12", || {
        on_old(&|| old.tool_works())
    })?;
    checks.check("the tool can be removed from Debian 12", || {
        on_old(&|| old.nothing_is_left(&[TOOL]))
    })?;
    let new = System::new(paths, "trixie");
    checks.check(
        "the tool and the modules' sources install on Debian 13",
        || new.make(&[tool, dkms]),
    )?;
    checks.check("the tool works on Debian 13", || new.tool_works())?;
    checks.check("dkms has the modules' sources on Debian 13", || {
        new.dkms_knows()
    })?;
    checks.check(
        "dkms builds and signs the modules for the kernel of backports",
        || new.within(&["bash", "-ec", BUILD_MODULES]).map(drop),
    )?;
    checks.check(
        "if the modules cannot be built for a kernel, the system's log has the reason",
        || new.within(&["bash", "-ec", FAIL_TO_BUILD]).map(drop),
    )?;
    checks.check("both can be removed from Debian 13", || {
        new.nothing_is_left(&[TOOL, DKMS])
    })?;
    checks.end()
}

/// The file of a package.
fn find<'a>(packages: &'a [PathBuf], name: &str) -> Result<&'a Path> {
    let begin = format!("{name}_");
    packages
        .iter()
        .find(|file| {
            file.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(&begin))
        })
        .map(PathBuf::as_path)
        .with_context(|| format!("deb-tool.sh made no package {name}"))
}

/// A fresh system.
struct System<'a> {
    paths: &'a Paths,
    suite: &'a str,
    root: PathBuf,
}

impl<'a> System<'a> {
    fn new(paths: &'a Paths, suite: &'a str) -> Self {
        Self {
            paths,
            suite,
            root: paths.build.join("deb-tool").join(suite),
        }
    }

    /// A log that is in every system.
    fn sample(&self) -> PathBuf {
        self.paths
            .top
            .join("tools/vfio-pci-audit/tests/data/guest.log")
    }

    /// Make it, with packages installed.
    fn make(&self, packages: &[&Path]) -> Result<()> {
        let call = format!(
            "private_apt {0} deb {0} >&2 || exit; mkdir -p \"$BUILD/deb-tool/{0}\"; as_root",
            self.suite
        );
        let mut mmdebstrap = shell::function(self.paths, &call);
        // An index past its date is signed all the same; and nothing in there needs to outlive a
        // power cut.
        mmdebstrap
            .args(["mmdebstrap", "--mode=root", "--variant=minbase"])
            .arg("--aptopt=Acquire::Check-Valid-Until \"false\"")
            .arg("--aptopt=APT::Install-Recommends \"false\"")
            .arg("--dpkgopt=force-unsafe-io");
        let sample = self.sample();
        for file in packages.iter().copied().chain([sample.as_path()]) {
            mmdebstrap.arg(format!("--customize-hook=copy-in {} /root", file.display()));
        }
        mmdebstrap.arg(
            "--customize-hook=export DEBIAN_FRONTEND=noninteractive\n\
             chroot \"$1\" sh -c \"apt-get install --yes /root/*.deb\"",
        );
        let sources = self.paths.build.join("apt").join(self.suite);
        mmdebstrap
            .arg(self.suite)
            .arg(&self.root)
            .arg(sources.join("debian.sources"));
        command::stdout(&mut mmdebstrap).map(drop)
    }

    /// Run something in it; what that prints.
    fn within(&self, words: &[&str]) -> Result<String> {
        let mut chroot = shell::function(self.paths, CHROOT);
        chroot
            .arg(&self.root)
            .args(["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"])
            .args(["HOME=/", "LC_ALL=C.UTF-8"]);
        command::stdout(chroot.args(words))
    }

    fn tool_works(&self) -> Result<()> {
        let sample = self.sample();
        let mut here = Command::new(self.paths.optimised("vfio-pci-audit"));
        let expected = command::stdout(here.args(["report", "--utc"]).arg(&sample))?;
        let said = self.within(&["vfio-pci-audit", "report", "--utc", "/root/guest.log"])?;
        ensure!(said == expected, "the report is another one:\n{said}");
        self.within(&["bash", "-ec", UNITS])?;
        self.within(&["bash", "-ec", PAGES]).map(drop)
    }

    fn dkms_knows(&self) -> Result<()> {
        let status = self.within(&["dkms", "status"])?;
        let is_added = |line: &str| line.starts_with("vfio-pci-audit/") && line.contains(": added");
        ensure!(status.lines().any(is_added), "dkms status: {status}");
        let files = ["modules-load", "modprobe"].map(|kind| format!("/etc/{kind}.d/{TOOL}.conf"));
        self.within(&["ls", &files[0], &files[1]]).map(drop)
    }

    fn nothing_is_left(&self, packages: &[&str]) -> Result<()> {
        self.within(&[&["dpkg", "--purge"], packages].concat())?;
        let folders = ["find", "/etc", "/usr", "/var/cache", "/var/lib/dkms"];
        // There may be no folder of dkms.
        let find = [
            &["sh", "-c", "\"$@\" 2>/dev/null || true", "sh"],
            &folders[..],
        ]
        .concat();
        let left = self.within(&[&find[..], &["-name", "vfio-pci-audit*"]].concat())?;
        ensure!(left.is_empty(), "left: {left}");
        Ok(())
    }
}
