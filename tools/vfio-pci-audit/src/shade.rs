// SPDX-License-Identifier: GPL-2.0

//! How pictures show what happened to a byte: the same characters and steps in a terminal, a
//! drawing and a page.
//!
//! Nothing is told by colour only, and what reached the device is never hidden behind what was
//! blocked.

use crate::heat::SPACE;
use crate::record::Op;
use crate::tally::Device;

/// How many steps the scale has. Each stands for four times as often as the one before.
pub const STEPS: u32 = 9;

/// What happened to one byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shade {
    /// How many accesses with a record were allowed.
    pub allowed: u64,
    /// How many were blocked.
    pub blocked: u64,
    /// Whether accesses without a record of their own were allowed.
    pub more_allowed: bool,
    /// Whether such were blocked.
    pub more_blocked: bool,
}

/// What became of the accesses to a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// There were none.
    None,
    /// All were allowed.
    Allowed,
    /// All were blocked.
    Blocked,
    /// Some were allowed, and some blocked.
    Both,
}

impl Shade {
    /// What became of the accesses.
    pub fn fate(&self) -> Fate {
        let allowed = self.allowed > 0 || self.more_allowed;
        let blocked = self.blocked > 0 || self.more_blocked;
        match (allowed, blocked) {
            (false, false) => Fate::None,
            (true, false) => Fate::Allowed,
            (false, true) => Fate::Blocked,
            (true, true) => Fate::Both,
        }
    }

    /// The step of the scale, from 1; 0 if no access has a record of its own, so that it is not
    /// known how often.
    pub fn step(&self) -> u32 {
        match self.allowed.saturating_add(self.blocked) {
            0 => 0,
            count => (count.ilog2() / 2 + 1).min(STEPS),
        }
    }

    /// The character: a digit for allowed, a small letter for blocked, a capital for both; a sign
    /// where no access has a record of its own.
    pub fn glyph(&self) -> char {
        glyph(self.fate(), self.step())
    }

    /// All of it in words.
    pub fn words(&self) -> String {
        if self.fate() == Fate::None {
            return "none".to_owned();
        }
        let mut text = format!("{} allowed, {} blocked", self.allowed, self.blocked);
        text += match (self.more_allowed, self.more_blocked) {
            (false, false) => "",
            (true, false) => ", more allowed without a record",
            (false, true) => ", more blocked without a record",
            (true, true) => ", more allowed and blocked without a record",
        };
        text
    }
}

/// The character of a step.
pub fn glyph(fate: Fate, step: u32) -> char {
    let from = |first: u8| char::from(first + (step.clamp(1, STEPS) - 1) as u8);
    match (fate, step) {
        (Fate::None, _) => '.',
        (Fate::Allowed, 0) => '~',
        (Fate::Blocked, 0) => '-',
        (Fate::Both, 0) => '=',
        (Fate::Allowed, _) => from(b'1'),
        (Fate::Blocked, _) => from(b'a'),
        (Fate::Both, _) => from(b'A'),
    }
}

/// How often a step stands for, as `4-15`; the last has no end.
pub fn numbers(step: u32) -> String {
    let from = 1u64 << (2 * (step.clamp(1, STEPS) - 1));
    match step {
        STEPS.. => format!("{from}+"),
        _ => format!("{from}-{}", 4 * from - 1),
    }
}

/// Every byte of a device, for one operation.
pub fn shades(device: &Device, op: Op) -> Vec<Shade> {
    let (allowed, blocked) = (device.cell(op, true), device.cell(op, false));
    let (allowed_counts, blocked_counts) = (allowed.heat.counts(), blocked.heat.counts());
    (0..SPACE)
        .map(|offset| Shade {
            allowed: allowed_counts[offset],
            blocked: blocked_counts[offset],
            more_allowed: allowed.touched.contains(offset),
            more_blocked: blocked.touched.contains(offset),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shade(allowed: u64, blocked: u64, more_allowed: bool, more_blocked: bool) -> Shade {
        Shade {
            allowed,
            blocked,
            more_allowed,
            more_blocked,
        }
    }

    #[test]
    fn what_reached_the_device_shows() {
        for (cell, glyph) in [
            (shade(0, 0, false, false), '.'),
            (shade(1, 0, false, false), '1'),
            (shade(0, 1, false, false), 'a'),
            (shade(1, 1, false, false), 'A'),
            (shade(0, 0, true, false), '~'),
            (shade(0, 0, false, true), '-'),
            (shade(0, 0, true, true), '='),
            // One with a record was blocked, and others were not.
            (shade(0, 1, true, false), 'A'),
            (shade(5, 0, true, false), '2'),
        ] {
            assert_eq!(cell.glyph(), glyph, "{cell:?}");
        }
    }

    #[test]
    fn the_scale_has_numbers() {
        let steps = [1, 3, 4, 15, 16, 65_535, 65_536, u64::MAX].map(|count| {
            let step = shade(count, 0, false, false).step();
            (step, numbers(step))
        });
        let steps = steps.each_ref().map(|(step, text)| (*step, &**text));
        assert_eq!(
            steps,
            [
                (1, "1-3"),
                (1, "1-3"),
                (2, "4-15"),
                (2, "4-15"),
                (3, "16-63"),
                (8, "16384-65535"),
                (9, "65536+"),
                (9, "65536+")
            ]
        );
        assert_eq!(shade(u64::MAX, u64::MAX, false, false).glyph(), 'I');
    }

    #[test]
    fn no_two_steps_look_the_same() {
        let mut all: Vec<char> = [Fate::Allowed, Fate::Blocked, Fate::Both]
            .into_iter()
            .flat_map(|fate| (0..=STEPS).map(move |step| glyph(fate, step)))
            .collect();
        all.push(glyph(Fate::None, 0));
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
