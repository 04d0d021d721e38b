// SPDX-License-Identifier: GPL-2.0

//! Pictures of a configuration space in a terminal, a character for each byte.
//!
//! They have colours, which whoever prints them takes away where no terminal shows them. Nothing is told by
//! colour only.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use crate::heat::SPACE;
use crate::record::Op;
use crate::tally::Device;

/// A byte in a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dot {
    /// How it is shown.
    pub glyph: char,
    /// In which colour.
    pub style: Style,
}

impl Dot {
    /// A character in a colour of its own.
    pub fn new(glyph: char, color: AnsiColor) -> Self {
        Self {
            glyph,
            style: color.on_default(),
        }
    }

    /// A character that is there to be looked past.
    pub fn faint(glyph: char) -> Self {
        Self {
            glyph,
            style: Style::new().dimmed(),
        }
    }
}

/// How many bytes a row has where there are so many columns.
pub fn bytes_a_row(columns: usize) -> usize {
    const MARGIN: usize = 8;

    // With a gap every sixteen.
    let fits = |bytes: &usize| MARGIN + bytes + bytes / 16 <= columns;
    [64, 32].into_iter().find(fits).unwrap_or(16)
}

/// Rows of `width` bytes with their offsets. As hexdump(1) does, `*` stands for rows that are like the one before.
pub fn rows(size: usize, width: usize, dot: impl Fn(usize) -> Dot) -> String {
    let mut text = String::new();
    let mut before = Vec::new();
    let mut left_out = false;
    for start in (0..size).step_by(width) {
        let row: Vec<Dot> = (start..(start + width).min(size)).map(&dot).collect();
        if row == before {
            if !std::mem::replace(&mut left_out, true) {
                text.push_str("    *\n");
            }
            continue;
        }
        left_out = false;
        // Writing to a String cannot fail.
        let _ = write!(text, "    {start:03x} ");
        let mut current = Style::new();
        for (column, Dot { glyph, style }) in row.iter().enumerate() {
            if column % 16 == 0 && column > 0 {
                text.push(' ');
            }
            if *style != current {
                let _ = write!(text, "{current:#}{style}");
                current = *style;
            }
            text.push(*glyph);
        }
        let _ = writeln!(text, "{current:#}");
        before = row;
    }
    text
}

/// How often, as a character: 1 for once, a digit more for each doubling; `~` for accesses without a record.
fn level(count: u64, unrecorded: bool) -> char {
    match count {
        0 if unrecorded => '~',
        0 => '.',
        count => char::from_digit((count.ilog2() + 1).min(9), 10).unwrap_or('9'),
    }
}

/// Where a device's accesses went: a picture of its reads and one of its writes.
pub fn heat(device: &Device, width: usize) -> String {
    let mut text = String::new();
    for op in [Op::Write, Op::Read] {
        let dots = heat_dots(device, op);
        if dots.iter().all(|dot| dot.glyph == '.') {
            continue;
        }
        let _ = writeln!(
            text,
            "  {op}s by byte: digit n is 2^(n-1) or more, ~ without a record, . none; blocked ones are red"
        );
        text += &rows(SPACE, width, |offset| dots[offset]);
    }
    text
}

fn heat_dots(device: &Device, op: Op) -> Vec<Dot> {
    let allowed = device.cell(op, true);
    let blocked = device.cell(op, false);
    let (allowed_counts, blocked_counts) = (allowed.heat.counts(), blocked.heat.counts());
    (0..SPACE)
        .map(|offset| {
            let denied = blocked_counts[offset] > 0 || blocked.touched.contains(offset);
            let unrecorded = allowed.touched.contains(offset) || blocked.touched.contains(offset);
            let count = allowed_counts[offset].saturating_add(blocked_counts[offset]);
            match level(count, unrecorded) {
                '.' => Dot::faint('.'),
                glyph if denied => Dot::new(glyph, AnsiColor::Red),
                glyph => Dot::new(glyph, AnsiColor::Green),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_fit() {
        let rows = [20, 41, 42, 75, 76, 200].map(bytes_a_row);
        assert_eq!(rows, [16, 16, 32, 32, 64, 64]);
    }

    #[test]
    fn levels() {
        let levels: String = [0, 1, 2, 3, 4, 255, 256, 511, u64::MAX]
            .map(|count| level(count, true))
            .iter()
            .collect();
        assert_eq!(levels, "~12238999");
        assert_eq!(level(0, false), '.');
    }

    #[test]
    fn rows_like_the_one_before_are_one_line() {
        let plain = |glyph| Dot {
            glyph,
            style: Style::new(),
        };
        let picture = rows(88, 16, |offset| plain(if offset == 5 { 'x' } else { '.' }));
        let empty = ".".repeat(16);
        assert_eq!(
            picture,
            format!("    000 .....x..........\n    010 {empty}\n    *\n    050 ........\n")
        );
        let red = rows(4, 16, |offset| match offset {
            1 | 2 => Dot::new('r', AnsiColor::Red),
            _ => plain('.'),
        });
        assert_eq!(red, "    000 .\u{1b}[31mrr\u{1b}[0m.\n");
    }
}
