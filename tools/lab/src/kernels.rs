// SPDX-License-Identifier: GPL-2.0

//! Versions of Linux and names of Debian's kernels, and which of them are refused by that alone.

use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use anyhow::{bail, Context, Result};

use crate::paths::is_set;

/// The oldest and the newest version that the sources are compiled on. The `kernel` crate promises
/// nothing from one version to the next.
const COMPILED: [(u32, u32); 2] = [(7, 2), (7, 3)];

/// The first version whose `pci::Driver` is the one that the Rust sample implements.
const RUST_SAMPLE: (u32, u32) = (7, 3);

/// The variable of the environment that has a version tried that nothing was compiled on.
pub const UNTRIED: &str = "UNTRIED";

/// A version of Linux.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

impl Version {
    /// The version of a kernel tree, by its Makefile.
    pub fn of_tree(tree: &Path) -> Result<Self> {
        let file = tree.join("Makefile");
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let number = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('='))
                .and_then(|value| value.trim().parse().ok())
                .with_context(|| format!("{} has no {name}", file.display()))
        };
        Ok(Self {
            major: number("VERSION")?,
            minor: number("PATCHLEVEL")?,
            patch: number("SUBLEVEL")?,
        })
    }

    /// Major and minor number, as in the name of the package with its source.
    pub fn series(&self) -> String {
        format!("{}.{}", self.major, self.minor)
    }

    /// Why nothing is to be built for it, if that is so; UNTRIED=1 overrides it.
    pub fn refusal(&self) -> Option<String> {
        (!is_set(UNTRIED)).then(|| self.not_compiled()).flatten()
    }

    fn not_compiled(&self) -> Option<String> {
        let [oldest, newest] = COMPILED;
        let name = |(major, minor)| format!("{major}.{minor}");
        let here = (self.major, self.minor);
        if here < oldest {
            Some(format!(
                "Linux {self} is older than {}, and its kernel crate lacks what the sources use",
                name(oldest)
            ))
        } else if here > newest {
            Some(format!(
                "Linux {self} is newer than {}, the newest that the sources were compiled on: take \
                 a newer version of them, or try it with {UNTRIED}=1",
                name(newest)
            ))
        } else {
            None
        }
    }

    /// Whether the Rust sample compiles on it.
    pub fn has_rust_sample(&self) -> bool {
        (self.major, self.minor) >= RUST_SAMPLE
    }
}

impl FromStr for Version {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers = text
            .split('.')
            .map(str::parse)
            .collect::<Result<Vec<u32>, _>>();
        match numbers.as_deref() {
            Ok(&[major, minor]) => Ok(Self {
                major,
                minor,
                patch: 0,
            }),
            Ok(&[major, minor, patch]) => Ok(Self {
                major,
                minor,
                patch,
            }),
            _ => bail!("{text:?} is not a version of Linux"),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// A kernel of Debian 13 or its backports for amd64, as `uname -r` has it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Release {
    /// The version of Linux.
    pub version: Version,
    /// What is configured differently: nothing, "cloud" or "rt".
    flavour: String,
    name: String,
}

impl Release {
    /// Why nothing is to be built for it, as far as its name tells.
    pub fn refusal(&self) -> Option<String> {
        if self.flavour == "rt" {
            return Some(
                "it has PREEMPT_RT, where the livepatch's probe must not sleep: it has to be \
                 rebuilt with the patch series"
                    .to_owned(),
            );
        }
        self.version.refusal()
    }

    /// Whether it is one of the flavour that most machines run.
    pub fn is_plain(&self) -> bool {
        self.flavour.is_empty()
    }
}

impl FromStr for Release {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = || {
            let (version, rest) = text.split_once("+deb13-")?;
            let flavour = match rest.strip_suffix("amd64")? {
                "" => "",
                other => other.strip_suffix('-')?,
            };
            matches!(flavour, "" | "cloud" | "rt").then_some((version.parse().ok()?, flavour))
        };
        let (version, flavour) = parts().with_context(|| {
            format!(
                "{text:?} is not a kernel of Debian 13 or its backports for amd64: name it as \
                 uname -r prints it, such as 7.3.4+deb13-amd64"
            )
        })?;
        Ok(Self {
            version,
            flavour: flavour.to_owned(),
            name: text.to_owned(),
        })
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(version: &str) -> bool {
        version.parse::<Version>().unwrap().not_compiled().is_some()
    }

    #[test]
    fn versions_that_are_compiled_on() {
        assert!(!refused("7.2.0") && !refused("7.2.12") && !refused("7.3.99"));
        assert!(refused("6.12.107") && refused("7.1.13") && refused("7.4.0") && refused("8.0.0"));
        assert!("7".parse::<Version>().is_err() && "7.x".parse::<Version>().is_err());
    }

    #[test]
    fn the_version_of_a_tree() {
        let tree = tempfile::tempdir().unwrap();
        let makefile = tree.path().join("Makefile");
        fs::write(
            &makefile,
            "VERSION = 7\nPATCHLEVEL = 2\nSUBLEVEL = 12\nNAME = X\n",
        )
        .unwrap();
        assert_eq!(Version::of_tree(tree.path()).unwrap().to_string(), "7.2.12");
        fs::write(&makefile, "VERSION = 7\n").unwrap();
        let error = Version::of_tree(tree.path()).unwrap_err().to_string();
        assert!(error.ends_with("has no PATCHLEVEL"), "{error}");
    }

    #[test]
    fn names_of_releases() {
        let release = |text: &str| text.parse::<Release>();
        assert!(release("7.3.4+deb13-amd64").unwrap().is_plain());
        assert!(!release("7.3.4+deb13-cloud-amd64").unwrap().is_plain());
        let real_time = release("7.3.4+deb13-rt-amd64").unwrap().refusal();
        assert!(real_time.is_some_and(|why| why.contains("PREEMPT_RT")));
        for text in [
            "7.3.4",
            "7.3.4+deb13-arm64",
            "7.3.4+deb12-amd64",
            "../+deb13-amd64",
            "",
        ] {
            assert!(release(text).is_err(), "{text}");
        }
    }

    #[test]
    fn releases_in_order() {
        let release = |text: &str| text.parse::<Release>().unwrap();
        assert!(release("7.2.12+deb13-amd64") > release("7.2.9+deb13-amd64"));
    }
}
