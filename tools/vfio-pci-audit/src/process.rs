// SPDX-License-Identifier: GPL-2.0

//! Which processes of this machine have a device open, and which virtual machines they are.

use std::fs;
use std::path::{Path, PathBuf};

use pci_config::Bdf;

use crate::printable::printable;
use crate::record::number;
use crate::vms::Vm;

/// A process, by its folder in /proc.
pub struct Process {
    folder: PathBuf,
    pid: u64,
}

impl Process {
    /// The process with this number, on the machine whose files are under `root`; nothing if it has
    /// ended.
    pub fn new(root: &Path, pid: u64) -> Option<Self> {
        let folder = root.join(format!("proc/{pid}"));
        folder.is_dir().then_some(Self { folder, pid })
    }

    /// Its number.
    pub fn pid(&self) -> u64 {
        self.pid
    }

    /// The name of its program, as far as this user may know it.
    pub fn program(&self) -> Option<String> {
        let exe = fs::read_link(self.folder.join("exe")).ok()?;
        Some(printable(exe.file_name()?.to_string_lossy()).into_owned())
    }

    /// The virtual machine that it is.
    pub fn vm(&self) -> Option<Vm> {
        let vm = by_command(&self.folder).or_else(|| by_scope(&self.folder))?;
        let shown = |name: String| printable(name).into_owned();
        Some(Vm {
            name: vm.name.map(shown),
            uuid: vm.uuid.map(shown),
        })
    }
}

/// The processes that have a device open, on the machine whose files are under `root`.
fn holders(root: &Path, bdf: Bdf) -> impl Iterator<Item = Process> {
    let files = files_of(root, bdf);
    let processes = fs::read_dir(root.join("proc")).into_iter().flatten();
    processes.filter_map(move |entry| {
        let folder = entry.ok()?.path();
        let pid = number(folder.file_name()?.to_str()?)?;
        has_open(&folder, &files).then_some(Process { folder, pid })
    })
}

/// A process that has a device open.
pub fn holder(root: &Path, bdf: Bdf) -> Option<Process> {
    holders(root, bdf).next()
}

/// The virtual machine that has a device open, on the machine whose files are under `root`.
pub fn vm_of(root: &Path, bdf: Bdf) -> Option<Vm> {
    holders(root, bdf).find_map(|process| process.vm())
}

/// What a process opens to get at a device: its group's file, or its own.
fn files_of(root: &Path, bdf: Bdf) -> Vec<PathBuf> {
    let folder = root.join(format!("sys/bus/pci/devices/{bdf}"));
    let group = fs::read_link(folder.join("iommu_group")).ok();
    let group = group.and_then(|group| Some(PathBuf::from("/dev/vfio").join(group.file_name()?)));
    let own = fs::read_dir(folder.join("vfio-dev")).into_iter().flatten();
    let own = own
        .filter_map(|entry| Some(PathBuf::from("/dev/vfio/devices").join(entry.ok()?.file_name())));
    group.into_iter().chain(own).collect()
}

fn has_open(process: &Path, files: &[PathBuf]) -> bool {
    let open = fs::read_dir(process.join("fd")).into_iter().flatten();
    open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .any(|target| files.contains(&target))
}

/// QEMU has the name and the UUID among its arguments.
fn by_command(process: &Path) -> Option<Vm> {
    let line = fs::read(process.join("cmdline")).ok()?;
    let line = String::from_utf8_lossy(&line);
    let words: Vec<&str> = line.split('\0').collect();
    let after = |name: &str| {
        let dashes = [format!("-{name}"), format!("--{name}")];
        let at = words
            .iter()
            .position(|word| dashes.iter().any(|option| option == word))?;
        words.get(at + 1).copied()
    };
    let name = after("name").map(|value| {
        // A comma in a name is doubled.
        let value = value.replace(",,", "\0");
        let parts: Vec<&str> = value.split(',').collect();
        let guest = parts.iter().find_map(|part| part.strip_prefix("guest="));
        let name = guest.or(parts.first().copied()).unwrap_or_default();
        name.replace('\0', ",")
    });
    let uuid = after("uuid").map(str::to_owned);
    (name.is_some() || uuid.is_some()).then_some(Vm { name, uuid })
}

/// systemd-machined has a scope for each machine: `machine-qemu\x2d3\x2dwin11.scope`.
fn by_scope(process: &Path) -> Option<Vm> {
    let text = fs::read_to_string(process.join("cgroup")).ok()?;
    let scope = text
        .split(['/', '\n'])
        .find_map(|part| part.strip_prefix("machine-")?.strip_suffix(".scope"))?;
    let name = unescape(scope);
    let name = match name
        .strip_prefix("qemu-")
        .and_then(|rest| rest.split_once('-'))
    {
        Some((number, name)) if number.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => &name,
    };
    Some(Vm {
        name: Some(name.to_owned()),
        uuid: None,
    })
}

/// A name as systemd-escape(1) wrote it.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\x") {
        bytes.extend_from_slice(before.as_bytes());
        let byte = after
            .get(..2)
            .and_then(|two| u8::from_str_radix(two, 16).ok());
        match byte {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.extend_from_slice(b"\\x");
                rest = after;
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const UUID: &str = "8f3b2c11-1c2d-4e5f-8a9b-0c1d2e3f4a5b";

    /// A machine of which process 42 has a file open.
    fn machine(open: &str, command: &[&str], cgroup: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let device = root.path().join("sys/bus/pci/devices/0000:01:00.0");
        fs::create_dir_all(device.join("vfio-dev/vfio3")).unwrap();
        symlink(
            "../../../kernel/iommu_groups/17",
            device.join("iommu_group"),
        )
        .unwrap();
        let process = root.path().join("proc/42");
        fs::create_dir_all(process.join("fd")).unwrap();
        symlink(open, process.join("fd/5")).unwrap();
        fs::write(process.join("cmdline"), command.join("\0")).unwrap();
        fs::write(process.join("cgroup"), cgroup).unwrap();
        fs::create_dir_all(root.path().join("proc/sys")).unwrap();
        root
    }

    fn find(root: &tempfile::TempDir) -> Option<(Option<String>, Option<String>)> {
        let vm = vm_of(root.path(), "01:00.0".parse().unwrap())?;
        Some((vm.name, vm.uuid))
    }

    #[test]
    fn qemu_says_its_name() {
        for (value, name) in [
            ("guest=win11,debug-threads=on", "win11"),
            ("win11,process=x", "win11"),
            ("debug-threads=on,guest=a,,b", "a,b"),
            ("a\x1b[2J\n", "a\\u{1b}[2J\\u{a}"),
        ] {
            for file in ["/dev/vfio/17", "/dev/vfio/devices/vfio3"] {
                let command = ["/usr/bin/qemu", "-name", value, "-uuid", UUID];
                let found = find(&machine(file, &command, "0::/x\n"));
                assert_eq!(found, Some((Some(name.into()), Some(UUID.into()))));
            }
        }
    }

    #[test]
    fn scopes_have_names() {
        for (scope, name) in [
            ("machine-qemu\\x2d3\\x2dwin11\\x2dgpu", "win11-gpu"),
            ("machine-other\\x2dkind", "other-kind"),
        ] {
            let cgroup = format!("0::/machine.slice/{scope}.scope/libvirt/emulator\n");
            let found = find(&machine("/dev/vfio/17", &["/usr/bin/q"], &cgroup));
            assert_eq!(found, Some((Some(name.into()), None)), "{scope}");
        }
    }

    #[test]
    fn other_processes_are_none() {
        assert_eq!(
            find(&machine("/dev/vfio/18", &["q", "-name", "x"], "")),
            None
        );
        assert_eq!(
            find(&machine("/dev/vfio/17", &["dpdk"], "0::/user.slice\n")),
            None
        );
        assert_eq!(unescape("a\\x2db\\xzz\\x"), "a-b\\xzz\\x");
    }
}
