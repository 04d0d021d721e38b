// SPDX-License-Identifier: GPL-2.0

//! Drawings of configuration spaces as grids of squares, as SVG, in light and dark.

use std::fmt::Write;

use crate::shade::{Fate, STEPS};

const BYTE: usize = 14;
const GAP: usize = 20;
const LABEL: usize = 48;
const LINE: usize = 18;

/// What all drawings and pages have in common: the colours of what was allowed (blue), blocked
/// (orange) and both (purple), from pale to strong. Blocked squares are hatched, too.
pub fn colors() -> String {
    let mut style = String::from(
        ":root{--paper:#fff;--ink:#1a1a1a;--faint:#767676;--none:#f0f0f0;--header:#c8c8c8}\n\
         @media (prefers-color-scheme:dark){:root{--paper:#16181c;--ink:#e8e8e8;--faint:#9a9a9a;\
         --none:#25282e;--header:#4a4f58}}\n",
    );
    for (name, hue, saturation) in [("a", 212, 80), ("b", 32, 95), ("m", 285, 60)] {
        for step in 0..=STEPS {
            let light = 92 - step * 6;
            let ink = if light > 60 { "#111" } else { "#fff" };
            // Writing to a String cannot fail.
            let _ = writeln!(
                style,
                ".{name}{step}{{fill:hsl({hue} {saturation}% {light}%);--on:{ink};\
                 background-color:hsl({hue} {saturation}% {light}%);color:{ink}}}"
            );
        }
    }
    style
}

/// The class of a square, as [`colors`] has it.
pub fn class(fate: Fate, step: u32) -> Option<String> {
    let name = match fate {
        Fate::None => return None,
        Fate::Allowed => 'a',
        Fate::Blocked => 'b',
        Fate::Both => 'm',
    };
    Some(format!("{name}{step}"))
}

/// A colour for each capability: no two are the same.
pub fn capability_color(index: usize) -> String {
    // The golden angle keeps any number of hues apart.
    let hue = (index * 1375 / 10 + 200) % 360;
    let light = 58 + 14 * (index / 12 % 2);
    format!("hsl({hue} 62% {light}%)")
}

/// A square of a grid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Square {
    /// The character in it.
    pub glyph: Option<char>,
    /// The class of its colour; nothing for a byte that nothing happened to.
    pub class: Option<String>,
    /// A colour of its own.
    pub fill: Option<String>,
    /// The pattern over it.
    pub hatch: Option<&'static str>,
    /// The colour of the line below it.
    pub line: Option<String>,
    /// What it stands for.
    pub title: String,
}

impl Square {
    /// The pattern of a fate.
    pub fn hatch(fate: Fate) -> Option<&'static str> {
        match fate {
            Fate::Blocked => Some("hatch"),
            Fate::Both => Some("cross"),
            Fate::None | Fate::Allowed => None,
        }
    }
}

/// A drawing that grows downwards.
pub struct Drawing {
    body: String,
    width: usize,
    height: usize,
}

impl Drawing {
    /// An empty one.
    #[allow(clippy::new_without_default)] // It is not empty in the way of a value.
    pub fn new() -> Self {
        Self {
            body: String::new(),
            width: GAP,
            height: GAP,
        }
    }

    /// A line of text.
    pub fn text(&mut self, text: &str, bold: bool) {
        self.text_at(GAP, text, bold);
    }

    fn text_at(&mut self, x: usize, text: &str, bold: bool) {
        self.height += LINE;
        let weight = if bold { " font-weight=\"bold\"" } else { "" };
        let _ = writeln!(
            self.body,
            "<text x=\"{x}\" y=\"{}\"{weight}>{}</text>",
            self.height - 5,
            escape(text)
        );
        // Roughly: fonts differ.
        self.width = self.width.max(x + text.chars().count() * 8 + GAP);
    }

    /// A line of a key: squares, and what they mean.
    pub fn key(&mut self, squares: &[Square], text: &str) {
        let y = self.height + 2;
        for (at, square) in squares.iter().enumerate() {
            self.square(GAP + at * (BYTE + 2), y, 1, square);
        }
        self.text_at(GAP + squares.len() * (BYTE + 2) + 6, text, false);
    }

    /// Squares for `size` bytes in rows of `width`; neighbours that look and say the same are one
    /// shape, and rows that do are one row.
    pub fn grid(&mut self, size: usize, width: usize, square: impl Fn(usize) -> Square) {
        self.axis(width);
        let squares: Vec<Square> = (0..size).map(square).collect();
        let mut rest = squares.chunks(width).peekable();
        let mut start = 0;
        while let Some(row) = rest.next() {
            let first = &row[0];
            let like_it = |row: &[Square]| row.iter().all(|square| square == first);
            let mut rows = 1;
            while like_it(row) && rest.next_if(|next| like_it(next)).is_some() {
                rows += 1;
            }
            // A single row takes no more room than what would be said of it.
            match rows {
                1 => self.row(start, row),
                _ => self.folded(start, rows, width, first),
            }
            start += rows * width;
        }
        self.width = self.width.max(2 * GAP + LABEL + width * BYTE);
        self.height += GAP / 2;
    }

    /// The offsets of the columns.
    fn axis(&mut self, width: usize) {
        self.height += LINE;
        for column in (0..width).step_by(4) {
            let _ = writeln!(
                self.body,
                "<text class=\"f\" x=\"{}\" y=\"{}\">+{column:02x}</text>",
                GAP + LABEL + column * BYTE,
                self.height - 5
            );
        }
    }

    fn label(&mut self, start: usize) {
        let _ = writeln!(
            self.body,
            "<text class=\"f\" x=\"{GAP}\" y=\"{}\">{start:03x}</text>",
            self.height + BYTE - 4
        );
    }

    fn folded(&mut self, start: usize, rows: usize, width: usize, square: &Square) {
        self.label(start);
        let (x, y) = (GAP + LABEL, self.height);
        let plain = Square {
            glyph: None,
            ..square.clone()
        };
        self.square(x, y, width, &plain);
        let on = square.class.as_deref().unwrap_or("n");
        let glyph = square
            .glyph
            .map(|glyph| format!("{glyph} "))
            .unwrap_or_default();
        let text = format!(
            "{glyph}to {:03x}, {rows} rows: {}",
            start + rows * width - 1,
            square.title
        );
        let _ = writeln!(
            self.body,
            "<text class=\"l {on}\" x=\"{}\" y=\"{}\">{}</text>",
            x + 4,
            y + BYTE - 4,
            escape(&text)
        );
        self.height += BYTE;
    }

    fn row(&mut self, start: usize, row: &[Square]) {
        self.label(start);
        let mut x = GAP + LABEL;
        for same in row.chunk_by(|one, next| one == next) {
            self.square(x, self.height, same.len(), &same[0]);
            x += same.len() * BYTE;
        }
        self.height += BYTE;
    }

    /// A square of `bytes` bytes, with its character in each.
    fn square(&mut self, x: usize, y: usize, bytes: usize, square: &Square) {
        let width = bytes * BYTE;
        let rect = |body: &mut String, paint: &str| {
            let _ = write!(
                body,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{BYTE}\"{paint}/>"
            );
        };
        let body = &mut self.body;
        let _ = write!(body, "<g><title>{}</title>", escape(&square.title));
        rect(body, &paint(square));
        if let Some(hatch) = square.hatch {
            rect(body, &format!(" fill=\"url(#{hatch})\""));
        }
        if let Some(line) = &square.line {
            let _ = write!(
                body,
                "<rect x=\"{x}\" y=\"{}\" width=\"{width}\" height=\"3\" style=\"fill:{line}\"/>",
                y + BYTE - 3
            );
        }
        if let Some(glyph) = square.glyph {
            let on = square.class.as_deref().unwrap_or("n");
            let columns: Vec<String> = (0..bytes)
                .map(|byte| (x + byte * BYTE + BYTE / 2).to_string())
                .collect();
            let _ = write!(
                body,
                "<text class=\"c {on}\" x=\"{}\" y=\"{}\">{}</text>",
                columns.join(" "),
                y + BYTE - 4,
                escape(&glyph.to_string().repeat(bytes))
            );
        }
        body.push_str("</g>\n");
    }

    /// The drawing as a file, by a title.
    pub fn finish(self, title: &str) -> String {
        let (width, height) = (self.width, self.height + GAP);
        let pattern = |name: &str, path: &str| {
            format!(
                "<pattern id=\"{name}\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\">\
                 <path d=\"{path}\" class=\"p\"/></pattern>"
            )
        };
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"monospace\" font-size=\"12\" \
             role=\"img\" aria-labelledby=\"t\">\n\
             <title id=\"t\">{}</title>\n<style>\n{}\
             text{{fill:var(--ink)}} .f{{fill:var(--faint);font-size:10px}} .n{{--on:var(--ink)}}\n\
             .c,.l{{fill:var(--on);font-size:10px;pointer-events:none}} \
             .c{{text-anchor:middle;font-weight:bold}}\n\
             rect{{stroke:var(--paper);stroke-width:.5}} .e{{fill:var(--none)}} \
             .h{{fill:var(--header)}}\n\
             .p{{stroke:#000;stroke-opacity:.3;stroke-width:1;fill:none}}\n</style>\n\
             <defs>{}{}</defs>\n\
             <rect width=\"100%\" height=\"100%\" style=\"fill:var(--paper)\"/>\n{}</svg>\n",
            escape(title),
            colors(),
            pattern("hatch", "M0 5L5 0"),
            pattern("cross", "M0 5L5 0M0 0L5 5"),
            self.body
        )
    }
}

fn paint(square: &Square) -> String {
    match (&square.class, &square.fill) {
        (_, Some(fill)) => format!(" style=\"fill:{fill}\""),
        (Some(class), None) => format!(" class=\"{class}\""),
        (None, None) => " class=\"e\"".to_owned(),
    }
}

/// A text as XML and HTML have it.
pub fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            // Not allowed in XML at all.
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn nothing_escapes() {
        assert_eq!(
            escape("<a & \"b\">\x01"),
            "&lt;a &amp; &quot;b&quot;&gt;\u{fffd}"
        );
    }

    #[test]
    fn no_two_capabilities_have_one_colour() {
        let colors: HashSet<_> = (0..30).map(capability_color).collect();
        assert_eq!(colors.len(), 30);
    }

    #[test]
    fn rows_that_are_the_same_are_one() {
        let square = |offset| Square {
            class: (offset == 0x85).then(|| "b1".to_owned()),
            hatch: (offset == 0x85).then_some("hatch"),
            glyph: (offset == 0x85).then_some('a'),
            title: if offset == 0x85 { "1 blocked" } else { "none" }.to_owned(),
            ..Square::default()
        };
        let mut drawing = Drawing::new();
        drawing.grid(0x100, 0x10, square);
        let svg = drawing.finish("x");
        assert!(svg.contains("to 07f, 8 rows: none"), "{svg}");
        assert!(svg.contains("to 0ff, 7 rows: none"), "{svg}");
        assert!(svg.contains("fill=\"url(#hatch)\""), "{svg}");
        assert!(svg.contains("<title>1 blocked</title>"), "{svg}");
        assert!(svg.contains(">a</text>"), "{svg}");
    }
}
