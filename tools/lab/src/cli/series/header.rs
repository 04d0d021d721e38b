// SPDX-License-Identifier: GPL-2.0

//! What is read in the files that a series is made of.

use std::path::Path;

use anyhow::{ensure, Context, Result};
use lab::files;

/// What comes before the changes of a patch.
pub(super) struct Header {
    /// The commit's message.
    pub(super) message: String,
    /// Folders and files of src/ that go with it.
    sources: Vec<String>,
    /// What in those a later patch adds.
    without: Vec<String>,
}

impl Header {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut sources = Vec::new();
        let mut without = Vec::new();
        let mut subject = None;
        let (head, rest) = text.split_once("\n\n").context("it has no message")?;
        for line in head.lines() {
            let words = |list: &str| list.split_whitespace().map(str::to_owned).collect();
            if let Some(list) = line.strip_prefix("Sources: ") {
                sources = words(list);
            } else if let Some(list) = line.strip_prefix("Without: ") {
                without = words(list);
            } else if let Some(words) = line.strip_prefix("Subject: [PATCH") {
                subject = words.split_once("] ").map(|(_, subject)| subject);
            }
        }
        let subject = subject.context("it has no subject")?;
        let (body, _) = rest
            .split_once("\n---\n")
            .context("its message does not end with ---")?;
        Ok(Self {
            message: format!("{subject}\n\n{body}\n"),
            sources,
            without,
        })
    }

    /// The files that go with it, as they are in a folder with all of src/.
    pub(super) fn sources(&self, folder: &Path) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for (file, _) in files::below(folder)? {
            let file = file.strip_prefix(folder)?;
            // A later patch may add files, by the beginning of their name.
            let name = file.display().to_string();
            let added_later = self.without.iter().any(|begin| name.starts_with(begin));
            if self.sources.iter().any(|part| file.starts_with(part)) && !added_later {
                found.push(name);
            }
        }
        Ok(found)
    }
}

/// The table of figures in the documentation, but for those of the livepatch, which is not in the
/// series.
pub(super) fn figures(doc: &str) -> Result<String> {
    let lines = doc
        .lines()
        .skip_while(|line| !line.starts_with(".. table begins"))
        .take_while(|line| !line.starts_with(".. table ends"))
        .filter(|line| line.starts_with('|') || line.starts_with("+="))
        .filter(|line| !line.starts_with("| stock") && !line.starts_with("| livepatch"));
    let table: String = lines.map(|line| format!("  {line}\n")).collect();
    ensure!(
        !table.is_empty(),
        "Documentation/performance.rst has no table: UPDATE=1 make bench writes it"
    );
    Ok(table)
}

/// The cover letter with the table in its place.
pub(super) fn letter(text: &str, table: &str) -> Result<String> {
    let (before, after) = text
        .split_once("@BENCHMARK@\n")
        .context("the cover letter has no place for the table")?;
    Ok(format!("{before}{table}{after}"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const PATCH: &str = "From: a\nSubject: [PATCH 1/4] vfio/pci: Do this\nSources: a b/c.rs\n\
        Without: a/late\n\nWhy.\n\nMore.\n---\n a | 1 +\n\n--- a/x\n";

    #[test]
    fn the_header_of_a_patch() {
        let header = Header::parse(PATCH).unwrap();
        assert_eq!(header.message, "vfio/pci: Do this\n\nWhy.\n\nMore.\n");

        let folder = tempfile::tempdir().unwrap();
        for name in [
            "a/one.rs",
            "a/late.rs",
            "a/late/x.rs",
            "ab/no.rs",
            "b/c.rs",
            "b/d.rs",
        ] {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, name).unwrap();
        }
        assert_eq!(
            header.sources(folder.path()).unwrap(),
            ["a/one.rs", "b/c.rs"]
        );
        assert!(Header::parse("Subject: [PATCH] a\n\nno end\n").is_err());
        assert!(Header::parse("From: a\n\nno subject\n---\n").is_err());
    }

    #[test]
    fn the_table_is_in_the_letter() {
        let doc = "text\n.. table begins: x\n\n+--+\n| a |\n+==+\n| stock |\n| livepatch |\n| b \
                   |\n+--+\n.. table ends\n| no |\n";
        let table = figures(doc).unwrap();
        assert_eq!(table, "  | a |\n  +==+\n  | b |\n");
        assert!(figures("nothing\n").is_err());
        assert_eq!(
            letter("before\n@BENCHMARK@\nafter\n", &table).unwrap(),
            format!("before\n{table}after\n")
        );
    }
}
