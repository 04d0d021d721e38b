// SPDX-License-Identifier: GPL-2.0

//! Times and spans as people read them.

use std::time::{Duration, UNIX_EPOCH};

use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The last millisecond that has a year of four digits.
const LAST: u64 = 253_402_300_799_999;

/// A time in milliseconds since 1970. For programs it is written in UTC, as in
/// `2025-05-20T16:20:00.123Z`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(pub u64);

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&utc(self.0))
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let stamp: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        let time = stamp.as_millisecond().try_into();
        time.map(Self)
            .map_err(|_| serde::de::Error::custom("a time before 1970"))
    }
}

fn utc(milliseconds: u64) -> String {
    let since = Duration::from_millis(milliseconds.min(LAST));
    humantime::format_rfc3339_millis(UNIX_EPOCH + since).to_string()
}

/// Where times are told.
#[derive(Clone, Debug)]
pub enum Zone {
    /// As programs write them.
    Utc,
    /// As clocks show them here, which is how ausearch prints them.
    Local(TimeZone),
}

impl Zone {
    /// That of this machine, or UTC.
    pub fn new(utc: bool) -> Self {
        match utc {
            true => Self::Utc,
            false => Self::Local(TimeZone::system()),
        }
    }

    /// The zone itself.
    pub fn zone(&self) -> TimeZone {
        match self {
            Self::Utc => TimeZone::UTC,
            Self::Local(zone) => zone.clone(),
        }
    }

    /// A time as people read it.
    pub fn text(&self, stamp: Stamp) -> String {
        match (self, zoned(stamp, &self.zone())) {
            (Self::Local(_), Some(local)) => local.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string(),
            _ => utc(stamp.0),
        }
    }

    /// What the zone is called at a time, if times do not say so themselves.
    pub fn name(&self, stamp: Stamp) -> Option<String> {
        match self {
            Self::Utc => None,
            Self::Local(zone) => Some(zoned(stamp, zone)?.strftime("%Z").to_string()),
        }
    }
}

fn zoned(stamp: Stamp, zone: &TimeZone) -> Option<jiff::Zoned> {
    let milliseconds = stamp.0.min(LAST).try_into().ok()?;
    let timestamp = jiff::Timestamp::from_millisecond(milliseconds).ok()?;
    Some(timestamp.to_zoned(zone.clone()))
}

/// How long, to the second: `2days 3h 4m 5s`.
pub fn span(milliseconds: u64) -> String {
    humantime::format_duration(Duration::from_secs(milliseconds / 1000)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_time_can_be_written() {
        let stamp = |time| Zone::Utc.text(Stamp(time));
        assert_eq!(stamp(1_747_758_000_123), "2025-05-20T16:20:00.123Z");
        assert_eq!(stamp(u64::MAX), "9999-12-31T23:59:59.999Z");
        assert_eq!(span(93_784_999), "1day 2h 3m 4s");
        assert_eq!(span(999), "0s");
        span(u64::MAX);
    }

    #[test]
    fn local_time_is_that_of_clocks_here() {
        let berlin = Zone::Local(TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap());
        let summer = Stamp(1_747_758_000_123);
        assert_eq!(berlin.text(summer), "2025-05-20 18:20:00.123");
        assert_eq!(berlin.name(summer).as_deref(), Some("CEST"));
        let winter = Stamp(1_737_394_400_000);
        assert_eq!(berlin.text(winter), "2025-01-20 18:33:20.000");
        assert_eq!(berlin.name(winter).as_deref(), Some("CET"));
        berlin.text(Stamp(u64::MAX));
        assert_eq!(Zone::Utc.name(summer), None);
    }

    #[test]
    fn programs_read_what_they_wrote() {
        let stamp = Stamp(1_747_758_000_123);
        let text = serde_json::to_string(&stamp).unwrap();
        assert_eq!(text, "\"2025-05-20T16:20:00.123Z\"");
        assert_eq!(serde_json::from_str::<Stamp>(&text).unwrap(), stamp);
    }
}
