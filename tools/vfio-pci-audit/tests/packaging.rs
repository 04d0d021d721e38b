// SPDX-License-Identifier: GPL-2.0

//! What is packaged beside the program.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging")
}

fn read(file: &str) -> String {
    let path = packaging().join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Whether the condition of a unit holds where it looks at this file instead of another.
fn holds(unit: &str, looks_at: &str, instead: &Path) -> bool {
    let condition = setting(unit, "ExecCondition");
    assert!(condition.contains(looks_at), "{condition}");
    let script = condition
        .trim_start_matches('+')
        .replace("$$", "$")
        .replace("/sbin/modprobe", "true")
        .replace(looks_at, instead.to_str().unwrap());
    let status = Command::new("sh").args(["-c", &script]).status().unwrap();
    status.success()
}

/// What a unit of ours sets something to.
fn setting(unit: &str, name: &str) -> String {
    let text = read(&format!("vfio-pci-audit-{unit}.service"));
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    line.unwrap_or_else(|| panic!("{unit} has no {name}="))
        .to_owned()
}

#[test]
fn the_package_has_all_that_the_guide_installs() {
    let rules = read("debian/rules");
    for entry in fs::read_dir(packaging()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(
            path.is_dir() || rules.contains(&format!("packaging/{name}")),
            "{name} is not installed"
        );
    }
}

#[test]
fn guests_that_start_by_themselves_come_after_what_watches_them() {
    for unit in ["last-boot", "observe"] {
        let before = setting(unit, "Before");
        assert_eq!(before, "libvirtd.service virtqemud.service", "{unit}");
    }
    // A service that is up as soon as it runs sees them too late.
    assert_eq!(setting("observe", "Type"), "notify");
}

#[cfg(feature = "observe")]
#[test]
fn what_observing_cannot_do_it_does_not_try_again_and_again() {
    let status = setting("observe", "RestartPreventExitStatus");
    let prevented: Vec<&str> = status.split(' ').collect();
    // It lacks something, or was called wrongly.
    for arguments in [&["observe", "--burst=0"], &["observe", "--burst=x"]] {
        let code = common::run(arguments).status.code().unwrap().to_string();
        assert!(prevented.contains(&&*code), "{arguments:?}: {code}");
    }
}

#[test]
fn the_last_boot_is_saved_where_memory_is_reserved_for_us() {
    let line = tempfile::NamedTempFile::new().unwrap();
    for (text, is_ours) in [
        ("quiet reserve_mem=16M:4096:pci_audit", true),
        ("reserve_mem=16M:4096:pci_audit quiet", true),
        ("reserve_mem=2M:4096:oops ramoops.mem_name=oops", false),
        ("reserve_mem=2M:4096:pci_audit2", false),
        ("quiet", false),
    ] {
        fs::write(line.path(), format!("{text}\n")).unwrap();
        let holds = holds("last-boot", "/proc/cmdline", line.path());
        assert_eq!(holds, is_ours, "{text}");
    }
}

#[test]
fn nothing_is_observed_where_vfio_brings_the_module() {
    let module = tempfile::tempdir().unwrap();
    let path = module.path().to_owned();
    let holds = || holds("observe", "/sys/module/vfio_pci_audit", &path);
    assert!(!holds());
    drop(module);
    assert!(holds());
}
