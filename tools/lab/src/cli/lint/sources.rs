// SPDX-License-Identifier: GPL-2.0

//! Texts as they are: their form, and what the kernel's scripts and Sphinx say of them.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, ensure, Context, Result};
use lab::command;
use lab::files;
use lab::paths::Paths;
use lab::shell;

/// Lines that may be longer than 100 characters: of tables, of formats of events, and those that
/// begin with a sample of a record or of JSON.
const LONG_LINES: &str = concat!(
    r"\s*((//! )?[|+]|TP_printk",
    r#"|(let \w+ = )?(format!\()?(r#"|"[^"]*type=PCI msg=))"#
);

/// Files that may have longer lines: fixtures, and what the documentation quotes.
const LONG_LINED: [&str; 8] = [
    ":!LICENSE",
    ":!Cargo.lock",
    ":!patches",
    ":!README.md",
    ":!*.rst",
    ":!tools/fuzz/corpus",
    ":!tools/vfio-pci-audit/tests/data",
    ":!tools/vfio-pci-audit/tests/expected",
];

/// Lines have at most 100 characters.
pub(super) fn columns(paths: &Paths) -> Result<()> {
    let pattern = format!("^(?!{LONG_LINES}).{{101,}}");
    let mut grep = Command::new("git");
    grep.current_dir(&paths.top)
        .env("LC_ALL", "C.UTF-8")
        .args(["grep", "-nP", &pattern, "--", "."])
        .args(LONG_LINED);
    let output = command::output(&mut grep)?;
    // 1 says that no line matches.
    ensure!(
        output.status.code() == Some(1),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

pub(super) fn shellcheck(paths: &Paths) -> Result<()> {
    let mut scripts = files::with_extension(&paths.top.join("scripts"), "sh")?;
    scripts.push(paths.script("guest/init"));
    command::stdout(Command::new("shellcheck").arg("-x").args(scripts)).map(drop)
}

/// The sources, by who judges them.
pub(super) struct Sources<'a> {
    paths: &'a Paths,
    tree: PathBuf,
    /// Of the kernel.
    rust: Vec<PathBuf>,
    c: Vec<PathBuf>,
    /// Headers of trace events, whose form checkpatch does not know.
    trace: Vec<PathBuf>,
    bpf: Vec<PathBuf>,
}

impl<'a> Sources<'a> {
    pub(super) fn find(paths: &'a Paths) -> Result<Self> {
        let find = |folders: &[&str], wanted: &dyn Fn(&Path) -> bool| -> Result<Vec<PathBuf>> {
            let mut found = Vec::new();
            for folder in folders {
                found.extend(files::plain(&paths.top.join(folder), |file| {
                    wanted(file.strip_prefix(&paths.top).unwrap_or(file))
                })?);
            }
            Ok(found)
        };
        let is_c = |file: &Path| ends(file, "c") || ends(file, "h");
        let is_trace = |file: &Path| ends(file, "h") && within(file, "trace");
        let is_bpf = |file: &Path| is_c(file) && within(file, "bpf");
        let kernel = ["src", "rust-bindings", "kunit"];
        let all = [&kernel[..], &["tools"]].concat();
        Ok(Self {
            paths,
            tree: paths.kernel_tree(),
            rust: find(&kernel, &|file| ends(file, "rs"))?,
            c: find(&all, &|file| is_c(file) && !is_trace(file) && !is_bpf(file))?,
            trace: find(&["src", "tools"], &is_trace)?,
            bpf: find(&["tools"], &is_bpf)?,
        })
    }

    pub(super) fn rustfmt(&self) -> Result<()> {
        let mut rustfmt = shell::function(self.paths, "toolchain; \"$RUSTFMT\"");
        rustfmt
            .args(["--check", "--edition", "2021", "--config-path"])
            .arg(self.tree.join(".rustfmt.toml"));
        command::stdout(rustfmt.args(&self.rust)).map(drop)
    }

    fn checkpatch(&self, ignored: &str) -> Command {
        let mut checkpatch = Command::new(self.tree.join("scripts/checkpatch.pl"));
        checkpatch.current_dir(&self.paths.top);
        checkpatch
            .arg(format!("--root={}", self.tree.display()))
            .args(["--no-tree", "--strict", "--terse", "--show-types"])
            .args(["--no-summary", "--ignore", ignored]);
        checkpatch
    }

    /// Patches have no sign-off before they are mailed, and name no maintainers; the lines of a
    /// sample record cannot be broken.
    pub(super) fn checkpatch_series(&self) -> Result<()> {
        let ignored = "MISSING_SIGN_OFF,FILE_PATH_CHANGES,COMMIT_LOG_LONG_LINE";
        let patches = files::with_extension(&self.paths.top.join("patches/linux"), "patch")?;
        // By standard input: it takes a file that git knows for a source file.
        all(patches.iter().map(|patch| {
            command::stdout_of_input(self.checkpatch(ignored).arg("-"), patch).map(drop)
        }))
    }

    /// An exported function of Rust has no definition in C that EXPORT_SYMBOL could follow.
    /// checkpatch knows neither types of ours nor the form of trace headers. Of Rust it judges what
    /// rustfmt leaves, such as the length of comments.
    pub(super) fn checkpatch_files(&self) -> Result<()> {
        let types = self.paths.build.join("typedefs");
        let mut names = String::new();
        for file in &self.c {
            let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
            for name in text.lines().filter_map(function_type) {
                names.push_str(name);
                names.push('\n');
            }
        }
        fs::write(&types, names)?;
        let mut ours = self.checkpatch("EXPORT_SYMBOL,MACRO_ARG_REUSE");
        ours.arg("--typedefsfile").arg(&types).arg("--file");
        ours.args(&self.c).args(&self.rust);
        let mut trace = self.checkpatch("OPEN_ENDED_LINE,PARENTHESIS_ALIGNMENT");
        trace.arg("--file").args(&self.trace);
        // A BPF program declares what it knows of the kernel, and what its loader sets.
        let mut bpf = self.checkpatch("VOLATILE,AVOID_EXTERNS,NEW_TYPEDEFS,CAMELCASE");
        bpf.arg("--file").args(&self.bpf);
        all([ours, trace, bpf].map(|mut judge| command::stdout(&mut judge).map(drop)))
    }

    pub(super) fn kernel_doc(&self) -> Result<()> {
        let headers = files::with_extension(&self.paths.top.join("src/include/linux"), "h")?;
        let mut doc = Command::new(self.tree.join("scripts/kernel-doc"));
        command::stdout(doc.args(["-none", "-Werror"]).args(headers)).map(drop)
    }

    /// Everything in Documentation/, with the kernel's extensions, so that what goes into a kernel
    /// tree is parsed as it is there.
    pub(super) fn documentation(&self) -> Result<()> {
        let out = self.paths.build.join("documentation");
        files::fresh_folder(&out)?;
        fs::create_dir(out.join("conf"))?;
        // As in a kernel tree, with the samples that it quotes.
        let mut copy = Command::new("cp");
        copy.current_dir(&self.paths.top).arg("-r");
        command::stdout(copy.args(["Documentation", "src/samples"]).arg(&out))?;
        let (tree, top) = (self.tree.display(), self.paths.top.display());
        fs::write(
            out.join("conf/conf.py"),
            format!(
                "import sys\n\
                 sys.path[:0] = [\"{tree}/Documentation/sphinx\", \"{tree}/tools/lib/python\"]\n\
                 project = \"vfio-pci-audit\"\n\
                 extensions = [\"kerneldoc\"]\n\
                 kerneldoc_bin = \"{tree}/tools/docs/kernel-doc\"\n\
                 kerneldoc_srctree = \"{top}/src\"\n\
                 root_doc = \"index\"\n\
                 exclude_patterns = []\n"
            ),
        )?;
        let mut sphinx = Command::new(self.paths.build.join("venv/bin/sphinx-build"));
        sphinx.env("srctree", &self.tree).args([
            "-q",
            "-W",
            "--keep-going",
            "-E",
            "-b",
            "dummy",
            "-c",
        ]);
        let folders = ["conf", "Documentation", "out"].map(|name| out.join(name));
        command::stdout(sphinx.args(folders)).map(drop)
    }

    /// A reader of the kernel tree finds what a file of ours refers to.
    pub(super) fn references(&self) -> Result<()> {
        let src = self.paths.top.join("src");
        let mut all = files::plain(&src, |_| true)?;
        // The documents are links.
        for folder in ["admin-guide", "driver-api"] {
            let folder = src.join("Documentation").join(folder);
            all.extend(files::with_extension(&folder, "rst")?);
        }
        let mut missing = Vec::new();
        for file in all {
            let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            let unknown = documents(&text)
                .filter(|name| !self.tree.join(name).exists() && !src.join(name).exists());
            missing.extend(unknown.map(|name| format!("{}: {name}", file.display())));
        }
        ensure!(missing.is_empty(), "{}", missing.join("\n"));
        Ok(())
    }
}

/// The documents that a text refers to by their path in the kernel tree.
fn documents(text: &str) -> impl Iterator<Item = &str> {
    let is_path = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    text.match_indices("Documentation/")
        .filter_map(move |(at, _)| {
            let rest = &text[at..];
            let path = &rest[..rest.find(|c| !is_path(c)).unwrap_or(rest.len())];
            Some(&path[..path.rfind(".rst")? + ".rst".len()])
        })
}

fn ends(file: &Path, extension: &str) -> bool {
    file.extension().is_some_and(|end| end == extension)
}

/// Whether a file is below a folder of this name.
fn within(file: &Path, folder: &str) -> bool {
    let mut above = file.ancestors().skip(1);
    above.any(|above| above.file_name() == Some(OsStr::new(folder)))
}

/// The name that a line defines for the type of a function: `typedef int name(void);`.
fn function_type(line: &str) -> Option<&str> {
    let line = line.strip_prefix("typedef")?;
    line.match_indices('(').rev().find_map(|(at, _)| {
        let before = &line[..at];
        let start = before.rfind(|c: char| !c.is_ascii_lowercase() && c != '_')?;
        let name = &before[start + 1..];
        (before[start..].starts_with([' ', '*']) && !name.is_empty()).then_some(name)
    })
}

/// An error with what each of several that failed said.
fn all(results: impl IntoIterator<Item = Result<()>>) -> Result<()> {
    let failed = results.into_iter().filter_map(Result::err);
    let said: Vec<_> = failed.map(|error| format!("{error:#}")).collect();
    if said.is_empty() {
        return Ok(());
    }
    bail!(said.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_function_types() {
        assert_eq!(
            function_type("typedef int (pci_audit_fn)(void);"),
            None,
            "no name stands right before a parenthesis"
        );
        assert_eq!(
            function_type("typedef int pci_audit_fn(struct pci_dev *pdev, u32 (*f)(int));"),
            Some("pci_audit_fn")
        );
        assert_eq!(
            function_type("typedef void *look_up(int);"),
            Some("look_up")
        );
        assert_eq!(function_type("int other(void);"), None);
    }

    #[test]
    fn all_that_failed_is_told() {
        let results = || vec![Ok(()), Err(anyhow::anyhow!("a")), Err(anyhow::anyhow!("b"))];
        assert_eq!(all(results()).unwrap_err().to_string(), "a\nb");
        assert!(all([Ok(())]).is_ok());
    }

    #[test]
    fn documents_that_a_text_names() {
        let text = "See Documentation/a-b/c.rst.\nDocumentation/ has\n`Documentation/d.rst`, e.rst";
        let found: Vec<_> = documents(text).collect();
        assert_eq!(found, ["Documentation/a-b/c.rst", "Documentation/d.rst"]);
    }

    #[test]
    fn folders_above_a_file() {
        assert!(within(Path::new("a/trace/b/c.h"), "trace"));
        assert!(!within(Path::new("a/b/trace"), "trace"));
    }
}
