// SPDX-License-Identifier: GPL-2.0

//! The ring buffer that outlives the machine: an instance of the kernel's tracing in reserved
//! memory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context, Result};
use rustix::fs::OFlags;
use rustix::mount::{mount, MountFlags};

use super::pages::Pages;
use super::saved::Ring;

const TRACEFS: &str = "sys/kernel/tracing";
const EVENT: &str = "events/pci_audit/pci_audit_access/enable";
/// The only clock with which the ring outlives the boot, as the kernel says that it is set.
const KEEPING_CLOCK: &str = "[local]";
/// The first kernel with such rings.
const FIRST: (u32, u32) = (6, 12);
/// What reserves one.
pub const PARAMETERS: &str =
    "reserve_mem=4M:4096:pci_audit trace_instance=pci_audit^traceoff@pci_audit";

/// The instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    folder: PathBuf,
}

impl Instance {
    /// Find it: by its name, or the one that outlives the boot. If there is none, the error says
    /// why, as far as that can be found out.
    pub fn find(root: &Path, name: Option<&str>) -> Result<Self> {
        let tracefs = root.join(TRACEFS);
        let instances = tracefs.join("instances");
        if !instances.exists() && root == Path::new("/") {
            // A kernel without tracing has no folder for it.
            let _ = mount("tracefs", &tracefs, "tracefs", MountFlags::empty(), None);
        }
        let entries = match fs::read_dir(&instances) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                bail!("{}: only root may look there", instances.display());
            }
            Err(_) => bail!(
                "this kernel has no tracing, or {} is not mounted",
                tracefs.display()
            ),
        };
        let mut found: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            // Only those in reserved memory have it.
            .filter(|folder| folder.join("last_boot_info").exists())
            .filter(|folder| name.is_none_or(|name| folder.ends_with(name)))
            .collect();
        found.sort();
        match (&found[..], name) {
            ([folder], _) => Ok(Self {
                folder: folder.clone(),
            }),
            ([], Some(name)) if instances.join(name).exists() => {
                bail!(
                    "the instance {name} is not in reserved memory: nothing of it outlives the \
                     boot"
                )
            }
            ([], _) => bail!("{}", why_none(root)),
            (several, _) => {
                let names: Vec<_> = several
                    .iter()
                    .filter_map(|folder| folder.file_name()?.to_str())
                    .collect();
                bail!(
                    "there are several rings: say which one with --instance: {}",
                    names.join(", ")
                )
            }
        }
    }

    /// Where it is.
    pub fn name(&self) -> String {
        self.folder.display().to_string()
    }

    fn text(&self, file: &str) -> Result<String> {
        let path = self.folder.join(file);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.folder.join(file);
        fs::write(&path, text).with_context(|| path.display().to_string())
    }

    /// Whether what it holds is of the boot before.
    pub fn is_of_last_boot(&self) -> Result<bool> {
        Ok(!self.text("last_boot_info")?.starts_with("# Current"))
    }

    /// Read what the kernel prints of it, which leaves it as it is.
    pub fn read(&self) -> Result<Ring> {
        let path = self.folder.join("trace");
        let name = path.display().to_string();
        let file = File::open(&path).with_context(|| name.clone())?;
        Ring::read(name, BufReader::new(file))
    }

    /// Take its pages, which empties it.
    pub fn take(&self) -> Result<Ring> {
        let size = self.page_size();
        let mut pages = Pages::default();
        let folder = self.folder.join("per_cpu");
        let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
        for entry in entries {
            let path = entry?.path().join("trace_pipe_raw");
            take(&path, size, &mut pages).with_context(|| path.display().to_string())?;
        }
        let mut ring = Ring {
            from: self.name(),
            events: pages.events,
            lost: pages.lost,
            ..Ring::default()
        };
        ring.events.sort_by_key(|event| event.ns);
        for why in pages.bad {
            ring.complain(format!(" {why}"));
        }
        if pages.other > 0 {
            ring.complain(format!(
                " {} not of pci_audit_access",
                crate::words::plural(pages.other, "record")
            ));
        }
        Ok(ring)
    }

    fn page_size(&self) -> usize {
        let kib = self.text("buffer_subbuf_size_kb");
        let kib = kib.ok().and_then(|text| text.trim().parse::<usize>().ok());
        kib.filter(|kib| (4..=1024).contains(kib)).unwrap_or(4) << 10
    }

    /// Empty it, and trace accesses.
    pub fn arm(&self) -> Result<()> {
        ensure!(
            self.folder.join(EVENT).exists(),
            "there is no event to trace: load the module first (modprobe pci_audit)"
        );
        self.write("tracing_on", "0")?;
        // With any other clock, the kernel empties the ring at the next boot: it takes the clock of
        // the boot before, and to set a clock is to erase (setup_trace_scratch() of Linux 7.3).
        if !self.text("trace_clock")?.contains(KEEPING_CLOCK) {
            self.write("trace_clock", "local")?;
        }
        self.write("trace", "\n")?;
        self.write(EVENT, "1")?;
        self.write("tracing_on", "1")
    }
}

/// Read pages until there is none.
fn take(path: &Path, size: usize, pages: &mut Pages) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits() as i32)
        .open(path)?;
    let mut page = vec![0; size];
    loop {
        match file.read(&mut page) {
            Ok(0) => return Ok(()),
            Ok(read) => pages.page(&page[..read]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Why there is no ring.
fn why_none(root: &Path) -> String {
    let read = |file: &str| fs::read_to_string(root.join(file)).unwrap_or_default();
    let release = read("proc/sys/kernel/osrelease");
    let release = release.trim();
    if version(release).is_some_and(|version| version < FIRST) {
        return format!(
            "this kernel is {release}: no trace of it outlives the boot, which takes {}.{} or \
             later",
            FIRST.0, FIRST.1
        );
    }
    let line = read("proc/cmdline");
    let has = |parameter: &str| {
        line.split_whitespace()
            .any(|word| word.starts_with(parameter))
    };
    if has("trace_instance=") {
        return "the kernel's command line has trace_instance=, and there is no such ring: see \
                what the kernel's log says of reserve_mem and of ring buffers"
            .to_owned();
    }
    format!("no ring is reserved: boot with {PARAMETERS}")
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut next = || numbers.next()?.parse().ok();
    Some((next()?, next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn error(root: &Path, name: Option<&str>) -> String {
        format!("{:#}", Instance::find(root, name).unwrap_err())
    }

    #[test]
    fn what_is_missing_is_said() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        assert!(error(root, None).contains("no tracing"));
        fs::create_dir_all(root.join("sys/kernel/tracing/instances")).unwrap();
        write(&root.join("proc/sys/kernel/osrelease"), "6.1.0-40-amd64\n");
        assert!(error(root, None).contains("this kernel is 6.1.0-40-amd64"));
        write(
            &root.join("proc/sys/kernel/osrelease"),
            "7.3.4+deb13-amd64\n",
        );
        write(&root.join("proc/cmdline"), "quiet\n");
        assert!(error(root, None).contains(PARAMETERS));
        write(
            &root.join("proc/cmdline"),
            "quiet trace_instance=x^traceoff@x\n",
        );
        assert!(error(root, None).contains("has trace_instance="));
        fs::create_dir_all(root.join("sys/kernel/tracing/instances/plain")).unwrap();
        assert!(error(root, Some("plain")).contains("not in reserved memory"));
        for name in ["one", "two"] {
            let folder = root.join("sys/kernel/tracing/instances").join(name);
            write(
                &folder.join("last_boot_info"),
                "ffffffff81000000\t[kernel]\n",
            );
        }
        assert!(error(root, None).contains("--instance: one, two"));
        assert!(Instance::find(root, Some("two"))
            .unwrap()
            .is_of_last_boot()
            .unwrap());
    }

    #[test]
    fn a_ring_of_this_boot_is_not_of_the_last() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("sys/kernel/tracing/instances/pci_audit");
        write(&folder.join("last_boot_info"), "# Current\n");
        write(&folder.join("trace"), "# tracer: nop\n");
        let instance = Instance::find(root.path(), None).unwrap();
        assert!(!instance.is_of_last_boot().unwrap());
        assert!(instance.read().unwrap().is_empty());
        let error = format!("{:#}", instance.arm().unwrap_err());
        assert!(error.contains("modprobe pci_audit"), "{error}");
    }
}
