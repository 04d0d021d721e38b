// SPDX-License-Identifier: GPL-2.0

//! Times as people type them: the forms that ausearch takes, and ISO 8601.

use std::fs;
use std::path::Path;

use anyhow::{bail, Context, Result};
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{ToSpan, Zoned};

/// What a time is told from.
pub struct Now {
    /// The time and the zone.
    pub now: Zoned,
    /// When this machine was booted, in milliseconds since 1970.
    pub booted: Option<u64>,
}

impl Now {
    /// Now and here.
    pub fn here(zone: TimeZone) -> Self {
        let stat = fs::read_to_string(Path::new("/proc/stat")).unwrap_or_default();
        let booted = stat
            .lines()
            .find_map(|line| line.strip_prefix("btime ")?.trim().parse::<u64>().ok());
        Self {
            now: jiff::Timestamp::now().to_zoned(zone),
            booted: booted.and_then(|seconds| seconds.checked_mul(1000)),
        }
    }

    /// Read a time; in milliseconds since 1970.
    ///
    /// A word of ausearch's (`now`, `recent`, `boot`, `today`, `yesterday`, `this-hour`,
    /// `this-week`, `week-ago`, `this-month`, `this-year`), how long ago (`90m`, `2days`), a date
    /// (`2025-05-20`, `05/20/2025`, `05/20/25`), a time of today, both, a time with a zone, or `@`
    /// and seconds since 1970.
    pub fn read(&self, text: &str) -> Result<u64> {
        let text = text.trim();
        if text == "boot" {
            return self
                .booted
                .context("the boot time of this machine is unknown");
        }
        if let Some(seconds) = text.strip_prefix('@') {
            let seconds: f64 = seconds
                .parse()
                .ok()
                .filter(|seconds: &f64| *seconds >= 0.0 && *seconds < 1e12)
                .with_context(|| format!("{seconds:?} is not a number of seconds"))?;
            return Ok((seconds * 1000.0).round() as u64);
        }
        if let Ok(stamp) = text.parse::<jiff::Timestamp>() {
            return milliseconds(&stamp);
        }
        if let Some(moment) = self.word(text) {
            return milliseconds(&moment?.timestamp());
        }
        if let Ok(ago) = humantime::parse_duration(text) {
            let since = self.now.timestamp().as_millisecond();
            let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
            return Ok(since.saturating_sub(ago).try_into().unwrap_or(0));
        }
        milliseconds(&self.moment(text)?.timestamp())
    }

    fn word(&self, text: &str) -> Option<Result<Zoned>> {
        let now = &self.now;
        let days = |days: i64| now.checked_sub(days.days());
        let week = i64::from(now.weekday().to_sunday_zero_offset());
        let month = i64::from(now.day()) - 1;
        let year = i64::from(now.day_of_year()) - 1;
        let moment = match text {
            "now" => Ok(now.clone()),
            "recent" => now.checked_sub(10.minutes()),
            "this-hour" => now.with().minute(0).second(0).subsec_nanosecond(0).build(),
            "today" => now.start_of_day(),
            "yesterday" => days(1).and_then(|day| day.start_of_day()),
            "this-week" => days(week).and_then(|day| day.start_of_day()),
            "week-ago" => days(7).and_then(|day| day.start_of_day()),
            "this-month" => days(month).and_then(|day| day.start_of_day()),
            "this-year" => days(year).and_then(|day| day.start_of_day()),
            _ => return None,
        };
        Some(moment.map_err(Into::into))
    }

    /// A date, a time, or both.
    fn moment(&self, text: &str) -> Result<Zoned> {
        let (first, second) = match text.split_once([' ', 'T']) {
            Some((first, second)) => (first, Some(second.trim())),
            None => (text, None),
        };
        let day = match self.word(first) {
            Some(day) if second.is_some() => day?.date(),
            _ => match date(first) {
                Some(date) => date?,
                None if second.is_none() => {
                    let time = time(first).with_context(|| {
                        format!(
                            "{text:?} is not a time; examples: today, recent, boot, 2h, \
                             2025-05-20, \"05/20/2025 16:20:00\", 16:20"
                        )
                    })?;
                    return Ok(self
                        .now
                        .date()
                        .to_datetime(time)
                        .to_zoned(self.now.time_zone().clone())?);
                }
                None => bail!("{first:?} is not a date such as 2025-05-20 or 05/20/2025"),
            },
        };
        let time = match second {
            Some(text) => {
                time(text).with_context(|| format!("{text:?} is not a time such as 16:20:00"))?
            }
            None => Time::midnight(),
        };
        Ok(day
            .to_datetime(time)
            .to_zoned(self.now.time_zone().clone())?)
    }
}

fn milliseconds(stamp: &jiff::Timestamp) -> Result<u64> {
    stamp
        .as_millisecond()
        .try_into()
        .ok()
        .context("a time before 1970")
}

/// `2025-05-20`, or month, day and year as ausearch takes them in the C locale and in America.
fn date(text: &str) -> Option<Result<Date>> {
    if !text.contains('/') {
        return text.parse().ok().map(Ok);
    }
    let parts: Option<Vec<i16>> = text.split('/').map(|part| part.parse().ok()).collect();
    let [month, day, year] = parts?[..] else {
        return None;
    };
    let year = if year < 100 { year + 2000 } else { year };
    let date = i8::try_from(month)
        .ok()
        .zip(i8::try_from(day).ok())
        .and_then(|(month, day)| Date::new(year, month, day).ok());
    Some(date.with_context(|| format!("{text:?} is not month/day/year")))
}

fn time(text: &str) -> Option<Time> {
    text.contains(':').then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Now {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        // A Tuesday.
        let stamp: jiff::Timestamp = "2025-05-20T16:20:30.5Z".parse().unwrap();
        Now {
            now: stamp.to_zoned(zone),
            booted: Some(1_747_000_000_000),
        }
    }

    fn read(text: &str) -> String {
        let time = now()
            .read(text)
            .unwrap_or_else(|error| panic!("{text}: {error:#}"));
        jiff::Timestamp::from_millisecond(time as i64)
            .unwrap()
            .to_string()
    }

    #[test]
    fn what_ausearch_takes() {
        for (text, time) in [
            ("now", "2025-05-20T16:20:30.5Z"),
            ("recent", "2025-05-20T16:10:30.5Z"),
            ("boot", "2025-05-11T21:46:40Z"),
            ("this-hour", "2025-05-20T16:00:00Z"),
            ("today", "2025-05-19T22:00:00Z"),
            ("yesterday", "2025-05-18T22:00:00Z"),
            ("this-week", "2025-05-17T22:00:00Z"),
            ("week-ago", "2025-05-12T22:00:00Z"),
            ("this-month", "2025-04-30T22:00:00Z"),
            ("this-year", "2024-12-31T23:00:00Z"),
            ("today 10:00", "2025-05-20T08:00:00Z"),
            ("yesterday 23:59:59", "2025-05-19T21:59:59Z"),
            ("05/20/2025", "2025-05-19T22:00:00Z"),
            ("05/20/25 16:20:00", "2025-05-20T14:20:00Z"),
            ("01/20/2025 16:20:00", "2025-01-20T15:20:00Z"),
            ("16:20", "2025-05-20T14:20:00Z"),
        ] {
            assert_eq!(read(text), time, "{text}");
        }
    }

    #[test]
    fn other_forms() {
        for (text, time) in [
            ("2025-05-20", "2025-05-19T22:00:00Z"),
            ("2025-05-20 16:20:00.25", "2025-05-20T14:20:00.25Z"),
            ("2025-05-20T16:20:00", "2025-05-20T14:20:00Z"),
            ("2025-05-20T16:20:00Z", "2025-05-20T16:20:00Z"),
            ("2025-05-20T16:20:00-05:00", "2025-05-20T21:20:00Z"),
            ("90m", "2025-05-20T14:50:30.5Z"),
            ("2days", "2025-05-18T16:20:30.5Z"),
            ("@1747758000.123", "2025-05-20T16:20:00.123Z"),
            // A day has 23 hours when clocks are put forward.
            ("2025-03-31", "2025-03-30T22:00:00Z"),
            ("2025-03-30", "2025-03-29T23:00:00Z"),
        ] {
            assert_eq!(read(text), time, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "soon",
            "13/40/2025",
            "2025-02-30",
            "today 25:00",
            "20.05.2025",
            "@x",
            "@-1",
            "1969-12-31",
            "05/20",
            "today tomorrow",
        ] {
            assert!(now().read(text).is_err(), "{text}");
        }
        let nowhere = Now {
            booted: None,
            ..now()
        };
        assert!(nowhere.read("boot").is_err());
    }
}
