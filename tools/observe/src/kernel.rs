// SPDX-License-Identifier: GPL-2.0

//! What the running kernel has of that which observing needs.

use std::fs;
use std::path::Path;

use pci_audit_core::run::UNASSIGNED;
use pci_config::{Bdf, ConfigMap};

use crate::btf;

/// The module whose functions are observed.
pub const MODULE: &str = "vfio_pci_core";

/// Why nothing can be observed, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// The kernel says nothing of its types.
    #[error(
        "this kernel has no type information (/sys/kernel/btf/vmlinux), which BPF needs: boot one \
         with CONFIG_DEBUG_INFO_BTF=y, as distributions' kernels have"
    )]
    Btf,
    /// The kernel lets BPF read nothing of it.
    #[error(
        "the kernel is locked down for confidentiality, which keeps BPF from reading its memory: \
         boot with lockdown=integrity, or without lockdown="
    )]
    Lockdown,
    /// The process may not load BPF programs.
    #[error("this needs root, or the capabilities {0}")]
    Capabilities(String),
    /// Debian's kernels leave perf events, which kprobes are, to root by default.
    #[error(
        "CAP_PERFMON is not enough while kernel.perf_event_paranoid is {0}: run this as root, or \
         after sysctl kernel.perf_event_paranoid=2"
    )]
    Paranoid(i32),
}

/// Bits of capabilities.
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// What this process may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Privileges {
    effective: u64,
}

impl Privileges {
    /// Those of the process whose `/proc/PID/status` this is.
    pub fn parse(status: &str) -> Self {
        let effective = status
            .lines()
            .find_map(|line| line.strip_prefix("CapEff:"))
            .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        Self {
            effective: effective.unwrap_or_default(),
        }
    }

    fn has(self, capability: u32) -> bool {
        self.effective >> capability & 1 != 0
    }

    /// Whether the kernel shows this process the types of modules as libbpf asks for them. With
    /// CAP_BPF and CAP_PERFMON alone it does not.
    pub fn sees_module_types(self) -> bool {
        self.has(CAP_SYS_ADMIN)
    }

    fn missing(self) -> Option<String> {
        if self.has(CAP_SYS_ADMIN) {
            return None;
        }
        let missing: Vec<&str> = [(CAP_BPF, "CAP_BPF"), (CAP_PERFMON, "CAP_PERFMON")]
            .into_iter()
            .filter(|(capability, _)| !self.has(*capability))
            .map(|(_, name)| name)
            .collect();
        (!missing.is_empty()).then(|| missing.join(" and "))
    }
}

/// The privileges of this process, or what is missing of the machine whose files are under `root`.
pub fn check(root: &Path) -> Result<Privileges, Lack> {
    let read = |file: &str| fs::read_to_string(root.join(file)).unwrap_or_default();
    let privileges = Privileges::parse(&read("proc/self/status"));
    if let Some(missing) = privileges.missing() {
        return Err(Lack::Capabilities(missing));
    }
    let paranoid = read("proc/sys/kernel/perf_event_paranoid");
    if let Some(paranoid) = paranoid
        .trim()
        .parse()
        .ok()
        .filter(|level: &i32| *level > 2)
    {
        if !privileges.sees_module_types() {
            return Err(Lack::Paranoid(paranoid));
        }
    }
    if read("sys/kernel/security/lockdown").contains("[confidentiality]") {
        return Err(Lack::Lockdown);
    }
    if !root.join("sys/kernel/btf/vmlinux").exists() {
        return Err(Lack::Btf);
    }
    Ok(privileges)
}

/// Whether the functions are there to be observed: the module is loaded, or built in.
pub fn is_there(root: &Path) -> bool {
    let folder = root.join("sys/module").join(MODULE);
    match fs::read_to_string(folder.join("initstate")) {
        Ok(state) => state.trim() == "live",
        // What is built in has no state, and may have no folder either.
        Err(_) => is_built_in(root),
    }
}

fn is_built_in(root: &Path) -> bool {
    let release = fs::read_to_string(root.join("proc/sys/kernel/osrelease")).unwrap_or_default();
    let list = format!("lib/modules/{}/modules.builtin", release.trim());
    let built_in = fs::read_to_string(root.join(list)).unwrap_or_default();
    built_in
        .lines()
        .any(|file| file.ends_with("/vfio-pci-core.ko"))
}

/// Whether the kernel has the module that records by itself.
pub fn records_by_itself(root: &Path) -> bool {
    root.join("sys/module/vfio_pci_audit").exists()
}

/// Where `struct vfio_pci_core_device` has its config map, if the kernel says so.
pub fn config_map_offset(root: &Path) -> Option<usize> {
    let folder = root.join("sys/kernel/btf");
    let base = fs::read(folder.join("vmlinux")).ok()?;
    let find =
        |btf: &[u8], base| btf::member_offset(btf, base, "vfio_pci_core_device", "pci_config_map");
    match fs::read(folder.join(MODULE)) {
        Ok(module) => find(&module, Some(&base)),
        Err(_) => find(&base, None),
    }
}

/// The config map that VFIO has of a device, worked out from its configuration space. Nothing
/// without the right to read all of that.
pub fn work_out_map(root: &Path, device: Bdf) -> Option<Vec<u8>> {
    let file = root.join(format!("sys/bus/pci/devices/{device}/config"));
    let map = ConfigMap::parse(&fs::read(file).ok()?).ok()?;
    let entry = |offset| {
        if map.unassigned(offset) {
            UNASSIGNED
        } else {
            0
        }
    };
    Some((0..map.size()).map(entry).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let file = root.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        root
    }

    const BTF: (&str, &str) = ("sys/kernel/btf/vmlinux", "");
    const ROOT: (&str, &str) = ("proc/self/status", "Name:\tx\nCapEff:\t000001ffffffffff\n");

    fn said(files: &[(&str, &str)]) -> String {
        match check(machine(files).path()) {
            Ok(privileges) => format!("{}", privileges.sees_module_types()),
            Err(lack) => lack.to_string(),
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(said(&[ROOT, BTF]), "true");
        let both = ("proc/self/status", "CapEff:\t000000c000000000\n");
        assert_eq!(said(&[both, BTF]), "false");
        let one = ("proc/self/status", "CapEff:\t0000004000000000\n");
        assert_eq!(
            said(&[one, BTF]),
            "this needs root, or the capabilities CAP_BPF"
        );
        let none = ("proc/self/status", "CapEff:\t0000000000000000\n");
        assert_eq!(
            said(&[none, BTF]),
            "this needs root, or the capabilities CAP_BPF and CAP_PERFMON"
        );
        let paranoid = ("proc/sys/kernel/perf_event_paranoid", "3\n");
        assert!(said(&[both, BTF, paranoid]).contains("while kernel.perf_event_paranoid is 3:"));
        assert_eq!(said(&[ROOT, BTF, paranoid]), "true");
        let less = ("proc/sys/kernel/perf_event_paranoid", "2\n");
        assert_eq!(said(&[both, BTF, less]), "false");
        assert!(said(&[ROOT]).contains("CONFIG_DEBUG_INFO_BTF"));
        let lockdown = "sys/kernel/security/lockdown";
        let locked = (lockdown, "none integrity [confidentiality]\n");
        assert!(said(&[ROOT, BTF, locked]).contains("locked down"));
        let less = (lockdown, "none [integrity] confidentiality\n");
        assert_eq!(said(&[ROOT, BTF, less]), "true");
    }

    #[test]
    fn the_module_is_there_when_it_is_live_or_built_in() {
        let state = "sys/module/vfio_pci_core/initstate";
        assert!(is_there(machine(&[(state, "live\n")]).path()));
        assert!(!is_there(machine(&[(state, "coming\n")]).path()));
        assert!(!is_there(machine(&[]).path()));
        let release = ("proc/sys/kernel/osrelease", "6.1.0\n");
        let list = "lib/modules/6.1.0/modules.builtin";
        let builtin = (list, "kernel/drivers/vfio/pci/vfio-pci-core.ko\n");
        assert!(is_there(machine(&[release, builtin]).path()));
        let other = (list, "kernel/drivers/vfio/pci/vfio-pci.ko\n");
        assert!(!is_there(machine(&[release, other]).path()));
    }
}
