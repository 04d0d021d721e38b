// SPDX-License-Identifier: GPL-2.0

//! Pictures of a configuration space in a terminal, a character for each byte.
//!
//! They have colours, which are taken away where no terminal shows them. Nothing is told by colour
//! only.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use crate::heat::SPACE;
use crate::map::Map;
use crate::record::Op;
use crate::shade::{self, Fate, Shade};
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

    /// A faint character.
    pub fn faint(glyph: char) -> Self {
        Self {
            glyph,
            style: Style::new().dimmed(),
        }
    }
}

/// The number of bytes in a row of a terminal with so many columns.
pub fn bytes_a_row(columns: usize) -> usize {
    const MARGIN: usize = 8;

    // With a gap every sixteen.
    let fits = |bytes: &usize| MARGIN + bytes + bytes / 16 <= columns;
    [64, 32].into_iter().find(fits).unwrap_or(16)
}

/// Rows of `width` bytes with their offsets. As hexdump(1) does, `*` stands for rows that are like
/// the one before.
pub fn rows(size: usize, width: usize, dot: impl Fn(usize) -> Dot) -> String {
    let mut text = axis(width);
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

/// The offsets of the columns, at every sixteenth.
fn axis(width: usize) -> String {
    let groups = (0..width)
        .step_by(16)
        .map(|column| format!("+{column:02x}"));
    let text: String = groups.map(|group| format!("{group:17}")).collect();
    format!("        {}\n", text.trim_end())
}

/// Where a device's accesses went: a picture of its writes and one of its reads, of `width` bytes a
/// row. With its `map`, bytes that belong to something are told from unassigned ones.
pub fn heat(device: &Device, map: Option<&Map>, width: usize) -> String {
    let mut text = String::new();
    let mut steps = 0;
    for op in [Op::Write, Op::Read] {
        let shades = shade::shades(device, op);
        if shades.iter().all(|shade| shade.fate() == Fate::None) {
            continue;
        }
        steps = steps.max(shades.iter().map(Shade::step).max().unwrap_or(0));
        let _ = writeln!(text, "  {op}s by byte");
        text += &rows(SPACE, width, |offset| dot(shades[offset], map, offset));
    }
    if !text.is_empty() {
        text += &key(map, steps);
    }
    text
}

fn dot(shade: Shade, map: Option<&Map>, offset: usize) -> Dot {
    match (shade.fate(), map) {
        (Fate::None, Some(map)) if offset < map.size() && !map.is_unassigned(offset) => {
            Dot::faint(':')
        }
        (Fate::None, _) => Dot::faint('.'),
        (fate, _) => Dot {
            glyph: shade.glyph(),
            style: style(fate),
        },
    }
}

/// Blue and yellow, which red-green colour blindness does not confuse.
fn style(fate: Fate) -> Style {
    match fate {
        Fate::None => Style::new().dimmed(),
        Fate::Allowed => AnsiColor::Cyan.on_default(),
        Fate::Blocked => AnsiColor::Yellow.on_default().bold(),
        Fate::Both => AnsiColor::Magenta.on_default().bold(),
    }
}

/// What the characters stand for, as far as there are such.
fn key(map: Option<&Map>, steps: u32) -> String {
    let mut text = String::new();
    let mut line = |glyphs: &[(Fate, u32)], says: &str| {
        text.push_str("   ");
        for (fate, step) in glyphs {
            let style = style(*fate);
            let _ = write!(text, " {style}{}{style:#}", shade::glyph(*fate, *step));
        }
        let _ = writeln!(text, "  {says}");
    };
    let all = |step| {
        [
            (Fate::Allowed, step),
            (Fate::Blocked, step),
            (Fate::Both, step),
        ]
    };
    line(&all(0), "allowed, blocked, both: without a record");
    for step in 1..=steps {
        let times = shade::numbers(step);
        line(
            &all(step),
            &format!("allowed, blocked, both: {times} times"),
        );
    }
    line(&[(Fate::None, 0)], "none");
    if let Some(map) = map {
        text.push_str("    :  none, and the byte is assigned:\n");
        for owner in map.assigned() {
            let _ = writeln!(text, "       {}", map.describe(owner));
        }
    }
    text
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
    fn rows_like_the_one_before_are_one_line() {
        let plain = |glyph| Dot {
            glyph,
            style: Style::new(),
        };
        let picture = rows(88, 16, |offset| plain(if offset == 5 { 'x' } else { '.' }));
        let empty = ".".repeat(16);
        assert_eq!(
            picture,
            format!(
                "        +00\n    000 .....x..........\n    010 {empty}\n    *\n    050 ........\n"
            )
        );
        let wide = rows(64, 64, |_| plain('.'));
        assert!(
            wide.starts_with("        +00              +10              +20              +30\n")
        );
        let red = rows(4, 16, |offset| match offset {
            1 | 2 => Dot::new('r', AnsiColor::Red),
            _ => plain('.'),
        });
        assert_eq!(red, "        +00\n    000 .\u{1b}[31mrr\u{1b}[0m.\n");
    }
}
