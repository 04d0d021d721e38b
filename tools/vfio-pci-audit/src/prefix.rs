// SPDX-License-Identifier: GPL-2.0

//! What syslog, `journalctl` and `dmesg` write in front of a line: its level and when it was.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::record::number;

const SECOND: u64 = 1_000_000;

/// When a line was written down, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Date<'a> {
    /// `2025-05-20T16:20:00+00:00`
    Iso(&'a str),
    /// `May 20 16:20:00`, perhaps with a fraction of the second; the time of day is apart.
    Syslog([&'a str; 3]),
    /// `Tue 2025-05-20 16:20:00 CEST`, without the weekday.
    Full([&'a str; 3]),
    /// `1747758000.123456`
    Unix(&'a str),
    /// `Tue May 20 16:20:00 2025`
    Ctime(&'a str),
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// The next word, and the rest.
fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches(' ');
    let end = text.find(' ').unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// The next words, and the rest.
fn words<const N: usize>(mut text: &str) -> Option<([&str; N], &str)> {
    let mut all = [""; N];
    for place in &mut all {
        (*place, text) = word(text)?;
    }
    Some((all, text))
}

fn is_clock(word: &str) -> bool {
    word.len() >= 8 && word.as_bytes()[2] == b':'
}

fn is_day(word: &str) -> bool {
    word.len() <= 2 && number(word).is_some()
}

/// A date at the start of a line without its level, and the rest.
pub fn date(line: &str) -> Option<(Date<'_>, &str)> {
    if let Some((inner, rest)) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let is_date = WEEKDAYS.iter().any(|day| inner.starts_with(day));
        return is_date.then_some((Date::Ctime(inner), rest));
    }
    let (first, rest) = word(line)?;
    let bytes = first.as_bytes();
    if bytes[0].is_ascii_digit() {
        let is_iso =
            bytes.len() >= 19 && bytes[10] == b'T' && bytes[..4].iter().all(u8::is_ascii_digit);
        if is_iso {
            return Some((Date::Iso(first), rest));
        }
        // A small number is no date.
        let is_unix = seconds(first).is_some_and(|us| us >= 100_000_000 * SECOND);
        return is_unix.then_some((Date::Unix(first), rest));
    }
    if MONTHS.contains(&first) {
        let (words, rest) = words(line)?;
        let [_, day, clock] = words;
        return (is_day(day) && is_clock(clock)).then_some((Date::Syslog(words), rest));
    }
    let (words, rest) = words(rest)?;
    let [_, clock, _] = words;
    let is_full = WEEKDAYS.contains(&first) && is_clock(clock);
    is_full.then_some((Date::Full(words), rest))
}

impl Date<'_> {
    /// In microseconds since 1970, and how exact that is. What has no zone is in `zone`.
    pub fn microseconds(&self, zone: &TimeZone) -> Option<(u64, u64)> {
        let within = |text: &str| if text.contains('.') { 1 } else { SECOND };
        match self {
            Self::Iso(text) => {
                let text = text.replace(',', ".");
                // journalctl -o short-iso leaves the colon of the zone out.
                let stamp = text.parse::<jiff::Timestamp>().ok().or_else(|| {
                    let zoned = jiff::Zoned::strptime("%Y-%m-%dT%H:%M:%S%.f%z", &text).ok()?;
                    Some(zoned.timestamp())
                });
                let us = stamp?.as_microsecond().try_into().ok()?;
                Some((us, within(&text)))
            }
            // The year is left out: it is the last one in which that was not in the future.
            Self::Syslog(words) => {
                let text = words.join(" ");
                let now = jiff::Timestamp::now();
                let year = now.to_zoned(zone.clone()).year();
                let tomorrow: u64 = (now.as_microsecond() + 86_400_000_000).try_into().ok()?;
                let of = |year| local("%Y %b %d %H:%M:%S%.f", &format!("{year} {text}"), zone);
                let mut found = [year, year - 1].into_iter().filter_map(of);
                Some((found.find(|us| *us <= tomorrow)?, within(&text)))
            }
            Self::Full([day, clock, name]) => {
                let zone = match *name {
                    "UTC" => &TimeZone::UTC,
                    _ => zone,
                };
                let text = format!("{day} {clock}");
                Some((local("%Y-%m-%d %H:%M:%S%.f", &text, zone)?, within(&text)))
            }
            Self::Unix(text) => Some((seconds(text)?, 1)),
            Self::Ctime(text) => {
                let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
                Some((local("%a %b %d %H:%M:%S %Y", &words, zone)?, SECOND))
            }
        }
    }
}

fn local(format: &str, text: &str, zone: &TimeZone) -> Option<u64> {
    let time = DateTime::strptime(format, text).ok()?;
    let zoned = time.to_zoned(zone.clone()).ok()?;
    zoned.timestamp().as_microsecond().try_into().ok()
}

/// `19.004123`, in microseconds.
fn seconds(text: &str) -> Option<u64> {
    let (seconds, fraction) = text.split_once('.')?;
    if fraction.len() != 6 {
        return None;
    }
    let us = number(seconds)?.checked_mul(SECOND)?;
    us.checked_add(number(fraction)?)
}

/// `[   19.004123]`, in microseconds, and the rest. With the time since the line before it, as
/// `journalctl -o short-delta` and `dmesg -d` have it: `[   19.004123 <    0.000123 >]`.
pub fn uptime(text: &str) -> Option<(u64, &str)> {
    let (inner, rest) = text.strip_prefix('[')?.split_once(']')?;
    let inner = inner.split('<').next()?;
    Some((seconds(inner.trim())?, rest))
}

/// A line without its level: `<4>`, and the version of syslog's protocol behind it.
pub fn without_level(line: &str) -> &str {
    match line.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
        Some((digits, rest)) if number(digits).is_some() => rest.strip_prefix("1 ").unwrap_or(rest),
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2025-05-20 16:20:00 UTC.
    const WALL: u64 = 1_747_758_000 * SECOND;

    fn read(line: &str) -> Option<(u64, u64, &str)> {
        let (date, rest) = date(without_level(line))?;
        let (us, within) = date.microseconds(&TimeZone::UTC)?;
        Some((us, within, rest))
    }

    #[test]
    fn every_output_of_journalctl_and_dmesg_has_a_date() {
        for (line, us, within) in [
            ("2025-05-20T18:20:00+0200 h", WALL, SECOND),
            ("2025-05-20T18:20:00.000123+0200 h", WALL + 123, 1),
            ("2025-05-20T16:20:00,000123+00:00 h", WALL + 123, 1),
            ("<6>1 2025-05-20T16:20:00.000123Z h", WALL + 123, 1),
            ("Tue 2025-05-20 16:20:00 UTC h", WALL, SECOND),
            ("1747758000.000123 h", WALL + 123, 1),
            ("[Tue May 20 16:20:00 2025] h", WALL, SECOND),
        ] {
            assert_eq!(read(line), Some((us, within, " h")), "{line}");
        }
        let (to_the_second, within, rest) = read("May  2 16:20:00 h").unwrap();
        assert_eq!((within, rest), (SECOND, " h"));
        let exact = read("May  2 16:20:00.000123 h").unwrap();
        assert_eq!(exact, (to_the_second + 123, 1, " h"));
        assert_eq!(uptime("[   19.000123] h"), Some((19_000_123, " h")));
        let delta = "[   19.000123 <    0.000007 >] h";
        assert_eq!(uptime(delta), Some((19_000_123, " h")));
    }

    #[test]
    fn what_is_no_date_is_none() {
        for line in [
            "",
            " ",
            "[",
            "[   19.000123] x",
            "1.000000 x",
            "May the 20th be",
            "May 20",
            "Tue x y z",
            "<x>May",
            "2025 x",
            // No character begins at a byte in the middle of these.
            "\u{65e5}\u{65e5}\u{65e5}aTxxxxxxxx x",
            "2\u{65e5}\u{65e5}\u{65e5}Txxxxxxxxx x",
            "May 2 1\u{e9}:\u{e9}\u{e9}\u{e9}",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
