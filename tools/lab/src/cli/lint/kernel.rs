// SPDX-License-Identifier: GPL-2.0

//! What goes into a kernel. Everything is built in a folder of its own, build/linux/lint, as an
//! external module for the kernel in build/linux/y, whatever the configuration says: no other build
//! folder is touched, and KUnit suites are seen too.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, ensure, Context, Result};
use lab::command;
use lab::files;
use lab::ktap::Skip;
use lab::paths::Paths;
use lab::{progress, shell};

use crate::cli::compiler;

/// The compiler that the kernel is built with.
const RUSTC: &str = "/usr/bin/rustc";

/// Where copies of VFIO's own files are, as they are with the series and without.
const VFIO: [&str; 2] = ["vfio", "unpatched/drivers/vfio/pci"];

pub(super) struct Kernel<'a> {
    paths: &'a Paths,
    tree: PathBuf,
    folder: PathBuf,
    objects: PathBuf,
    /// The clippy-driver that has compiled the Rust code.
    clippy: RefCell<Option<PathBuf>>,
}

impl<'a> Kernel<'a> {
    pub(super) fn new(paths: &'a Paths) -> Result<Self> {
        Ok(Self {
            paths,
            tree: paths.kernel_tree(),
            folder: paths.build.join("linux/lint"),
            objects: paths.build.join("linux/y"),
            clippy: RefCell::new(None),
        })
    }

    /// Copy what there is, and let nothing depend on an option.
    pub(super) fn copy(&self) -> Result<()> {
        let folder = &self.folder;
        files::fresh_folder(folder)?;
        for part in ["drivers", "vfio", "unpatched", "tools"] {
            fs::create_dir(folder.join(part))?;
        }
        let rsync = |options: &[&str], from: &Path, to: &Path| {
            // Its content, not the folder itself.
            let from = from.join("");
            command::stdout(Command::new("rsync").args(options).arg(from).arg(to))
        };
        let no_code =
            ["/Documentation", "/include", "/tools"].map(|part| format!("--exclude={part}"));
        let no_code: Vec<_> = ["-r", "--copy-links"]
            .into_iter()
            .chain(no_code.iter().map(String::as_str))
            .collect();
        rsync(&no_code, &self.paths.top.join("src"), folder)?;
        let modules = self.paths.top.join("tools/modules");
        rsync(
            &["-r", "--exclude=/replace"],
            &modules,
            &folder.join("tools/modules"),
        )?;
        let is_makefile = |file: &Path| file.ends_with("Makefile") || file.ends_with("Kbuild");
        for makefile in files::plain(folder, is_makefile)? {
            let text = fs::read_to_string(&makefile)?;
            fs::write(&makefile, text.lines().map(always).collect::<String>())?;
        }
        let mut top: String = self
            .kernel_folders()?
            .iter()
            .map(|part| format!("obj-m += {part}/\n"))
            .collect();

        let mut graft = progress::command(self.paths, &["scripts/graft.sh".to_owned()]);
        let unpatched = folder.join("unpatched");
        command::stdout(graft.arg("--unpatched").arg(&self.tree).arg(&unpatched))?;
        let vfio = self.tree.join("drivers/vfio/pci");
        for extension in ["c", "h"] {
            for file in files::with_extension(&vfio, extension)? {
                let name = file.file_name().context("a file without a name")?;
                fs::copy(&file, folder.join("vfio").join(name))?;
            }
        }
        rsync(
            &["-r"],
            &folder.join("drivers/vfio/pci/audit"),
            &folder.join("vfio/audit"),
        )?;
        let [with, without] = VFIO.map(|part| folder.join(part));
        rsync(&["-r", "--ignore-existing"], &with, &without)?;
        for part in VFIO {
            let text = "obj-m := config.o\nconfig-y := vfio_pci_config.o\n";
            fs::write(folder.join(part).join("Kbuild"), text)?;
            top += &format!("obj-m += {part}/\n");
        }
        fs::write(folder.join("Kbuild"), top)?;
        Ok(())
    }

    /// Files of ours below folders, not of VFIO's, relative to the folder of all.
    fn ours(&self, wanted: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
        let found = files::plain(&self.folder, wanted)?;
        let inside = found
            .iter()
            .filter_map(|file| file.strip_prefix(&self.folder).ok());
        Ok(inside
            .filter(|file| file.components().count() > 1)
            .filter(|file| !file.starts_with("vfio") && !file.starts_with("unpatched"))
            .map(Path::to_owned)
            .collect())
    }

    /// The folders that kbuild is told to build in; it finds those of KUnit in the folders above
    /// them.
    fn kernel_folders(&self) -> Result<BTreeSet<String>> {
        let makefiles = self.ours(|file| file.ends_with("Makefile") || file.ends_with("Kbuild"))?;
        let folders = makefiles.iter().filter_map(|file| file.parent());
        Ok(folders
            .filter(|folder| !folder.components().any(|part| part.as_os_str() == "kunit"))
            .map(|folder| folder.display().to_string())
            .collect())
    }

    /// A make of the external modules.
    fn make(&self, arguments: &[&str]) -> Command {
        let mut make = shell::function(self.paths, "kmake");
        make.arg(&self.objects)
            .arg(format!("M={}", self.folder.display()))
            .args(arguments);
        make
    }

    pub(super) fn warnings(&self) -> Result<()> {
        let mut words = vec!["KBUILD_MODPOST_WARN=1".to_owned(), "W=1".to_owned()];
        if let Some(driver) = clippy_driver() {
            words.push("CLIPPY=1".to_owned());
            words.push(format!("CLIPPY_DRIVER={}", driver.display()));
            *self.clippy.borrow_mut() = Some(driver);
        }
        words.extend(self.kernel_folders()?.iter().map(|part| format!("{part}/")));
        words.push("vfio/".to_owned());
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let output = command::output(&mut self.make(&words))?;
        let said =
            [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
        ensure!(output.status.success(), "{}{}", said[0], said[1]);
        said.iter().try_for_each(|said| compiler::judge(said))
    }

    /// The kernel's clippy compiles what `warnings` has judged then.
    pub(super) fn clippy(&self) -> Result<()> {
        let Some(driver) = self.clippy.borrow().clone() else {
            let compiler = version_of(Path::new(RUSTC), &["--version"]).unwrap_or_default();
            bail!(Skip(format!("no clippy-driver of {compiler}")));
        };
        let note = self.folder.join("drivers/pci/audit/.pci_audit.o.cmd");
        let text = fs::read_to_string(&note).with_context(|| note.display().to_string())?;
        ensure!(
            text.contains("clippy-driver"),
            "{} did not compile {}",
            driver.display(),
            note.display()
        );
        Ok(())
    }

    /// Debian's sparse knows neither __typeof_unqual__ nor __has_include(); as told here, it says
    /// no less of the kernel's C. Nor does it know that the length of a literal is constant, which
    /// MODULE_LICENSE() asserts at the end of a file. After any other error it is silent, so that
    /// an error counts too. The kernel's own files give warnings: what counts is what the series
    /// adds.
    pub(super) fn sparse(&self) -> Result<()> {
        // What was built; the livepatch is for other kernels.
        let mut targets = self.ours(|file| {
            file.extension().is_some_and(|end| end == "o") && file.with_extension("c").exists()
        })?;
        for target in &targets {
            fs::remove_file(self.folder.join(target))?;
        }
        for part in VFIO {
            for object in files::with_extension(&self.folder.join(part), "o")? {
                fs::remove_file(object)?;
            }
        }
        let config = VFIO.map(|part| Path::new(part).join("vfio_pci_config.o"));
        let [with, without] = config;
        let mut before = self.sparse_of(&[without])?;
        targets.insert(0, with);
        let mut added = self.sparse_of(&targets)?;
        added.retain(|line| match before.iter().position(|other| other == line) {
            Some(at) => {
                before.remove(at);
                false
            }
            None => true,
        });
        ensure!(added.is_empty(), "{}", added.join("\n"));
        Ok(())
    }

    fn sparse_of(&self, targets: &[PathBuf]) -> Result<Vec<String>> {
        let check = "CHECK=sparse -D__typeof_unqual__=__typeof__ -D'__has_include(x)=0'";
        let mut make = self.make(&["C=2", check]);
        let output = command::output(make.args(targets))?;
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(
            said.lines().any(|line| line.starts_with("  CHECK ")),
            "sparse did not run: {said}{errors}"
        );
        Ok(errors.lines().filter_map(finding).collect())
    }

    /// rustc refuses a crate that another sanitizer was compiled for than its user. What kbuild
    /// would do with KASAN, it says; that the metadata cannot be made here is no matter, since the
    /// kernel crate that is there is without.
    pub(super) fn sanitized(&self) -> Result<()> {
        // Whether or not it is up to date.
        let options = [
            "-n",
            "-B",
            "V=1",
            "CONFIG_KASAN=y",
            "CONFIG_KASAN_GENERIC=y",
        ];
        let mut make = self.make(&options);
        make.args(["drivers/pci/audit/", "drivers/vfio/pci/audit/"]);
        let output = command::output(&mut make)?;
        let said = String::from_utf8_lossy(&output.stdout);
        let crates: Vec<_> = said
            .lines()
            .filter(|line| line.contains("rustc") && line.contains(" --crate-name "))
            .collect();
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(
            crates.iter().any(|line| line.contains(".rmeta")),
            "no metadata is made: {said}{errors}"
        );
        let without = crates
            .iter()
            .find(|line| !line.contains("-Zsanitizer=kernel-address"));
        ensure!(without.is_none(), "without KASAN: {without:?}");
        Ok(())
    }

    /// rustdoc with the compiler's own arguments, as kbuild noted them, private items included.
    pub(super) fn rustdoc(&self) -> Result<()> {
        let out = self.folder.join("doc");
        let mut options: Vec<String> = [
            "--document-private-items",
            "-Arustdoc::private_intra_doc_links",
            "-Zunstable-options",
            "--output",
        ]
        .map(str::to_owned)
        .to_vec();
        options.push(out.display().to_string());
        if is_at_least(&version_of(Path::new(RUSTC), &["--version"])?, (1, 88)) {
            options.push("-Cunsafe-allow-abi-mismatch=fixed-x18".to_owned());
        }
        let mut said = String::new();
        let notes = [".pci_audit.o.cmd", ".vfio_pci_audit.o.cmd"];
        for note in files::plain(&self.folder, |file| {
            notes.iter().any(|name| file.ends_with(name))
        })? {
            let text = fs::read_to_string(&note)?;
            let command = rustdoc_of(&text).with_context(|| note.display().to_string())?;
            // In /usr/bin there is the rustdoc of the compiler.
            let script = format!("PATH=/usr/bin:$PATH {command} \"$@\"");
            let output = command::output(
                Command::new("bash")
                    .current_dir(&self.folder)
                    .env("RUSTC_BOOTSTRAP", "1")
                    .args(["-c", &script, "rustdoc"])
                    .args(&options),
            )?;
            for part in [&output.stdout, &output.stderr] {
                let part = String::from_utf8_lossy(part);
                if let Err(complaints) = compiler::judge(&part) {
                    said += &format!("{complaints}\n");
                } else if !output.status.success() {
                    said += &part;
                }
            }
        }
        ensure!(said.is_empty(), "{said}");
        ensure!(out.exists(), "there is no {}", out.display());
        Ok(())
    }
}

/// A line of a Makefile with what depends on an option built always.
fn always(line: &str) -> String {
    let rest = line.strip_prefix("obj-$(CONFIG_");
    let rest = rest.and_then(|rest| rest.split_once(')'));
    match rest {
        Some((_, rest)) => format!("obj-m{rest}\n"),
        None => format!("{line}\n"),
    }
}

/// The clippy of the compiler that the kernel is built with: the kernel wants that one.
fn clippy_driver() -> Option<PathBuf> {
    let wanted = version_of(Path::new(RUSTC), &["--version"]).ok()?;
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(PathBuf::from("/usr/bin")).chain(env::split_paths(&path));
    folders
        .map(|folder| folder.join("clippy-driver"))
        .filter(|driver| driver.exists())
        .find(|driver| {
            version_of(driver, &["--rustc", "--version"]).is_ok_and(|version| version == wanted)
        })
}

fn version_of(program: &Path, arguments: &[&str]) -> Result<String> {
    Ok(command::stdout(Command::new(program).args(arguments))?
        .trim()
        .to_owned())
}

/// Whether what a compiler says of itself, such as "rustc 1.85.1 (date)", is at least this version.
fn is_at_least(said: &str, least: (u32, u32)) -> bool {
    let version = said.split(' ').nth(1).unwrap_or_default();
    let mut numbers = version.split('.').map_while(|part| part.parse().ok());
    numbers.next().zip(numbers.next()) >= Some(least)
}

/// What sparse says in a line of a build, without the place within the file.
fn finding(line: &str) -> Option<String> {
    if line.ends_with("error: bad constant expression") {
        return None;
    }
    let file = |text: &str| text.rsplit('/').next().unwrap_or(text).to_owned();
    if line.contains("sparse is not") {
        return Some(line.to_owned());
    }
    let mut parts = line.splitn(4, ':');
    let (name, row, column, text) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(row) && is_number(column)).then(|| format!("{}:{text}", file(name)))
}

/// The command that compiled a crate, as kbuild noted it, for rustdoc: that takes no --env-set, and
/// needs none of what is about the output.
fn rustdoc_of(note: &str) -> Option<String> {
    let line = note.lines().next()?;
    let (_, command) = line.split_once(":= ")?;
    let (mut variables, mut rest) = (Vec::new(), Vec::new());
    let mut words = command.split(' ').take_while(|word| *word != ";");
    while let Some(word) = words.next() {
        if let Some(variable) = word.strip_prefix("--env-set=") {
            variables.push(variable);
        } else if word == "--out-dir" {
            words.next();
        } else if word.ends_with("/rustc") || word.ends_with("/clippy-driver") {
            rest.push("rustdoc");
        } else if !word.starts_with("--emit=") && !word.starts_with("-Zbinary_dep_depinfo=") {
            rest.push(word);
        }
    }
    rest.contains(&"rustdoc")
        .then(|| [variables, rest].concat().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_depends_on_an_option() {
        assert_eq!(always("obj-$(CONFIG_PCI_AUDIT) += a.o"), "obj-m += a.o\n");
        assert_eq!(always("a-y := $(CONFIG_B)"), "a-y := $(CONFIG_B)\n");
    }

    #[test]
    fn findings_have_no_place() {
        assert_eq!(
            finding("/b/linux/lint/a.c:12:3: warning: bad type").as_deref(),
            Some("a.c: warning: bad type")
        );
        assert_eq!(finding("a.c:9:1: error: bad constant expression"), None);
        assert_eq!(finding("make: Entering directory '/b'"), None);
        assert!(finding("make: sparse is not available").is_some());
    }

    #[test]
    fn versions_are_numbers() {
        assert!(is_at_least("rustc 1.96.0 (abc 2026-01-01)", (1, 88)));
        assert!(!is_at_least(
            "rustc 1.85.1 (abc) (built from a tarball)",
            (1, 88)
        ));
        assert!(!is_at_least("rustc", (1, 88)));
    }

    #[test]
    fn a_compiler_s_command_is_rustdoc_s() {
        let note = "savedcmd_a.o := OBJTREE=/b /usr/bin/rustc --edition=2021 --emit=obj=a.o \
                    --out-dir /b/x --env-set=A=\"b\" a.rs ; other thing\nsecond\n";
        assert_eq!(
            rustdoc_of(note).as_deref(),
            Some("A=\"b\" OBJTREE=/b rustdoc --edition=2021 a.rs")
        );
        assert_eq!(rustdoc_of("deps := a.rs"), None);
    }
}
