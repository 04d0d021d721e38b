// SPDX-License-Identifier: GPL-2.0

//! What is known of unassigned bytes, for the map of a device.

use std::ops::Range;

use anstyle::AnsiColor;
use pci_config::hidden::hidden;
use pci_config::ConfigMap;
use serde::Serialize;

use super::beyond::{self, Beyond};
use super::print::RegisterReport;
use super::subject::Subject;
use crate::picture::Dot;
use crate::words::range_text;

/// The marks of a device.
#[derive(Debug)]
pub struct Marks {
    marks: Vec<Mark>,
    registers: Vec<RegisterReport>,
    beyond: Vec<Beyond>,
}

#[derive(Debug)]
struct Mark {
    range: Range<usize>,
    glyph: char,
    text: String,
}

/// What is known, as a value.
#[derive(Debug, Serialize)]
pub struct MarksReport<'a> {
    /// Registers that drivers use.
    known: &'a [RegisterReport],
    /// What goes past the hook.
    beyond: &'a [Beyond],
}

impl Marks {
    const REGISTER: char = '!';
    const HIDDEN: char = '~';

    /// The marks of a device whose configuration space is given, if it is known what it is.
    pub fn new(subject: Option<&Subject>, config: &[u8], map: &ConfigMap) -> Self {
        // Bytes of a register that VFIO knows need no mark.
        let rows = subject.into_iter().flat_map(Subject::registers);
        let rows = rows.filter(|row| !map.runs(row.bytes.range().clone()).is_empty());
        let rows: Vec<_> = rows.collect();
        let registers = rows.iter().map(|row| Mark {
            range: row.bytes.range().clone(),
            glyph: Self::REGISTER,
            text: format!("{} {}, {} ({})", row.op, row.name, row.function, row.source),
        });
        // These are there also where it is not known what the device is.
        let hidden = hidden(config, map).into_iter().map(|hidden| {
            let cap = &hidden.capability;
            Mark {
                range: hidden.range.clone(),
                glyph: Self::HIDDEN,
                text: format!(
                    "[{}] {}: VFIO hides it",
                    cap.id_text(),
                    cap.name().unwrap_or("unknown to Linux")
                ),
            }
        });
        let mut marks: Vec<Mark> = hidden.chain(registers).collect();
        marks.sort_by_key(|mark| mark.range.start);
        Self {
            marks,
            registers: rows.into_iter().map(RegisterReport::new).collect(),
            beyond: subject.map_or(Vec::new(), |subject| beyond::of(&subject.device, Some(map))),
        }
    }

    /// How an unassigned byte is shown; nothing if nothing is known of it.
    pub fn dot(&self, offset: usize) -> Option<Dot> {
        // A driver's need tells more than the name of a capability.
        let marks = self
            .marks
            .iter()
            .filter(|mark| mark.range.contains(&offset));
        let mark = marks.min_by_key(|mark| mark.glyph)?;
        Some(Self::shown(mark.glyph))
    }

    fn shown(glyph: char) -> Dot {
        match glyph {
            Self::REGISTER => Dot::new(glyph, AnsiColor::BrightYellow),
            _ => Dot::new(glyph, AnsiColor::BrightMagenta),
        }
    }

    /// The lines on a run of unassigned bytes.
    pub fn within(&self, run: &Range<usize>) -> String {
        let marks = self.marks.iter();
        marks
            .filter(|mark| mark.range.start < run.end && run.start < mark.range.end)
            .map(|mark| {
                let Dot { glyph, style } = Self::shown(mark.glyph);
                let range = range_text(&mark.range);
                format!("    {style}{glyph}{style:#} {range} {}\n", mark.text)
            })
            .collect()
    }

    /// The lines on what goes past the hook.
    pub fn beyond(&self) -> String {
        let beyond = self.beyond.iter();
        beyond
            .map(|beyond| format!("  not covered: {}\n", beyond.text()))
            .collect()
    }

    /// All of it as a value for a program.
    pub fn report(&self) -> MarksReport<'_> {
        MarksReport {
            known: &self.registers,
            beyond: &self.beyond,
        }
    }
}
