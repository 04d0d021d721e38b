// SPDX-License-Identifier: GPL-2.0

//! Times and spans as people read them.

use std::time::{Duration, UNIX_EPOCH};

/// The last millisecond that has a year of four digits.
const LAST: u64 = 253_402_300_799_999;

/// A time in milliseconds since 1970, in UTC: `2025-05-20T16:20:00.123Z`.
pub fn stamp(milliseconds: u64) -> String {
    let since = Duration::from_millis(milliseconds.min(LAST));
    humantime::format_rfc3339_millis(UNIX_EPOCH + since).to_string()
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
        assert_eq!(stamp(1_747_758_000_123), "2025-05-20T16:20:00.123Z");
        assert_eq!(stamp(u64::MAX), "9999-12-31T23:59:59.999Z");
        assert_eq!(span(93_784_999), "1day 2h 3m 4s");
        assert_eq!(span(999), "0s");
        span(u64::MAX);
    }
}
