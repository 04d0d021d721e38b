// SPDX-License-Identifier: GPL-2.0

//! How a kernel can block: it has the module already, takes it with a livepatch, or cannot.

use std::path::Path;

use serde::Serialize;

use crate::origin::Origin;
use crate::status::{configured, version, Status};

/// What a kernel that is not rebuilt needs for the livepatch, as the top-level `Kconfig` says.
const NEEDED: [&str; 5] = [
    "CONFIG_AUDIT=y",
    "CONFIG_KPROBES=y",
    "CONFIG_LIVEPATCH=y",
    "CONFIG_RUST=y",
    "CONFIG_VFIO_PCI_CORE=m",
];

/// The first version of Linux that the modules compile on.
const FIRST: (u32, u32) = (7, 2);

/// The way to blocking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "way")]
pub enum Way {
    /// The module is loaded.
    Loaded,
    /// The kernel was built with the patch series: the module comes with VFIO.
    Series,
    /// The kernel takes the livepatch.
    Livepatch,
    /// There is none.
    Neither {
        /// What the kernel lacks.
        lacks: Vec<String>,
    },
    /// The kernel's configuration cannot be found.
    Unknown,
}

/// The way that a machine's kernel offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Blocking {
    /// Its release.
    pub kernel: String,
    /// The way.
    #[serde(flatten)]
    pub way: Way,
}

impl Blocking {
    /// Look at the machine whose files are under `root`.
    pub fn look(root: &Path) -> Self {
        let status = Status::look(root);
        let way = match (status.is_there(), status.option) {
            (true, _) => Way::Loaded,
            (false, Some(true)) => Way::Series,
            (false, Some(false)) => stock(root, &status.kernel),
            (false, None) => Way::Unknown,
        };
        Self {
            kernel: status.kernel,
            way,
        }
    }

    /// As [`Blocking::look`], if there is a kernel.
    pub fn find(root: &Path) -> Option<Self> {
        Some(Self::look(root)).filter(|blocking| !blocking.kernel.is_empty())
    }

    /// The text; empty where there is nothing to do first.
    pub fn text(&self) -> String {
        let kernel = &self.kernel;
        match &self.way {
            Way::Loaded => String::new(),
            Way::Series => format!(
                "This machine's kernel, {kernel}, was built with the patch series: its module \
                 comes with VFIO (modprobe vfio-pci).\n"
            ),
            Way::Livepatch => format!(
                "This machine's kernel, {kernel}, can load the module with a livepatch, without a \
                 reboot: \"make stock\" in the source of this program builds them.\n"
            ),
            Way::Neither { lacks } => format!(
                "This machine's kernel, {kernel}, cannot block: it lacks {}. Boot Linux {}.{} or \
                 later with Rust, such as Debian's kernel of backports, for the livepatch (\"make \
                 stock\"), or build a kernel with the patch series (\"make deb\").\n",
                lacks.join(", "),
                FIRST.0,
                FIRST.1
            ),
            Way::Unknown if kernel.is_empty() => String::new(),
            Way::Unknown => format!(
                "Whether this machine's kernel, {kernel}, can block is unknown: its configuration \
                 was not found.\n"
            ),
        }
    }
}

fn stock(root: &Path, kernel: &str) -> Way {
    let mut lacks = Vec::new();
    if version(kernel).is_some_and(|version| version < FIRST) {
        lacks.push(format!("the Rust code of Linux {}.{}", FIRST.0, FIRST.1));
    }
    for option in NEEDED {
        if configured(root, kernel, option).is_some_and(|(yes, _)| !yes) {
            lacks.push(option.to_owned());
        }
    }
    if configured(root, kernel, "CONFIG_PREEMPT_RT=y").is_some_and(|(yes, _)| yes) {
        lacks.push("CONFIG_PREEMPT_RT=n".to_owned());
    }
    match lacks.is_empty() {
        true => Way::Livepatch,
        false => Way::Neither { lacks },
    }
}

/// Something with the way to blocking, for JSON.
#[derive(Debug, Serialize)]
pub struct WithBlocking<'a, T> {
    /// The thing.
    #[serde(flatten)]
    pub advice: &'a T,
    /// The way, where the logs are of this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocking: Option<Blocking>,
}

/// Add the way to a text, as far as logs of this origin are of this machine.
pub fn append(text: &mut String, root: &Path, origin: &Origin) {
    let mut ways = String::new();
    if origin.here {
        ways += &Blocking::look(root).text();
    }
    for (machine, kernel) in &origin.elsewhere {
        let kernel = kernel
            .as_ref()
            .map_or(String::new(), |kernel| format!(", {kernel}"));
        ways += &format!(
            "Whether {machine} can block depends on its kernel{kernel}: run this there.\n"
        );
    }
    if origin.unsaid {
        ways += "Whether the machine of these logs can block depends on its kernel, which they do \
                 not name: run this there, without naming a log.\n";
    }
    if !ways.is_empty() {
        text.push('\n');
        text.push_str(&ways);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn look(release: &str, config: &str, loaded: bool) -> Blocking {
        let root = tempfile::tempdir().unwrap();
        let folder = |folder: &str| {
            let folder = root.path().join(folder);
            fs::create_dir_all(&folder).unwrap();
            folder
        };
        fs::write(folder("proc/sys/kernel").join("osrelease"), release).unwrap();
        if !config.is_empty() {
            fs::write(folder("boot").join(format!("config-{release}")), config).unwrap();
        }
        if loaded {
            folder("sys/module/vfio_pci_audit/parameters");
        }
        Blocking::look(root.path())
    }

    #[test]
    fn each_kernel_has_its_way() {
        let all = NEEDED.join("\n");
        assert_eq!(look("7.3.4", &all, true).way, Way::Loaded);
        assert_eq!(look("7.3.4", &all, false).way, Way::Livepatch);
        let series = format!("{all}\nCONFIG_VFIO_PCI_UNASSIGNED_ACCESS_AUDIT=y\n");
        assert_eq!(look("7.3.4", &series, false).way, Way::Series);
        assert_eq!(look("7.3.4", "", false).way, Way::Unknown);
        let no_rust = all.replace("CONFIG_RUST=y", "# CONFIG_RUST is not set");
        let neither = look("6.12.117+deb13-amd64", &no_rust, false);
        let lacks = ["the Rust code of Linux 7.2", "CONFIG_RUST=y"].map(str::to_owned);
        assert_eq!(
            neither.way,
            Way::Neither {
                lacks: lacks.to_vec()
            }
        );
        assert!(neither
            .text()
            .starts_with("This machine's kernel, 6.12.117+deb13-amd64, cannot block: "));
        let older = look("7.1.9", &all, false).way;
        assert!(matches!(older, Way::Neither { lacks } if lacks.len() == 1));
        assert_eq!(look("7.2.12", &all, false).way, Way::Livepatch);
    }

    #[test]
    fn only_this_machines_kernel_is_looked_at() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("proc/sys/kernel");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("osrelease"), "6.12.117\n").unwrap();
        let said = |origin: Origin| {
            let mut text = String::new();
            append(&mut text, root.path(), &origin);
            text
        };
        let here = said(Origin {
            here: true,
            ..Origin::default()
        });
        assert!(here.contains("this machine's kernel, 6.12.117"), "{here}");
        let elsewhere = said(Origin {
            elsewhere: [("other".to_owned(), Some("6.1.0".to_owned()))].into(),
            ..Origin::default()
        });
        assert_eq!(
            elsewhere,
            "\nWhether other can block depends on its kernel, 6.1.0: run this there.\n"
        );
        let unsaid = said(Origin {
            unsaid: true,
            ..Origin::default()
        });
        assert!(
            !unsaid.contains("6.12.117") && unsaid.contains("do not name"),
            "{unsaid}"
        );
    }

    #[test]
    fn what_is_needed_is_what_kconfig_says() {
        let kconfig = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Kconfig"));
        let kconfig = kconfig.unwrap();
        let words = kconfig.split(|end: char| !(end.is_ascii_alphanumeric() || "_=".contains(end)));
        let mut options: Vec<&str> = words
            .filter(|word| {
                word.starts_with("CONFIG_") && (word.ends_with("=y") || word.ends_with("=m"))
            })
            .collect();
        options.sort_unstable();
        options.dedup();
        assert_eq!(options, NEEDED);
    }
}
