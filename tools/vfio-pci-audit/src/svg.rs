// SPDX-License-Identifier: GPL-2.0

//! Drawings for reports: configuration spaces as grids of squares, as SVG.

use std::fmt::Write;

use crate::heat::SPACE;
use crate::map::{Map, Owner};
use crate::record::Op;
use crate::tally::{Device, Tally};

const BYTE: usize = 10;
const GAP: usize = 20;
const LABEL: usize = 50;
const LINE: usize = 18;
const WIDTH: usize = 64;

/// Colours that people who confuse red and green can tell apart, too.
const CAPABILITIES: [&str; 8] = [
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#f0e442", "#8c564b", "#9467bd",
];
const HEADER: &str = "#555555";
const UNASSIGNED: &str = "#eeeeee";

/// A drawing that grows downwards.
struct Drawing {
    body: String,
    width: usize,
    height: usize,
}

impl Drawing {
    fn new() -> Self {
        Self {
            body: String::new(),
            width: GAP,
            height: GAP,
        }
    }

    fn text(&mut self, x: usize, text: &str, bold: bool) {
        self.height += LINE;
        let weight = if bold { " font-weight=\"bold\"" } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(
            self.body,
            "<text x=\"{x}\" y=\"{}\"{weight}>{}</text>",
            self.height - 5,
            escape(text)
        );
        // Roughly: nobody knows the font.
        self.width = self.width.max(x + text.chars().count() * 8 + GAP);
    }

    /// A line of a key: a square of the colour, and what it means.
    fn key(&mut self, fill: &str, text: &str) {
        let _ = writeln!(
            self.body,
            "<rect x=\"{GAP}\" y=\"{}\" width=\"{BYTE}\" height=\"{BYTE}\" fill=\"{fill}\" stroke=\"#999999\"/>",
            self.height + 5
        );
        self.text(GAP + 2 * BYTE, text, false);
    }

    /// Squares for `size` bytes in rows of `width`; neighbours that look and say the same are one shape.
    fn grid(&mut self, size: usize, width: usize, square: impl Fn(usize) -> (String, String)) {
        for start in (0..size).step_by(width) {
            let y = self.height;
            let _ = writeln!(
                self.body,
                "<text x=\"{GAP}\" y=\"{}\">{start:03x}</text>",
                y + BYTE - 1
            );
            let end = (start + width).min(size);
            let mut from = start;
            let mut current = square(start);
            for offset in start + 1..=end {
                let next = (offset < end).then(|| square(offset));
                if next.as_ref() == Some(&current) {
                    continue;
                }
                let _ = writeln!(
                    self.body,
                    "<rect x=\"{}\" y=\"{y}\" width=\"{}\" height=\"{BYTE}\" fill=\"{}\" stroke=\"white\" \
                     stroke-width=\"0.5\"><title>{}</title></rect>",
                    GAP + LABEL + (from - start) * BYTE,
                    (offset - from) * BYTE,
                    current.0,
                    escape(&current.1)
                );
                from = offset;
                if let Some(next) = next {
                    current = next;
                }
            }
            self.height += BYTE;
        }
        self.width = self.width.max(2 * GAP + LABEL + width * BYTE);
        self.height += GAP / 2;
    }

    fn finish(self) -> String {
        let (width, height) = (self.width, self.height + GAP);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"monospace\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{}</svg>\n",
            self.body
        )
    }
}

fn escape(text: &str) -> String {
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

fn capability_color(index: usize) -> &'static str {
    CAPABILITIES[index % CAPABILITIES.len()]
}

/// A device's configuration space.
pub fn map(map: &Map, width: usize) -> String {
    let mut drawing = Drawing::new();
    drawing.text(GAP, &map.title(), true);
    drawing.grid(map.size(), width, |offset| {
        let owner = map.owner(offset);
        let fill = match owner {
            Owner::Header | Owner::Virtual => HEADER,
            Owner::Capability(index) => capability_color(index),
            Owner::Unassigned => UNASSIGNED,
        };
        (fill.to_owned(), map.describe(owner))
    });
    for owner in map.assigned() {
        let color = match owner {
            Owner::Capability(index) => capability_color(index),
            _ => HEADER,
        };
        drawing.key(color, &map.describe(owner));
    }
    drawing.key(UNASSIGNED, &map.describe(Owner::Unassigned));
    for line in map.hidden_text() {
        drawing.text(GAP + 2 * BYTE, &line, false);
    }
    drawing.finish()
}

/// From pale to dark with each doubling of the count, blue for what was allowed and red for what was blocked.
fn heat_color(count: u64, unrecorded: bool, blocked: bool) -> String {
    if count == 0 && !unrecorded {
        return UNASSIGNED.to_owned();
    }
    // What has no record is shown as once.
    let level = u64::from(count.max(1).ilog2() + 1).min(16);
    let pale = 200 - level * 12;
    match blocked {
        true => format!("rgb(220,{pale},{pale})"),
        false => format!("rgb({pale},{pale},220)"),
    }
}

/// Where the accesses to each device went.
pub fn heat(tally: &Tally) -> String {
    let mut drawing = Drawing::new();
    for (node, bdf, device) in tally.devices() {
        for op in [Op::Write, Op::Read] {
            let on = node.map(|node| format!(" on {node}")).unwrap_or_default();
            heat_grid(&mut drawing, &format!("{bdf}{on}: {op}s"), device, op);
        }
    }
    drawing.key(&heat_color(1, false, false), "allowed, once");
    drawing.key(&heat_color(1 << 15, false, false), "allowed, often");
    drawing.key(&heat_color(1, false, true), "blocked, once");
    drawing.key(&heat_color(1 << 15, false, true), "blocked, often");
    drawing.finish()
}

fn heat_grid(drawing: &mut Drawing, title: &str, device: &Device, op: Op) {
    let allowed = device.cell(op, true);
    let blocked = device.cell(op, false);
    if allowed.accesses() == 0 && blocked.accesses() == 0 {
        return;
    }
    let (allowed_counts, blocked_counts) = (allowed.heat.counts(), blocked.heat.counts());
    drawing.text(GAP, title, true);
    drawing.grid(SPACE, WIDTH, |offset| {
        let (let_through, denied) = (allowed_counts[offset], blocked_counts[offset]);
        let unrecorded = allowed.touched.contains(offset) || blocked.touched.contains(offset);
        let is_blocked = denied > 0 || blocked.touched.contains(offset);
        let count = let_through.saturating_add(denied);
        let mut says = format!("{let_through} allowed, {denied} blocked");
        if unrecorded {
            says += ", and more without a record";
        }
        if count == 0 && !unrecorded {
            says = "none".to_owned();
        }
        (heat_color(count, unrecorded, is_blocked), says)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_escapes() {
        assert_eq!(
            escape("<a & \"b\">\x01"),
            "&lt;a &amp; &quot;b&quot;&gt;\u{fffd}"
        );
    }

    #[test]
    fn every_count_has_a_colour() {
        assert_eq!(heat_color(0, false, true), UNASSIGNED);
        assert_eq!(heat_color(0, true, false), heat_color(1, false, false));
        assert_eq!(heat_color(u64::MAX, true, true), "rgb(220,8,8)");
    }
}
