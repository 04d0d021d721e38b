// SPDX-License-Identifier: GPL-2.0

//! The modules for a kernel of Debian's as it is.
//!
//! Debian's headers come without the Rust crates, which are built here from Debian's source, with
//! its configuration and compilers. Whatever would not fit is refused before.
//!
//! - [`debian`] fetches packages.
//! - [`headers`]: what a kernel's headers tell.
//! - [`build`]: what is built, once nothing speaks against it.
//! - [`crates`]: whether what was built is what the kernel has.

mod build;
mod crates;
mod debian;
mod headers;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{anyhow, ensure, Context, Result};

use crate::fits::{self, Answer, Exports};
use crate::graft::Tree;
use crate::kernels::Release;
use crate::paths::{given, Paths};
use crate::progress::{self, Step};
use debian::Debian;

/// The option of the sample that takes the newest kernels.
const RUST_SAMPLE: &str = "CONFIG_SAMPLE_PCI_AUDIT_RUST=m";

/// A kernel that was found, and is refused by nothing that its packages tell.
struct Kernel<'a> {
    paths: &'a Paths,
    debian: Debian<'a>,
    release: Release,
    /// The version of its packages.
    version: String,
    /// Where everything about it is.
    folder: PathBuf,
    /// Its headers, installed or unpacked.
    headers: PathBuf,
}

/// Builds the modules; with `image`, also what a VM takes to boot the kernel. Returns the folder.
pub fn build(paths: &Paths, release: Option<&str>, image: bool) -> Result<PathBuf> {
    let kernel = Kernel::find(paths, release)?;
    kernel
        .build(image)
        .with_context(|| refused(&kernel.release))?;
    Ok(kernel.folder)
}

/// Whether series and livepatch fit a kernel; nothing is built.
pub fn fits(paths: &Paths, release: &str) -> Result<Answer> {
    let parsed: Release = release.parse()?;
    let (series, livepatch) = match Kernel::find(paths, Some(release)) {
        Ok(kernel) => (kernel.takes_series(), kernel.takes_livepatch()),
        Err(error) => {
            let why = parsed.version.refusal().unwrap_or_else(|| {
                "its source was not examined: name a tree with KDIR=".to_owned()
            });
            (Err(anyhow!("{why}")), Err(error))
        }
    };
    Ok(Answer {
        notes: Answer::notes(parsed.version),
        name: format!("Debian's {parsed}"),
        series,
        livepatch,
    })
}

fn refused(release: &Release) -> String {
    format!("kernel {release}")
}

impl<'a> Kernel<'a> {
    /// Finds the packages of a kernel, the running one or the newest unless it is named, and asks
    /// its headers.
    fn find(paths: &'a Paths, release: Option<&str>) -> Result<Self> {
        let debian = Debian::new(paths);
        let release = choose(&debian, release)?;
        if let Some(why) = release.refusal() {
            return Err(anyhow!("{why}").context(refused(&release)));
        }
        Self::with(paths, debian, release.clone()).with_context(|| refused(&release))
    }

    fn with(paths: &'a Paths, debian: Debian<'a>, release: Release) -> Result<Self> {
        let folder = paths.build.join("stock").join(release.to_string());
        let package = format!("linux-headers-{release}");
        let installed = debian.installed(&package);
        let version = match installed.clone().or_else(|| prepared(&folder)) {
            Some(version) => version,
            None => in_index(&debian, &package)?,
        };
        let kernel = Self {
            headers: match installed {
                Some(_) => PathBuf::from("/usr/src").join(&package),
                None => folder.join("headers/usr/src").join(&package),
            },
            paths,
            debian,
            release,
            version,
            folder,
        };
        kernel.find_source()?;
        if !kernel.headers.starts_with("/usr/src") {
            kernel.unpack(&package, "headers")?;
        }
        kernel.ask_headers()?;
        Ok(kernel)
    }

    fn source_package(&self) -> String {
        format!("linux-source-{}", self.release.version.series())
    }

    fn has_source_installed(&self) -> bool {
        self.debian.installed(&self.source_package()).as_ref() == Some(&self.version)
    }

    /// Refuse a kernel whose very source is nowhere.
    fn find_source(&self) -> Result<()> {
        let present = self.folder.join(".source").exists() || prepared(&self.folder).is_some();
        if present || self.has_source_installed() {
            return Ok(());
        }
        let package = self.source_package();
        let versions = self.debian.versions(&package, "trixie-backports")?;
        ensure!(
            versions.contains(&self.version),
            "it is of {}, and the mirror has {package} of {} only: upgrade to the newest kernel of \
             backports, and build for that",
            self.version,
            match versions.is_empty() {
                true => "no version".to_owned(),
                false => versions.join(", "),
            }
        );
        Ok(())
    }

    /// What Kconfig says of the options a kernel needs, what it exports, and its compiler.
    fn ask_headers(&self) -> Result<()> {
        let config = headers::Config::read(&self.headers)?;
        let kconfig = self.paths.top.join("Kconfig");
        let kconfig =
            fs::read_to_string(&kconfig).with_context(|| kconfig.display().to_string())?;
        config.check(&kconfig)?;
        headers::check_exports(&self.exports()?)?;
        if prepared(&self.folder).is_some() {
            return Ok(());
        }
        // Without an index, the symbols of the crates tell the same later.
        let (Some(built), Ok(versions)) = (config.rustc(), self.debian.versions("rustc", "trixie"))
        else {
            return Ok(());
        };
        ensure!(
            versions.iter().any(|version| version.starts_with(&built)),
            "it was built with rustc {built}, and Debian 13 has {}: no Rust symbol would have the \
             kernel's name",
            versions.join(", ")
        );
        Ok(())
    }

    fn exports(&self) -> Result<Exports> {
        Exports::of_build(&self.headers)
    }

    /// Debian's source of this kernel.
    fn source(&self) -> PathBuf {
        self.folder.join("source")
    }

    /// Fetch and unpack a package into a folder of this kernel's, once.
    fn unpack(&self, package: &str, folder: &str) -> Result<()> {
        let note = self.folder.join(format!(".{package}"));
        if note.exists() {
            return Ok(());
        }
        let to = self.folder.join(folder);
        self.debian.unpack(package, &self.version, &to)?;
        fs::write(&note, "").with_context(|| note.display().to_string())
    }

    /// Unpack the source, but for what no module is built from.
    fn unpack_source(&self) -> Result<()> {
        let source = self.source();
        let note = self.folder.join(".source");
        if note.exists() {
            return Ok(());
        }
        let package = self.source_package();
        let tarball = format!("usr/src/{package}.tar.xz");
        let unpacked = self.folder.join("package");
        let tarball = if self.has_source_installed() {
            Path::new("/").join(tarball)
        } else {
            self.unpack(&package, "package")?;
            unpacked.join(tarball)
        };
        let _ = fs::remove_dir_all(&source);
        fs::create_dir_all(&source)?;
        let (from, to) = (tarball.display().to_string(), source.display().to_string());
        let mut words = vec!["tar", "-xf", &from, "-C", &to, "--strip-components=1"];
        words.extend(["--wildcards"]);
        words.extend(NOT_UNPACKED);
        self.step("unpack", "unpacking its source", &words)?;
        if unpacked.exists() {
            fs::remove_dir_all(&unpacked)?;
            fs::remove_file(self.folder.join(format!(".{package}")))?;
        }
        fs::write(&note, "").with_context(|| note.display().to_string())
    }

    fn takes_series(&self) -> Result<()> {
        self.unpack_source()?;
        let tree = Tree::open(&self.source())?;
        fits::series(self.paths, &tree, tree.version()?)
    }

    fn takes_livepatch(&self) -> Result<()> {
        self.unpack_source()?;
        fits::livepatch(self.paths, &self.source(), &self.headers, &self.exports()?)
    }

    fn step(&self, name: &str, what: &str, words: &[&str]) -> Result<()> {
        let step = Step::new(
            &format!("stock-{name}"),
            &format!("{}: {what}", self.release),
            words,
        );
        progress::run(self.paths, &[step])
    }
}

/// What no module is built from, and the patches do not change.
const NOT_UNPACKED: [&str; 5] = [
    "--exclude=*/drivers/gpu/drm/*.[ch]",
    "--exclude=*/drivers/net/*.[ch]",
    "--exclude=*/drivers/media/*.[ch]",
    "--exclude=*/sound/*.[ch]",
    "--exclude=*/arch/*/boot/dts/*",
];

/// The version that a folder was prepared for.
fn prepared(folder: &Path) -> Option<String> {
    let text = fs::read_to_string(folder.join(build::PREPARED)).ok()?;
    Some(text.trim().to_owned())
}

/// The version of a package of backports.
fn in_index(debian: &Debian<'_>, package: &str) -> Result<String> {
    let mut versions = debian.versions(package, "trixie-backports")?.into_iter();
    match versions.next() {
        Some(version) => Ok(version),
        None => {
            let others: Vec<_> = candidates(debian)?.map(|other| other.to_string()).collect();
            Err(anyhow!(
                "Debian 13's backports do not have it, or not any more: choose one of these with \
                 RELEASE=: {}",
                others.join(" ")
            ))
        }
    }
}

/// Kernels that nothing speaks against by their names.
fn candidates(debian: &Debian<'_>) -> Result<impl DoubleEndedIterator<Item = Release>> {
    let releases = debian.releases()?.into_iter();
    Ok(releases.filter(|release| release.refusal().is_none()))
}

/// The kernel that is asked for, the running one if it is one of Debian 13's with its headers, or
/// the newest.
fn choose(debian: &Debian<'_>, release: Option<&str>) -> Result<Release> {
    let named = release
        .map(str::to_owned)
        .or_else(|| given("RELEASE").map(|release| release.to_string_lossy().into_owned()));
    if let Some(release) = named {
        return release.parse();
    }
    let running = rustix::system::uname();
    let running = running.release().to_string_lossy().parse::<Release>();
    if let Ok(running) = running {
        let package = format!("linux-headers-{running}");
        let installed = debian.installed(&package).is_some();
        if running.refusal().is_none() && (installed || in_index(debian, &package).is_ok()) {
            return Ok(running);
        }
    }
    candidates(debian)?
        .rfind(Release::is_plain)
        .context("Debian 13's backports have no kernel that the sources were compiled on")
}
