// SPDX-License-Identifier: GPL-2.0

//! Packages of Debian 13 and its backports, fetched without touching the system's own
//! configuration. What is installed is taken as it is: the mirror may be away.

use std::cell::OnceCell;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command;
use crate::kernels::Release;
use crate::paths::Paths;
use crate::progress::{self, Step};

/// Prints the options that make apt read these suites alone.
const PRIVATE_APT: &str = ". scripts/lib.sh
private_apt stock deb trixie trixie-backports ||
    die \"no Debian mirror in the system's apt sources\"
printf '%s\\n' \"${apt_private[@]}\"";

/// What the mirror has.
pub(super) struct Debian<'a> {
    paths: &'a Paths,
    options: OnceCell<Vec<String>>,
}

impl<'a> Debian<'a> {
    pub(super) fn new(paths: &'a Paths) -> Self {
        Self {
            paths,
            options: OnceCell::new(),
        }
    }

    /// The version of a package that is installed, or that is being configured: dkms calls while
    /// the package of a kernel's headers is.
    pub(super) fn installed(&self, package: &str) -> Option<String> {
        let format = "--showformat=${db:Status-Status} ${Version}";
        let mut query = Command::new("dpkg-query");
        let said = command::stdout(query.args(["--show", format, package])).ok()?;
        let (status, version) = said.split_once(' ')?;
        let unpacked = ["installed", "half-configured"].contains(&status);
        (unpacked || status.starts_with("triggers-")).then(|| version.to_owned())
    }

    /// Kernels that there are headers of, in order.
    pub(super) fn releases(&self) -> Result<Vec<Release>> {
        let names = self.cache(&["pkgnames", "linux-headers-"])?;
        let mut releases: Vec<Release> = names
            .lines()
            .filter_map(|name| name.strip_prefix("linux-headers-")?.parse().ok())
            .collect();
        releases.sort();
        Ok(releases)
    }

    /// The versions of a package that a suite has, the newest first.
    pub(super) fn versions(&self, package: &str, suite: &str) -> Result<Vec<String>> {
        Ok(versions(&self.cache(&["madison", package])?, suite))
    }

    /// Fetches a package, which apt checks against the signed index, and unpacks it.
    pub(super) fn unpack(&self, package: &str, version: &str, to: &Path) -> Result<()> {
        let folder = tempfile::tempdir_in(&self.paths.build)?;
        let script = "cd \"$0\" && exec apt-get \"$@\"";
        let place = folder.path().display().to_string();
        let exact = format!("{package}={version}");
        let mut words = vec!["bash", "-c", script, &place];
        words.extend(self.options()?.iter().map(String::as_str));
        words.extend(["-o", "APT::Sandbox::User=root", "download", &exact]);
        let what = format!("downloading {package} {version}");
        progress::run(self.paths, &[Step::new("stock-download", &what, &words)]).with_context(
            || {
                format!(
                    "{package} {version} is in the index and cannot be downloaded: if Debian has \
                     removed it, upgrade to the newest kernel of backports"
                )
            },
        )?;
        let file = fs::read_dir(folder.path())?
            .next()
            .context("apt-get downloaded nothing")??;
        fs::create_dir_all(to)?;
        command::stdout(Command::new("dpkg-deb").arg("-x").arg(file.path()).arg(to)).map(drop)
    }

    fn cache(&self, words: &[&str]) -> Result<String> {
        command::stdout(Command::new("apt-cache").args(self.options()?).args(words))
    }

    /// The options of apt; its index is read with the first use.
    fn options(&self) -> Result<&[String]> {
        if let Some(options) = self.options.get() {
            return Ok(options);
        }
        let words = ["bash", "-c", PRIVATE_APT].map(str::to_owned);
        let said = command::stdout(&mut progress::command(self.paths, &words))?;
        let options: Vec<String> = said.lines().map(str::to_owned).collect();
        let mut words = vec!["apt-get"];
        words.extend(options.iter().map(String::as_str));
        words.push("update");
        let what = "reading the index of trixie-backports";
        progress::run(self.paths, &[Step::new("stock-index", what, &words)])?;
        Ok(self.options.get_or_init(|| options))
    }
}

/// The versions in what apt-cache madison says of one package.
fn versions(said: &str, suite: &str) -> Vec<String> {
    let place = format!(" {suite}/main ");
    said.lines()
        .filter(|line| line.contains(&place))
        .filter_map(|line| line.split('|').nth(1))
        .map(|version| version.trim().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_a_suite() {
        let said =
            " rustc | 1.96.1-2~bpo13+1 | http://m/debian trixie-backports/main amd64 Packages
                     rustc | 1.85.1-1 | http://m/debian trixie/main amd64 Packages\n";
        assert_eq!(versions(said, "trixie"), ["1.85.1-1"]);
        assert_eq!(versions(said, "trixie-backports"), ["1.96.1-2~bpo13+1"]);
        assert!(versions("", "trixie").is_empty());
    }
}
