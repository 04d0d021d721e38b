// SPDX-License-Identifier: GPL-2.0

//! Builds audit userspace with the patches of patches/audit-userspace, into a private prefix:
//! programs, plugins and etc/audit. Nothing goes onto the host.
//!
//! The source is that of a suite of Debian's. The next suite follows where a mirror does not hold
//! the version that an index names, or where the patches do not apply to it, unless AUDIT_SUITE= is
//! given.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use clap::Args;
use lab::command;
use lab::paths::{given, Paths};
use lab::progress::{self, Step};

#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct Arguments {
    /// Take the newest 4.x of Debian unstable instead of Debian stable's, into build/audit-newest
    #[arg(long)]
    newest: bool,
    /// Run audit-userspace's own test suite too, with our tests in it
    #[arg(long)]
    check: bool,
    /// Build auditd and ausearch without the patches too, into build/audit-unpatched
    #[arg(long)]
    unpatched: bool,
}

/// The programs that are built without the patches.
const UNPATCHED: &str = "audit-unpatched";

/// What is the same for every suite.
struct Build<'a> {
    paths: &'a Paths,
    /// The name of the prefix and the logs.
    name: &'static str,
    prefix: PathBuf,
    patches: Vec<PathBuf>,
    /// What the results depend on.
    key: String,
}

/// A suite's source, unpacked.
struct Source {
    version: String,
    tarball: PathBuf,
    folder: PathBuf,
}

/// Build what is out of date.
pub(crate) fn run(paths: &Paths, arguments: Arguments) -> Result<()> {
    let name = if arguments.newest {
        "audit-newest"
    } else {
        "audit"
    };
    let suites = match given("AUDIT_SUITE") {
        Some(suite) => vec![suite.to_string_lossy().into_owned()],
        None if arguments.newest => vec!["sid".to_owned(), "forky".to_owned()],
        None => ["trixie", "forky", "sid"].map(str::to_owned).to_vec(),
    };
    let patches = patches(paths)?;
    let prefix = paths.build.join(name);
    let build = Build {
        key: key(&suites, &prefix, &patches)?,
        paths,
        name,
        prefix,
        patches,
    };
    let unpatched = paths.build.join(UNPATCHED);
    let built = is(&build.prefix.join(".stamp"), &build.key);
    let others = !arguments.unpatched || is(&unpatched.join(".stamp"), &build.key);
    if built && others && !arguments.check {
        return Ok(());
    }
    let source = suites
        .iter()
        .find_map(|suite| {
            build
                .source(suite)
                .map_err(|error| eprintln!("      {error:#}"))
                .ok()
        })
        .with_context(|| {
            format!(
                "no audit source from {}: try again later, or another suite with AUDIT_SUITE=",
                suites.join(" ")
            )
        })?;
    build.make(&source)?;
    if arguments.check {
        build.check(&source)?;
    }
    if !is(&build.prefix.join(".stamp"), &build.key) {
        build.install(&source)?;
    }
    if !others {
        build.unpatched(&source, &unpatched)?;
    }
    Ok(())
}

fn patches(paths: &Paths) -> Result<Vec<PathBuf>> {
    let folder = paths.top.join("patches/audit-userspace");
    let mut patches = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        patches.push(entry?.path());
    }
    patches.retain(|file| file.extension().is_some_and(|end| end == "patch"));
    patches.sort();
    Ok(patches)
}

fn key(suites: &[String], prefix: &Path, patches: &[PathBuf]) -> Result<String> {
    let sums = command::stdout(Command::new("sha256sum").args(patches))?;
    Ok(format!(
        "{} {} {}\n{sums}",
        suites.join(" "),
        prefix.display(),
        CONFIGURE.join(" ")
    ))
}

fn is(file: &Path, key: &str) -> bool {
    fs::read_to_string(file).is_ok_and(|text| text == key)
}

/// What is left out: bindings and transports that nothing here uses, debugging information, and
/// most of the optimisation, which take longer than they save here.
const CONFIGURE: &[&str] = &[
    "CFLAGS=-O1",
    "--runstatedir=/run",
    "--without-python3",
    "--without-golang",
    "--disable-zos-remote",
    "--disable-gssapi-krb5",
    "--with-io_uring",
];

/// Where what the libraries and the two programs are made of is.
const FOLDERS: &[&str] = &["common", "lib", "auparse", "audisp", "src/libev"];

impl Build<'_> {
    fn step(&self, name: &str, what: &str, command: &[String]) -> Result<()> {
        let step = Step {
            name: format!("{}-{name}", self.name),
            what: what.to_owned(),
            command: command.to_vec(),
        };
        progress::run(self.paths, &[step])
    }

    /// The source of a suite, with the patches.
    fn source(&self, suite: &str) -> Result<Source> {
        let folder = self.paths.build.join("audit-src").join(suite);
        let tarball = match tarball(&folder) {
            Some(tarball) => tarball,
            None => {
                let fetch = ["scripts/fetch-audit.sh", suite].map(str::to_owned);
                self.step(
                    "download",
                    &format!("downloading the source of audit of {suite}"),
                    &fetch,
                )
                .with_context(|| format!("no audit source from {suite}"))?;
                tarball(&folder).with_context(|| format!("{suite} gave no audit 4.x"))?
            }
        };
        let name = tarball.file_name().unwrap_or_default().to_string_lossy();
        let version = version(&name)
            .context("the tarball has no version")?
            .to_owned();
        let source = Source {
            folder: folder.join(format!("audit-{version}")),
            version,
            tarball,
        };
        if is(&source.folder.join(".built"), &self.key) {
            return Ok(source);
        }
        let _ = fs::remove_dir_all(&source.folder);
        unpack(&source.tarball, &source.folder, &[])?;
        self.apply(&source, false).with_context(|| {
            format!(
                "the patches do not apply to audit {} of {suite}",
                source.version
            )
        })?;
        Ok(source)
    }

    /// The patch that adds tests touches Makefiles that change from version to version: a build
    /// that is not to be tested does without.
    fn apply(&self, source: &Source, tests: bool) -> Result<()> {
        let wanted = |file: &&PathBuf| file.to_string_lossy().contains("-tests-") == tests;
        for patch in self.patches.iter().filter(wanted) {
            let mut program = Command::new("patch");
            program.arg("-d").arg(&source.folder);
            program
                .args(["-p1", "--no-backup-if-mismatch", "-i"])
                .arg(patch);
            command::stdout(&mut program)?;
        }
        Ok(())
    }

    fn make(&self, source: &Source) -> Result<()> {
        let note = source.folder.join(".built");
        if is(&note, &self.key) {
            return Ok(());
        }
        let folder = source.folder.display().to_string();
        let prefix = self.prefix.display();
        let script = "cd \"$0\" && autoreconf -fi && ./configure \"$@\"";
        let mut configure = compiler();
        configure.push(format!(
            "CCACHE_DIR={}",
            self.paths.build.join("ccache").display()
        ));
        configure.extend(["sh", "-c", script].map(str::to_owned));
        configure.extend([
            folder.clone(),
            format!("--prefix={prefix}"),
            format!("--sysconfdir={prefix}/etc"),
        ]);
        configure.extend(CONFIGURE.iter().map(|&word| word.to_owned()));
        let version = &source.version;
        self.step(
            "configure",
            &format!("configuring audit {version}"),
            &configure,
        )?;
        self.step(
            "make",
            &format!("building audit {version}"),
            &make(&folder, &[]),
        )?;
        fs::write(note, &self.key).context("a note of what was built")
    }

    fn check(&self, source: &Source) -> Result<()> {
        let note = source.folder.join(".tests");
        if !note.exists() {
            fs::remove_file(source.folder.join(".built"))?;
            self.apply(source, true)
                .with_context(|| format!("our tests do not apply to audit {}", source.version))?;
            fs::write(note, "")?;
            fs::write(source.folder.join(".built"), &self.key)?;
        }
        let folder = source.folder.display().to_string();
        let what = format!("testing audit {}", source.version);
        self.step("check", &what, &make(&folder, &["-k", "check"]))
    }

    fn install(&self, source: &Source) -> Result<()> {
        if self.prefix.exists() {
            fs::remove_dir_all(&self.prefix)?;
        }
        let folder = source.folder.display().to_string();
        let what = format!(
            "installing audit {} into build/{}",
            source.version, self.name
        );
        self.step("install", &what, &make(&folder, &["install"]))?;
        // The plugins' configuration names programs of the host.
        let plugins = self.prefix.join("etc/audit/plugins.d");
        for entry in fs::read_dir(&plugins).with_context(|| plugins.display().to_string())? {
            let file = entry?.path();
            let text = fs::read_to_string(&file)?;
            fs::write(&file, in_prefix(&text, &self.prefix))?;
        }
        fs::write(self.prefix.join(".stamp"), &self.key).context("the prefix's stamp")
    }

    /// The files that the patches change, as they were, in a copy of what is built: no need to
    /// configure and build it all again. Only what the two programs are linked from is built, and
    /// that statically.
    fn unpatched(&self, source: &Source, to: &Path) -> Result<()> {
        let copy = source.folder.with_extension("unpatched");
        for folder in [copy.as_path(), to] {
            let _ = fs::remove_dir_all(folder);
        }
        command::stdout(Command::new("cp").arg("-a").arg(&source.folder).arg(&copy))?;
        let inside = command::stdout(Command::new("tar").arg("-tf").arg(&source.tarball))?;
        let top = inside.split('/').next().unwrap_or_default();
        let mut original = Vec::new();
        for file in changed(&self.patches)? {
            let member = format!("{top}/{file}");
            if inside.lines().any(|line| line == member) {
                original.push(member);
            } else {
                let _ = fs::remove_file(copy.join(file));
            }
        }
        unpack(&source.tarball, &copy, &original)?;
        let what = format!("building audit {} without the patches", source.version);
        let folder = copy.display().to_string();
        for part in FOLDERS {
            let words = make(
                &format!("{folder}/{part}"),
                &["LIBTOOLFLAGS=--tag=disable-shared", "all-am"],
            );
            self.step("unpatched", &what, &words)?;
        }
        let words = make(
            &format!("{folder}/src"),
            &["LDFLAGS=-static", "auditd", "ausearch"],
        );
        self.step("unpatched", &what, &words)?;
        fs::create_dir_all(to.join("sbin"))?;
        for program in ["auditd", "ausearch"] {
            fs::copy(
                copy.join("src").join(program),
                to.join("sbin").join(program),
            )?;
        }
        fs::remove_dir_all(copy)?;
        fs::write(to.join(".stamp"), &self.key).context("the prefix's stamp")
    }
}

/// A second build of a version, as the unpatched one is, compiles little that is new.
fn compiler() -> Vec<String> {
    let ccache = Command::new("ccache")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    let words = match ccache {
        true => &[
            "env",
            "CC=ccache gcc",
            "CCACHE_NOHASHDIR=1",
            "CCACHE_DEPEND=1",
        ][..],
        false => &["env"],
    };
    words.iter().map(|&word| word.to_owned()).collect()
}

fn make(folder: &str, more: &[&str]) -> Vec<String> {
    let jobs = command::jobs();
    let words = [
        "make".to_owned(),
        "-C".to_owned(),
        folder.to_owned(),
        format!("-j{jobs}"),
    ];
    words
        .into_iter()
        .chain(more.iter().map(|&word| word.to_owned()))
        .collect()
}

/// Unpack a tarball, or some of it, without its topmost folder.
fn unpack(tarball: &Path, folder: &Path, members: &[String]) -> Result<()> {
    fs::create_dir_all(folder)?;
    let mut tar = Command::new("tar");
    tar.arg("-xmf").arg(tarball).arg("-C").arg(folder);
    command::stdout(tar.arg("--strip-components=1").args(members)).map(drop)
}

/// The newest source in a folder.
fn tarball(folder: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()));
    let named = files.filter_map(|file| {
        let name = file.file_name()?.to_str()?;
        let numbers = version(name)?
            .split('.')
            .map_while(|part| part.parse::<u32>().ok());
        Some((numbers.collect::<Vec<_>>(), file.clone()))
    });
    named.max().map(|(_, file)| file)
}

/// The version in a source's name.
fn version(name: &str) -> Option<&str> {
    let rest = name.strip_prefix("audit_")?;
    let (version, end) = rest.split_once(".orig.tar.")?;
    (version.starts_with("4.") && !end.contains("asc")).then_some(version)
}

/// The files that patches change.
fn changed(patches: &[PathBuf]) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for patch in patches {
        let text = fs::read_to_string(patch)?;
        files.extend(
            text.lines()
                .filter_map(|line| line.strip_prefix("+++ b/"))
                .map(str::to_owned),
        );
    }
    files.sort();
    files.dedup();
    Ok(files)
}

/// A plugin's configuration, with programs and lists of the prefix.
fn in_prefix(text: &str, prefix: &Path) -> String {
    let sbin = format!("{}/sbin/", prefix.display());
    let lists = format!("allowlist {}/etc/audit/", prefix.display());
    text.lines()
        .map(|line| {
            let line = match line
                .find("/usr/sbin/")
                .map(|at| (at, "/usr/sbin/"))
                .or(line.find("/sbin/").map(|at| (at, "/sbin/")))
            {
                Some((at, old)) => format!("{}{sbin}{}", &line[..at], &line[at + old.len()..]),
                None => line.to_owned(),
            };
            line.replace("allowlist /etc/audit/", &lists) + "\n"
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_sources() {
        assert_eq!(version("audit_4.0.2.orig.tar.gz"), Some("4.0.2"));
        assert_eq!(version("audit_4.1.orig.tar.gz.asc"), None);
        assert_eq!(version("audit_3.1.orig.tar.gz"), None);
    }

    #[test]
    fn the_newest_of_two_sources() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "audit_4.0.9.orig.tar.gz",
            "audit_4.0.10.orig.tar.gz",
            "other",
        ] {
            fs::File::create(folder.path().join(name)).unwrap();
        }
        let found = tarball(folder.path()).unwrap();
        assert!(found.ends_with("audit_4.0.10.orig.tar.gz"));
    }

    #[test]
    fn plugins_run_programs_of_the_prefix() {
        let text = "path = /sbin/audisp-af_unix\npath = /usr/sbin/other\nargs = --allowlist \
         /etc/audit/x\nactive = no\n";
        assert_eq!(
            in_prefix(text, Path::new("/p")),
            "path = /p/sbin/audisp-af_unix\npath = /p/sbin/other\nargs = --allowlist \
             /p/etc/audit/x\nactive = no\n"
        );
    }
}
