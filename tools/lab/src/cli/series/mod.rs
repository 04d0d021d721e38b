// SPDX-License-Identifier: GPL-2.0

//! Makes the patches that are mailed, from the repository as it is.
//!
//! Each file of patches/linux is one patch, with the files of src/ that its header names (see
//! CONTRIBUTING.md). They are committed onto the files of a kernel tree that they change, with the
//! maintainers that the kernel's own script names, and written with a cover letter.
//!
//! - [`header`]: what is read in a patch and in the cover letter.
//! - [`build`]: builds each patch.

pub(crate) mod build;
mod header;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, ensure, Context, Result};
use lab::command;
use lab::files;
use lab::paths::{given, Paths};
use lab::progress;
use lab::series::Series;

use header::Header;

/// The author of the patches.
pub(crate) struct Author {
    pub(crate) name: String,
    pub(crate) email: String,
}

impl Author {
    /// The one that git knows.
    fn find(paths: &Paths) -> Result<Self> {
        let config = |key: &str| -> Result<String> {
            let mut git = Command::new("git");
            let output = command::output(git.arg("-C").arg(&paths.top).args(["config", key]))?;
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        let (name, email) = (config("user.name")?, config("user.email")?);
        ensure!(
            !name.is_empty() && !email.is_empty(),
            "the patches carry your name: set it with git config user.name and user.email"
        );
        Ok(Self { name, email })
    }
}

/// Make the series for KDIR, or the tree that is fetched, in build/series.
pub(crate) fn run(paths: &Paths) -> Result<()> {
    let author = Author::find(paths)?;
    let tree = match given("KDIR") {
        Some(tree) => PathBuf::from(tree),
        None => {
            let mut fetch = progress::command(paths, &["scripts/fetch-kernel.sh".to_owned()]);
            let output = fetch.stderr(std::process::Stdio::inherit()).output()?;
            ensure!(output.status.success(), "there is no kernel tree");
            PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
        }
    };
    let tree = tree
        .canonicalize()
        .with_context(|| format!("no kernel tree at {}", tree.display()))?;
    let out = paths.build.join("series");
    let version = make(paths, &tree, &out, &author)?;
    eprintln!("the series for Linux {version} is in {}", paths.show(&out));
    Ok(())
}

/// Make the series in `out`; the version of the kernel that it is for.
pub(crate) fn make(paths: &Paths, tree: &Path, out: &Path, author: &Author) -> Result<String> {
    files::fresh_folder(out)?;
    let series = Series::read(paths)?;
    let (sources, added) = (out.join("sources"), out.join("added"));
    for folder in [&sources, &added] {
        let list = series.sources.iter().map(String::as_str);
        files::copy(&series.folder, folder, list)?;
    }
    // The sources as they are before any patch changes them.
    for (name, own) in series.own.iter().rev() {
        apply(own, &added, &["-R", "-r", "-"])
            .with_context(|| format!("{name} has changes that do not fit src/, correct them"))?;
    }

    let commits = Commits {
        paths,
        series: &series,
        tree,
        author,
        folder: out.join("linux"),
    };
    let version = commits.begin()?;
    let mut recipients = BTreeSet::new();
    for name in series.patches.keys() {
        let whom = commits.commit(name, &added).with_context(|| name.clone())?;
        recipients.extend(whom);
    }
    commits.has_all(&sources)?;
    commits.write(out, &recipients)?;
    for folder in [sources, added] {
        fs::remove_dir_all(folder)?;
    }
    Ok(version)
}

/// Apply a patch, which may be empty.
fn apply(patch: &str, folder: &Path, options: &[&str]) -> Result<()> {
    let mut input = tempfile::NamedTempFile::new()?;
    std::io::Write::write_all(&mut input, patch.as_bytes())?;
    let mut program = Command::new("patch");
    program.arg("-d").arg(folder);
    program.args(["-p1", "-s", "--no-backup-if-mismatch"]);
    command::stdout_of_input(program.args(options), input.path()).map(drop)
}

/// The commits.
struct Commits<'a> {
    paths: &'a Paths,
    series: &'a Series,
    tree: &'a Path,
    author: &'a Author,
    folder: PathBuf,
}

impl Commits<'_> {
    fn git(&self, words: &[&str]) -> Result<String> {
        command::stdout(Command::new("git").arg("-C").arg(&self.folder).args(words))
    }

    /// The files of the kernel that the series changes, as they were; the kernel's version.
    fn begin(&self) -> Result<String> {
        fs::create_dir(&self.folder)?;
        let mut graft = progress::command(self.paths, &["scripts/graft.sh".to_owned()]);
        command::stdout(graft.arg("--unpatched").arg(self.tree).arg(&self.folder))?;
        let mut make = Command::new("make");
        make.arg("-s").arg("-C").arg(self.tree).arg("kernelversion");
        let version = command::stdout(&mut make)?.trim().to_owned();
        self.git(&["init", "-q", "-b", "series"])?;
        self.git(&["config", "user.name", &self.author.name])?;
        self.git(&["config", "user.email", &self.author.email])?;
        self.git(&["add", "-A"])?;
        self.git(&["commit", "-q", "-m", &format!("Linux {version}")])?;
        self.git(&["tag", "base"])?;
        Ok(version)
    }

    /// A patch with the files of src/ that go with it; its recipients.
    fn commit(&self, name: &str, added: &Path) -> Result<Vec<String>> {
        let header = Header::parse(&self.series.patches[name])?;
        for source in header.sources(added)? {
            if !self.folder.join(&source).exists() {
                files::copy(added, &self.folder, [source.as_str()])?;
            }
        }
        for (parts, options) in [(&self.series.glue, &["-F0"][..]), (&self.series.own, &[])] {
            apply(&parts[name], &self.folder, options).context("it does not apply")?;
        }
        self.git(&["add", "-A"])?;
        self.git(&["commit", "-q", "-m", &header.message])?;
        let recipients = self
            .maintainers()
            .context("get_maintainer.pl finds no maintainer")?;
        let trailers = recipients.iter().map(|whom| format!("Cc: {whom}"));
        let sign_off = format!(
            "Signed-off-by: {} <{}>",
            self.author.name, self.author.email
        );
        let trailers: Vec<_> = trailers
            .chain([sign_off])
            .map(|line| format!("--trailer={line}"))
            .collect();
        let mut words = vec!["commit", "-q", "--amend", "--no-edit"];
        words.extend(trailers.iter().map(String::as_str));
        self.git(&words)?;
        Ok(recipients)
    }

    /// Of the last commit, but for the author and the list that gets all.
    fn maintainers(&self) -> Result<Vec<String>> {
        let diff = tempfile::NamedTempFile::new()?;
        fs::write(diff.path(), self.git(&["show", "--format="])?)?;
        let mut program = Command::new(self.tree.join("scripts/get_maintainer.pl"));
        program.current_dir(self.tree);
        program.args(["--no-git", "--no-git-fallback", "--no-rolestats"]);
        let said = command::stdout(program.arg(diff.path()))?;
        let author = format!("<{}>", self.author.email);
        let others: Vec<_> = said
            .lines()
            .filter(|line| !line.contains(&author) && !line.contains("linux-kernel@vger"))
            .map(str::to_owned)
            .collect();
        ensure!(!others.is_empty(), "it names none: {said}");
        Ok(others)
    }

    /// Every file of src/ is in a patch, as it is.
    fn has_all(&self, sources: &Path) -> Result<()> {
        let mut diff = Command::new("diff");
        let output = command::output(diff.arg("-rq").arg(sources).arg(&self.folder))?;
        let said = String::from_utf8_lossy(&output.stdout);
        let only_here = format!("Only in {}", self.folder.display());
        let left: Vec<_> = said
            .lines()
            .filter(|line| !line.starts_with(&only_here))
            .collect();
        if !left.is_empty() {
            bail!(
                "these files of src/ are in no patch, or not as they are:\n{}",
                left.join("\n")
            );
        }
        Ok(())
    }

    /// The patches, and a cover letter that goes to the recipients of any of them.
    fn write(&self, out: &Path, recipients: &BTreeSet<String>) -> Result<()> {
        let read = |name: &str| {
            fs::read_to_string(self.paths.top.join(name)).with_context(|| name.to_owned())
        };
        let table = header::figures(&read("Documentation/performance.rst")?)?;
        let letter = header::letter(&read("patches/cover-letter.txt")?, &table)?;
        self.git(&["config", "branch.series.description", &letter])?;
        let folder = out.display().to_string();
        self.git(&[
            "format-patch",
            "-q",
            "--cover-letter",
            "--cover-from-description=subject",
            "--subject-prefix=RFC PATCH",
            "--no-signature",
            "-o",
            &folder,
            "base",
        ])?;
        let cover = out.join("0000-cover-letter.patch");
        let text = fs::read_to_string(&cover).with_context(|| cover.display().to_string())?;
        let (head, rest) = text.split_once("\n\n").context("a letter without a head")?;
        let cc: String = recipients
            .iter()
            .map(|whom| format!("Cc: {whom}\n"))
            .collect();
        fs::write(&cover, format!("{head}\n{cc}\n{rest}"))?;
        Ok(())
    }
}
