// SPDX-License-Identifier: GPL-2.0

//! Drawings for reports: a device's configuration space, and where accesses went.

use crate::drawing::{capability_color, class, Drawing, Square};
use crate::heat::SPACE;
use crate::map::{Map, Maps, Owner};
use crate::record::Op;
use crate::shade::{self, Fate, Shade, STEPS};
use crate::tally::Tally;

const WIDTH: usize = 64;

fn owner_square(map: &Map, owner: Owner) -> Square {
    let fill = match owner {
        Owner::Header | Owner::Virtual => Some("var(--header)".to_owned()),
        Owner::Capability(index) => Some(capability_color(index)),
        Owner::Unassigned => None,
    };
    Square {
        glyph: (owner != Owner::Unassigned).then(|| map.glyph(owner)),
        class: fill.as_ref().map(|_| "b0".to_owned()),
        fill,
        title: map.describe(owner),
        ..Square::default()
    }
}

/// A device's configuration space.
pub fn map(map: &Map, width: usize) -> String {
    let mut drawing = Drawing::new();
    drawing.text(&map.title(), true);
    drawing.grid(map.size(), width, |offset| {
        owner_square(map, map.owner(offset))
    });
    for owner in map.assigned() {
        drawing.key(&[owner_square(map, owner)], &map.describe(owner));
    }
    drawing.key(
        &[owner_square(map, Owner::Unassigned)],
        &map.describe(Owner::Unassigned),
    );
    for line in map.hidden_text() {
        drawing.text(&format!("   {line}"), false);
    }
    drawing.finish(&map.title())
}

fn shade_square(shade: Shade, offset: usize, map: Option<&Map>) -> Square {
    let fate = shade.fate();
    let owner = map
        .filter(|map| offset < map.size() && !map.is_unassigned(offset))
        .map(|map| map.owner(offset));
    let mut title = shade.words();
    let mut line = None;
    if let (Some(owner), Some(map)) = (owner, map) {
        title += &format!("; {}", map.describe(owner));
        line = match owner {
            Owner::Capability(index) => Some(capability_color(index)),
            _ => Some("var(--header)".to_owned()),
        };
    }
    Square {
        glyph: (fate != Fate::None).then(|| shade.glyph()),
        class: class(fate, shade.step()),
        hatch: Square::hatch(fate),
        line,
        title,
        fill: None,
    }
}

/// Where the accesses to each device went.
pub fn heat(tally: &Tally, maps: &Maps) -> String {
    let mut drawing = Drawing::new();
    let mut steps = 0;
    for (node, bdf, device) in tally.devices() {
        let on = node.map(|node| format!(" on {node}")).unwrap_or_default();
        let map = maps.find(node, bdf);
        for op in [Op::Write, Op::Read] {
            let shades = shade::shades(device, op);
            if shades.iter().all(|shade| shade.fate() == Fate::None) {
                continue;
            }
            steps = steps.max(shades.iter().map(Shade::step).max().unwrap_or(0));
            drawing.text(&format!("{bdf}{on}: {op}s"), true);
            drawing.grid(SPACE, WIDTH, |offset| {
                shade_square(shades[offset], offset, map.as_ref())
            });
        }
        for owner in map.iter().flat_map(Map::assigned) {
            let Some(map) = &map else { continue };
            drawing.key(&[owner_square(map, owner)], &map.describe(owner));
        }
    }
    scale(&mut drawing, steps.max(1));
    drawing.finish("Accesses to unassigned configuration space, by byte")
}

/// The scale, with numbers.
fn scale(drawing: &mut Drawing, steps: u32) {
    let square = |fate: Fate, step: u32| Square {
        glyph: Some(shade::glyph(fate, step)),
        class: class(fate, step),
        hatch: Square::hatch(fate),
        title: String::new(),
        ..Square::default()
    };
    let all = |step| [Fate::Allowed, Fate::Blocked, Fate::Both].map(|fate| square(fate, step));
    drawing.text("allowed, blocked, both", true);
    for step in 1..=steps.min(STEPS) {
        drawing.key(&all(step), &format!("{} times", shade::numbers(step)));
    }
    drawing.key(&all(0), "only without a record of their own");
}
