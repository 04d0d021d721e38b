// SPDX-License-Identifier: GPL-2.0

//! The rows, for people and for programs.

use std::fmt::Write;

use pci_config::Id;
use serde::Serialize;

use super::data::{Layout, Register, DATA};
use super::device::{Class, Pattern};
use super::exceptions::{too_long_for, Exceptions};
use crate::words::range_text;

/// The most ids of a row that the text has. JSON has all.
const MAX_IDS: usize = 4;

/// A row as a value.
#[derive(Clone, Debug, Serialize)]
pub struct RegisterReport {
    /// The devices.
    pub ids: Vec<Pattern>,
    /// The first digits of their class.
    pub class: Option<Class>,
    /// The first byte.
    pub offset: usize,
    /// How many bytes.
    pub size: usize,
    /// `r`, `w` or `rw`.
    pub op: String,
    /// What it is.
    pub name: &'static str,
    /// Where it is used.
    pub source: &'static str,
    /// By whom.
    pub function: &'static str,
    /// Others that use it.
    pub also: &'static [String],
    /// What comes of blocking it.
    pub breaks: &'static str,
    /// Whether a user would notice that.
    pub harmless: bool,
    /// What is known of where it lies.
    pub layout: &'static Layout,
    /// What else there is to say.
    pub note: Option<&'static str>,
}

impl RegisterReport {
    /// A row as a value.
    pub fn new(row: &'static Register) -> Self {
        Self {
            ids: row.devices.ids.clone(),
            class: row.devices.class,
            offset: row.bytes.range().start,
            size: row.bytes.range().len(),
            op: row.op.to_string(),
            name: &row.name,
            source: &row.source,
            function: &row.function,
            also: &row.also,
            breaks: &row.breaks,
            harmless: row.harmless,
            layout: &row.layout,
            note: row.note.as_deref(),
        }
    }
}

/// The matching rows: all of them, or those of a pattern, narrowed by a class.
///
/// Without a class, rows of a class of any vendor are left out of those of a pattern: they would be
/// there for every device.
pub fn rows(pattern: Option<Pattern>, class: Option<Class>) -> Vec<&'static Register> {
    let meets_class = |row: &Register| match (row.devices.class, class) {
        (Some(of), Some(asked)) => of.meets(asked),
        _ => true,
    };
    let meets_pattern =
        |row: &Register| match pattern {
            None => true,
            Some(pattern) if class.is_none() => row.devices.ids.iter().any(|id| {
                id.meets(pattern) && (!id.is_of_any_vendor() || pattern.is_of_any_vendor())
            }),
            Some(pattern) => row.devices.may_have(pattern),
        };
    let rows = DATA.registers.iter();
    rows.filter(|row| meets_class(row) && meets_pattern(row))
        .collect()
}

/// The rows as a value.
pub fn report(rows: &[&'static Register]) -> Vec<RegisterReport> {
    rows.iter().map(|row| RegisterReport::new(row)).collect()
}

/// The rows as text.
pub fn text(rows: &[&Register]) -> String {
    let mut text = String::new();
    if rows.is_empty() {
        text += "no register is known\n";
    }
    let mut before = None;
    for row in rows {
        if before != Some(&row.devices) {
            let gap = if before.is_some() { "\n" } else { "" };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{gap}{}", devices(row));
            before = Some(&row.devices);
        }
        let _ = write_row(&mut text, row);
    }
    text
}

/// The list of exceptions for a device that has all of these registers, and why some of them are
/// not in it.
pub fn exceptions(rows: &[&Register], id: Id) -> String {
    let needed: Vec<_> = rows.iter().filter(|row| !row.harmless).collect();
    if needed.is_empty() {
        return String::new();
    }
    let classes: Vec<Class> = needed.iter().filter_map(|row| row.devices.class).collect();
    let meet = |one: &Class| classes.iter().all(|other| one.meets(*other));
    if !classes.iter().all(meet) {
        return "\n\
                The exceptions depend on the class of the device: choose one of these with \
                --class.\n"
            .to_owned();
    }
    let mut exceptions = Exceptions::default();
    for row in &needed {
        exceptions.add(id, row.bytes.range().clone());
    }
    let list = exceptions.to_string();
    let harmless = match needed.len() == rows.len() {
        true => "",
        false => ", except what is harmless if blocked",
    };
    let mut text = format!(
        "\nExceptions for all of it{harmless}:\n  options vfio_pci_audit uaccess_allow_ids={list}\n"
    );
    if let Some(why) = too_long_for(&list) {
        text += &format!("  ({why})\n");
    }
    text
}

fn devices(row: &Register) -> String {
    let ids = &row.devices.ids;
    let shown: Vec<String> = ids.iter().take(MAX_IDS).map(Pattern::to_string).collect();
    let mut text = shown.join(", ");
    if let Some(left @ 1..) = ids.len().checked_sub(MAX_IDS) {
        let _ = write!(text, " and {left} more");
    }
    if let Some(class) = row.devices.class {
        let _ = write!(text, ", class {class}");
    }
    text
}

fn write_row(out: &mut String, row: &Register) -> std::fmt::Result {
    writeln!(
        out,
        "  {} {} {}",
        range_text(row.bytes.range()),
        row.op,
        row.name
    )?;
    writeln!(out, "    used by  {} {}", row.source, row.function)?;
    for also in &row.also {
        writeln!(out, "             {also}")?;
    }
    let harmless = if row.harmless { " (harmless)" } else { "" };
    writeln!(out, "    blocked  {}{harmless}", row.breaks)?;
    writeln!(out, "    layout   {}", layout(&row.layout))?;
    if let Some(note) = &row.note {
        writeln!(out, "    note     {note}")?;
    }
    Ok(())
}

/// What is known of a layout, in words.
pub fn layout(layout: &Layout) -> String {
    let list = |ids: &[Pattern]| {
        let ids: Vec<String> = ids.iter().map(Pattern::to_string).collect();
        ids.join(", ")
    };
    let mut parts = Vec::new();
    if !layout.dump.is_empty() {
        parts.push(format!("unassigned in a dump of {}", list(&layout.dump)));
    }
    if !layout.lspci.is_empty() {
        parts.push(format!("according to lspci of {}", list(&layout.lspci)));
    }
    if let Some(id) = layout.hidden {
        let name = id.name().unwrap_or("a capability");
        parts.push(format!(
            "in {name}, which VFIO hides, on devices that have it"
        ));
    }
    parts.push(if layout.dump.is_empty() && layout.lspci.is_empty() {
        "not verified".to_owned()
    } else {
        "not verified for others".to_owned()
    });
    parts.join("; ")
}
