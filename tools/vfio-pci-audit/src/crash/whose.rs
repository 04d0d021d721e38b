// SPDX-License-Identifier: GPL-2.0

//! Whether what is named is of the machine on which this runs. If not, neither the devices nor the
//! logs of this machine have anything to do with it.

use std::path::{Path, PathBuf};

use super::keeper;
use super::saved::has_saved;
use crate::cli_crash::FOLDER;
use crate::origin::Origin;

/// What is named.
pub struct Named<'a> {
    /// The accesses of a boot.
    pub traces: &'a [PathBuf],
    /// The folder of saved boots.
    pub folder: &'a Path,
    /// What audit logs are of, if some are named.
    pub logs: Option<&'a Origin>,
}

impl Named<'_> {
    /// Why it is taken to be of another machine than the one whose files are under `root`; nothing
    /// if it is of that one.
    pub fn elsewhere(&self, root: &Path) -> Option<String> {
        if let Some(logs) = self.logs {
            if let Some(other) = logs.elsewhere.keys().next() {
                return Some(format!("the audit log is of {other}"));
            }
            if logs.here {
                return None;
            }
        }
        let mut traces = self.traces.iter();
        if let Some(trace) = traces.find(|trace| !is_own(trace, root)) {
            return Some(format!(
                "{} is not in {FOLDER}, and no audit log of this one is named",
                trace.display()
            ));
        }
        // What does not say where it is of goes with this machine's own accesses.
        let keeps = || keeper::ensure_kept(root).is_ok();
        let is_own = match self.folder.is_dir() && !is_own(self.folder, root) {
            true => keeps(),
            false => self.logs.is_none() || has_saved(&own_folder(root)) || keeps(),
        };
        (!is_own).then(|| "this one has no accesses of its own".to_owned())
    }
}

fn own_folder(root: &Path) -> PathBuf {
    root.join(FOLDER.trim_start_matches('/'))
}

/// Whether the machine saved a file, or its kernel shows it.
pub fn is_own(file: &Path, root: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let file = real(file);
    [own_folder(root), root.join("sys")]
        .iter()
        .any(|own| file.starts_with(real(own)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_this_machine_did_not_save_is_of_another() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let put = |file: &str| {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            path
        };
        let own = put("var/lib/vfio-pci-audit/boot-4.trace");
        let copy = put("home/copy/boot-4.trace");
        let folders = [&own, &copy].map(|file| file.parent().unwrap());
        let (of_this, unsaid) = (
            Origin {
                here: true,
                ..Origin::default()
            },
            Origin {
                unsaid: true,
                ..Origin::default()
            },
        );
        let of_other = Origin {
            elsewhere: [("other".to_owned(), None)].into(),
            ..Origin::default()
        };
        let is_elsewhere = |traces: &[&PathBuf], folder: &Path, logs: Option<&Origin>| {
            let traces: Vec<PathBuf> = traces.iter().map(|trace| (*trace).clone()).collect();
            let named = Named {
                traces: &traces,
                folder,
                logs,
            };
            named.elsewhere(root).is_some()
        };
        let standard = PathBuf::from("-");
        for (traces, folder, logs, expected) in [
            (&[][..], folders[0], None, false),
            (&[], Path::new("/nowhere"), None, false),
            (&[&own], folders[0], None, false),
            (&[&own, &copy], folders[0], None, true),
            (&[&standard], folders[0], None, true),
            (&[&copy], folders[0], Some(&of_this), false),
            (&[&own], folders[0], Some(&of_other), true),
            (&[], folders[1], None, true),
            (&[], folders[0], Some(&unsaid), false),
        ] {
            let found = is_elsewhere(traces, folder, logs);
            assert_eq!(found, expected, "{traces:?} {folder:?} {logs:?}");
        }
        fs::remove_file(&own).unwrap();
        assert!(is_elsewhere(&[], folders[0], Some(&unsaid)));
        // This machine has accesses: it may be looked at from within.
        put("sys/kernel/debug/pci_audit/this_boot");
        assert!(!is_elsewhere(&[], folders[0], Some(&unsaid)));
        assert!(!is_elsewhere(&[], folders[1], None));
        assert!(is_elsewhere(&[&copy], folders[0], Some(&unsaid)));
    }
}
