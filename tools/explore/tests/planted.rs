// SPDX-License-Identifier: GPL-2.0

//! Plants defects into copies of the module's files: the explorations must find each.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const TOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// What the explorations are compiled from.
const SOURCES: [&str; 7] = [
    ".cargo",
    "Cargo.toml",
    "Cargo.lock",
    "rust-bindings",
    "src",
    "tools/explore",
    "tools/pci-audit",
];

/// A defect.
struct Defect {
    /// The file of the module, in src/drivers/vfio/pci/audit.
    file: &'static str,
    right: &'static str,
    wrong: &'static str,
    /// The exploration that finds it.
    found_by: &'static str,
}

/// The package in the copy for `name`. Cargo would take one of the same name for this one, which is
/// compiled already.
fn package(name: &str) -> String {
    format!("pci-audit-explore-{name}")
}

/// Replaces the one `right` in `file`.
fn replace(file: &Path, right: &str, wrong: &str) {
    let text = fs::read_to_string(file).unwrap();

    assert_eq!(
        text.matches(right).count(),
        1,
        "{} has changed",
        file.display()
    );
    fs::write(file, text.replace(right, wrong)).unwrap();
}

/// Copies `SOURCES` to a folder of its own.
fn copy_sources(name: &str) -> PathBuf {
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("planted")
        .join(name);

    if copy.exists() {
        fs::remove_dir_all(&copy).unwrap();
    }
    for source in SOURCES {
        let target = copy.join(source);

        fs::create_dir_all(target.parent().unwrap()).unwrap();
        let status = Command::new("cp")
            .arg("-a")
            .arg(Path::new(TOP).join(source))
            .arg(target)
            .status();
        assert!(status.unwrap().success());
    }
    // Most of the workspace is not in the copy.
    let workspace = copy.join("Cargo.toml");
    let text = fs::read_to_string(&workspace).unwrap();
    let (before, behind) = text.split_once("default-members = [").unwrap();
    let (_, behind) = behind.split_once("]\n").unwrap();
    fs::write(&workspace, [before, behind].concat()).unwrap();
    replace(
        &copy.join("tools/explore/Cargo.toml"),
        "name = \"pci-audit-explore\"",
        &format!("name = \"{}\"", package(name)),
    );
    copy
}

/// Runs one exploration in `copy`, or only compiles it.
fn cargo_test(copy: &Path, name: &str, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO"));

    command
        .current_dir(copy)
        // The dependencies are compiled there.
        .env(
            "CARGO_TARGET_DIR",
            Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap(),
        )
        .args(["test", "--offline", "--lib", "-p", &package(name)]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    command.args(arguments);
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();

    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

impl Defect {
    fn is_found(&self, name: &str) {
        let copy = copy_sources(name);
        let audit = copy.join("src/drivers/vfio/pci/audit");

        replace(&audit.join(self.file), self.right, self.wrong);
        let (compiled, output) = cargo_test(&copy, name, &["--no-run"]);
        assert!(compiled, "{output}");
        let (passed, output) = cargo_test(
            &copy,
            name,
            &["--", "--exact", &format!("explorations::{}", self.found_by)],
        );
        assert!(!passed, "not found:\n{output}");
        assert!(output.contains("1 failed"), "{output}");
        fs::remove_dir_all(&copy).unwrap();
    }
}

/// An access may see that ranges were found before it sees the ranges.
#[test]
fn release_made_relaxed() {
    Defect {
        file: "session/cached_lookup.rs",
        right: "self.tag.store(found, Release);",
        wrong: "self.tag.store(found, Relaxed);",
        found_by: "policy::ranges_against_look_up",
    }
    .is_found("release-made-relaxed");
}

/// An access with the old limits shuts a gate that the change of the limits has just opened.
#[test]
fn check_outside_the_lock() {
    Defect {
        file: "session.rs",
        right: "let mut state = self.device.state.lock();
        // Read under the lock: after a change of the limits, `Device::limits_changed()` opens the
        // gates under it.
        let limits = LIMITS.current();
",
        wrong: "let limits = LIMITS.current();
        let mut state = self.device.state.lock();
",
        found_by: "limits::change_against_accesses",
    }
    .is_found("check-outside-the-lock");
}

/// The worker does not look again before it lets others queue it.
#[test]
fn lost_wake_up() {
    Defect {
        file: "session/device.rs",
        right: "let again = again.or_else(|| {
            (pci_audit::enabled() && state.ledger.has_unreported()).then_some(worker::FIRST_REPORT)
        });
",
        wrong: "",
        found_by: "sessions::report_against_access",
    }
    .is_found("lost-wake-up");
}
