// SPDX-License-Identifier: GPL-2.0

//! What `ausearch -i` prints, with values again where it prints words.
//!
//! Its dates are those of a locale. Of those, the C locale's and the Americans' (month, day, year)
//! and the one that is the same everywhere (year, month, day) are understood. Names of users are
//! not turned into numbers again.

use std::fmt::Write;
use std::str;

use jiff::civil;
use jiff::tz::TimeZone;

use super::json::field;
use super::start;
use crate::record::{kind, may_matter, pairs};

/// No stamp has more bytes.
const LONGEST: usize = 60;

/// Whether a line may be one: of a type that matters, and without seconds in its stamp.
pub(super) fn may_be(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"type=").or_else(|| {
        let at = memchr::memchr(b' ', line)?;
        line[at + 1..].strip_prefix(b"type=")
    }) else {
        return false;
    };
    if !may_matter(rest) {
        return false;
    }
    let Some(at) = memchr::memmem::find(&rest[..rest.len().min(LONGEST)], b"msg=audit(") else {
        return false;
    };
    let digits = rest[at + 10..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit());
    matches!(rest.get(at + 10 + digits.count()), Some(b'/' | b'-'))
}

/// Write the record as auditd does; false if that cannot be done.
pub(super) fn undo(line: &[u8], zone: &TimeZone, record: &mut String) -> bool {
    str::from_utf8(line)
        .ok()
        .and_then(|line| read(line, zone, record))
        .is_some()
}

fn read(line: &str, zone: &TimeZone, record: &mut String) -> Option<()> {
    let (head, rest) = line.split_once("msg=audit(")?;
    let (node, said) = match head.strip_prefix("node=") {
        Some(rest) => {
            let (node, rest) = rest.split_once(' ')?;
            (Some(node), rest)
        }
        None => (None, head),
    };
    let kind = kind(said.strip_prefix("type=")?.trim_end())?;
    let (stamp, text) = rest.split_once(')')?;
    let text = text.trim_start_matches([' ', ':']);
    let (date, serial) = stamp.rsplit_once(':')?;
    serial.parse::<u64>().ok()?;
    start(record, (node, None), kind, moment(date, zone)?, serial);
    for (at, (key, value)) in pairs(text).enumerate() {
        if at > 0 {
            record.push(' ');
        }
        // Writing to a String cannot fail.
        let _ = match (key, value) {
            ("res", "yes" | "success") if kind == "PCI" => write!(record, "res=1"),
            ("res", "no" | "failed") if kind == "PCI" => write!(record, "res=0"),
            // A date, a size or the like that is a number already.
            _ => write!(record, "{}", field(key, value.trim_end())),
        };
    }
    Some(())
}

/// The time of a stamp, by what comes behind `audit(`.
pub(super) fn time(rest: &[u8], zone: &TimeZone) -> Option<u64> {
    let end = memchr::memchr(b')', &rest[..rest.len().min(LONGEST)])?;
    let (date, _serial) = str::from_utf8(&rest[..end]).ok()?.rsplit_once(':')?;
    moment(date, zone)
}

/// `05/20/2025 16:20:00.123`, in milliseconds since 1970.
fn moment(text: &str, zone: &TimeZone) -> Option<u64> {
    let (date, time) = text.split_once(' ')?;
    let numbers = |text: &str, by: char| -> Option<Vec<i16>> {
        text.split(by).map(|part| part.parse().ok()).collect()
    };
    let (year, month, day) = match (numbers(date, '/'), numbers(date, '-')) {
        (Some(parts), _) if parts.len() == 3 => (parts[2], parts[0], parts[1]),
        (_, Some(parts)) if parts.len() == 3 => (parts[0], parts[1], parts[2]),
        _ => return None,
    };
    let year = if year < 100 { year + 2000 } else { year };
    let date = civil::Date::new(year, month.try_into().ok()?, day.try_into().ok()?).ok()?;
    let time: civil::Time = time.parse().ok()?;
    let moment = date.to_datetime(time).to_zoned(zone.clone()).ok()?;
    u64::try_from(moment.timestamp().as_millisecond()).ok()
}
