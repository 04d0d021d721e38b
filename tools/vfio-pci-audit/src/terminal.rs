// SPDX-License-Identifier: GPL-2.0

//! How wide lines may be.

use std::env;

use terminal_size::{terminal_size_of, Width};

/// The width of lines where neither COLUMNS nor a terminal has one.
const DEFAULT: usize = 100;
/// The first word of a line for /etc/modprobe.d.
const MODULE_OPTIONS: &str = "options ";
/// The first character of a colour's escape sequence.
const ESCAPE: char = '\u{1b}';

/// How many columns there are.
pub fn width() -> usize {
    said().unwrap_or(DEFAULT)
}

/// The width in COLUMNS, or else that of the terminal that standard output is.
fn said() -> Option<usize> {
    let columns = env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let terminal = || terminal_size_of(std::io::stdout()).map(|(Width(width), _)| width.into());
    columns.or_else(terminal).filter(|width| *width >= 20)
}

/// Fold long lines of a text if it goes to a terminal; elsewhere lines stay whole.
pub fn fold(text: &str) -> String {
    match said() {
        Some(width) => fold_to(text, width),
        None => text.to_owned(),
    }
}

fn fold_to(text: &str, width: usize) -> String {
    /// Below the words of a report's lines.
    const INDENT: usize = 12;

    let mut folded = String::new();
    for line in text.lines() {
        let mut rest = line;
        let mut indent = 0;
        // A line to copy to a file is of no use in parts.
        let is_whole = line.trim_start().starts_with(MODULE_OPTIONS);
        while !is_whole && columns(rest) + indent > width {
            // The space itself may be one column too far.
            let limit = after_columns(rest, width - indent + 1);
            let start = rest.len() - rest.trim_start().len();
            let space = rest[..limit].rfind(' ').filter(|at| *at > start);
            // A word that is longer than a line stays whole.
            let Some(at) = space.or_else(|| rest[start..].find(' ').map(|at| start + at)) else {
                break;
            };
            folded += &" ".repeat(indent);
            folded += rest[..at].trim_end();
            folded.push('\n');
            rest = rest[at..].trim_start();
            indent = INDENT.min(width / 2);
        }
        folded += &" ".repeat(indent);
        folded += rest;
        folded.push('\n');
    }
    folded
}

/// The characters of a text that take a column, with where each of them is: all but the escape
/// sequences of colours.
fn shown(text: &str) -> impl Iterator<Item = usize> + '_ {
    let mut in_escape = false;
    text.char_indices().filter_map(move |(at, char)| {
        let is_shown = !in_escape && char != ESCAPE;
        in_escape = char == ESCAPE || in_escape && char != 'm';
        is_shown.then_some(at)
    })
}

fn columns(text: &str) -> usize {
    shown(text).count()
}

/// Where the text behind that many columns begins.
fn after_columns(text: &str, columns: usize) -> usize {
    shown(text).nth(columns).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_folded_at_spaces() {
        let text = "  held by   qemu 42, uid 0: 1 session\nshort\n";
        assert_eq!(
            fold_to(text, 24),
            "  held by   qemu 42, uid\n            0: 1 session\nshort\n"
        );
        assert_eq!(fold_to(text, 100), text);
        let coloured = "\u{1b}[31m1111111111\u{1b}[0m 111111111\n";
        assert_eq!(fold_to(coloured, 20), coloured);
        assert_eq!(
            fold_to(coloured, 19),
            "\u{1b}[31m1111111111\u{1b}[0m\n         111111111\n"
        );
        let options = "  options vfio_pci_audit block_pci_unassigned_write=Y\n";
        assert_eq!(fold_to(options, 20), options);
        let word = "  aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n";
        assert_eq!(fold_to(word, 20), word);
    }
}
