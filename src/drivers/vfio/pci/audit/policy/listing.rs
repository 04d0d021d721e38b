// SPDX-License-Identifier: GPL-2.0

//! The list of exceptions as sysfs shows it, in a page of limited size.
//!
//! Imports only `core`. A list that sysfs took can be shown whole, and written back: the shortest
//! form of a list is no longer than the text that it was parsed from.

use super::allow_list::Entry;
use core::fmt::{
    self,
    Write, //
};

/// The longest text of an entry, ",vvvv:dddd@sss-eee".
const ENTRY: usize = 18;

/// The longest end of a list that is cut off, ",... and 4294967295 more\n".
const REST: usize = 25;

/// Counts the bytes of a text, up to `most`.
struct Length {
    bytes: usize,
    most: usize,
}

impl Write for Length {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.bytes += s.len();
        if self.bytes > self.most {
            return Err(fmt::Error);
        }
        Ok(())
    }
}

fn write_entry(out: &mut impl Write, at: usize, entry: &Entry, short: bool) -> fmt::Result {
    if at > 0 {
        out.write_char(',')?;
    }
    if short {
        write!(out, "{entry:#}")
    } else {
        write!(out, "{entry}")
    }
}

/// The length of the text of all `entries`, or `None` if it is longer than `most`.
fn length(entries: &[Entry], short: bool, most: usize) -> Option<usize> {
    let mut length = Length { bytes: 0, most };

    for (at, entry) in entries.iter().enumerate() {
        write_entry(&mut length, at, entry, short).ok()?;
    }
    Some(length.bytes)
}

/// Writes `entries` in at most `room` bytes, and a newline. The ids have four digits each; or no
/// leading zeros, if they fit only so. If they do not fit at all, a text that is no list says how
/// many are left out. The newline is left out if there is no room for it.
pub fn show(entries: &[Entry], out: &mut impl Write, room: usize) -> fmt::Result {
    let padded = length(entries, false, room);
    let short = padded.is_none();
    let whole = padded.or_else(|| length(entries, true, room));

    if let Some(length) = whole {
        for (at, entry) in entries.iter().enumerate() {
            write_entry(out, at, entry, short)?;
        }
        return if length < room {
            out.write_char('\n')
        } else {
            Ok(())
        };
    }

    let shown = room.saturating_sub(REST) / ENTRY;
    for (at, entry) in entries[..shown].iter().enumerate() {
        write_entry(out, at, entry, short)?;
    }
    writeln!(out, ",... and {} more", entries.len() - shown)
}
