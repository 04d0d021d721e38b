// SPDX-License-Identifier: GPL-2.0

//! What compilers say.

use anyhow::{bail, Result};

/// How many lines of each complaint are shown besides the first.
const MORE: usize = 12;

/// An error with what the output of a build complains of, if there is anything.
pub(crate) fn judge(output: &str) -> Result<()> {
    match complaints(output) {
        said if said.is_empty() => Ok(()),
        said => bail!(said),
    }
}

fn complaints(output: &str) -> String {
    let mut shown = String::new();
    let mut left = 0;
    for line in output.lines() {
        if complains(line) {
            left = MORE + 1;
        }
        if left > 0 {
            left -= 1;
            shown.push_str(line);
            shown.push('\n');
        }
    }
    shown
}

/// rustc begins a line with the word; C compilers write it behind the place.
fn complains(line: &str) -> bool {
    let placed = |word: &str| {
        line.match_indices(word)
            .any(|(at, _)| line[..at].ends_with(|c: char| c.is_ascii_digit()))
    };
    line.starts_with("warning")
        || line.starts_with("error")
        || placed(": warning:")
        || placed(": error:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_of_compilers() {
        assert!(complains("warning: unused variable"));
        assert!(complains("drivers/a.c:12:3: error: no such thing"));
        assert!(!complains("  CC      drivers/error: 1"));
        assert!(judge("  CC  a.o\n  LD  b.o\n").is_ok());
        let after = "x\n".repeat(20);
        let said = complaints(&format!("  CC a.o\na.c:1: warning: b\n{after}"));
        assert_eq!(said.lines().count(), 13);
    }
}
