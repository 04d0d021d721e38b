// SPDX-License-Identifier: GPL-2.0

//! When something was, by the clocks that there are.
//!
//! The kernel's log and a trace count from the boot, audit records and rasdaemon tell the time of
//! day. Two moments can be compared if they have a clock in common.

use serde::Serialize;

use crate::time::Stamp;

/// Which boot of the machine something was in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Boot {
    /// The one that runs.
    This,
    /// The one before.
    Last,
    /// One before that.
    Earlier,
}

/// A moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Microseconds since 1970.
    pub wall: Option<u64>,
    /// Microseconds since the boot.
    pub up: Option<u64>,
    /// The boot, if it is known.
    pub boot: Option<Boot>,
    /// By how many microseconds it may have been later.
    pub within: u64,
}

impl Moment {
    /// A time since the boot.
    pub fn up(us: u64) -> Self {
        Self {
            up: Some(us),
            ..Self::default()
        }
    }

    /// A time of day in milliseconds.
    pub fn milliseconds(ms: u64) -> Self {
        Self {
            wall: Some(ms.saturating_mul(1000)),
            within: 1000,
            ..Self::default()
        }
    }

    /// Tell the time of day, too, of a boot that began at one.
    pub fn booted_at(mut self, booted: Option<u64>) -> Self {
        if self.wall.is_none() {
            self.wall = booted.and_then(|booted| booted.checked_add(self.up?));
        }
        self
    }

    /// By how many microseconds this is before another moment, less than zero if it is after it;
    /// nothing if they have no clock in common.
    pub fn before(&self, later: &Self) -> Option<i64> {
        #[cfg(test)]
        tests::COMPARED.with(|compared| compared.set(compared.get() + 1));
        let signed = |time: Option<u64>| i64::try_from(time?).ok();
        let difference = |a, b| signed(b)?.checked_sub(signed(a)?);
        let by_wall = difference(self.wall, later.wall);
        // Of two earlier boots it is not known whether they are one.
        let other_boot = matches!(
            (self.boot, later.boot),
            (Some(a), Some(b)) if a != b || a == Boot::Earlier
        );
        let by_up = difference(self.up, later.up).filter(|_| !other_boot);
        match (by_up, by_wall) {
            // The time of day may have been set since, but not by that much.
            (Some(up), Some(wall)) if up.abs_diff(wall) > 60_000_000 => Some(wall),
            (Some(up), _) => Some(up),
            (None, wall) => wall,
        }
    }

    /// Whether it is not known to be before a time of day in microseconds.
    pub fn is_since(&self, since: Option<u64>) -> bool {
        since.is_none_or(|since| self.wall.is_none_or(|wall| wall >= since))
    }

    /// The time of day.
    pub fn stamp(&self) -> Option<Stamp> {
        self.wall.map(|wall| Stamp(wall / 1000))
    }

    /// The time since the boot, as the kernel's log has it.
    pub fn up_text(&self) -> Option<String> {
        let up = self.up?;
        Some(format!("{}.{:06}", up / 1_000_000, up % 1_000_000))
    }
}

/// How long, as exactly as it matters.
pub fn span_text(us: i64) -> String {
    let (sign, us) = (if us < 0 { "-" } else { "" }, us.unsigned_abs());
    match us {
        0..1000 => format!("{sign}{us} us"),
        1000..1_000_000 => format!("{sign}{}.{} ms", us / 1000, us % 1000 / 100),
        _ => format!("{sign}{}.{} s", us / 1_000_000, us % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        /// How many moments were compared, for tests of how much work something is.
        pub(crate) static COMPARED: Cell<u64> = const { Cell::new(0) };
    }

    #[test]
    fn moments_need_a_clock_in_common() {
        let up = |us| Moment::up(us);
        let wall = |ms| Moment::milliseconds(ms);
        assert_eq!(up(10).before(&up(30)), Some(20));
        assert_eq!(up(30).before(&up(10)), Some(-20));
        assert_eq!(wall(1).before(&wall(3)), Some(2000));
        assert_eq!(up(1).before(&wall(3)), None);
        assert_eq!(up(1).booted_at(Some(2000)).before(&wall(3)), Some(999));
        assert_eq!(Moment::default().before(&Moment::default()), None);
        assert_eq!(wall(u64::MAX).before(&wall(0)), None);
    }

    #[test]
    fn another_boot_has_another_clock() {
        let of = |boot| Moment {
            boot,
            ..Moment::up(5)
        };
        let (this, last) = (of(Some(Boot::This)), of(Some(Boot::Last)));
        assert_eq!(this.before(&last), None);
        assert_eq!(this.before(&of(None)), Some(0));
        let earlier = of(Some(Boot::Earlier));
        assert_eq!(earlier.before(&last), None);
        assert_eq!(earlier.before(&earlier), None);
        // A day passed between two moments that are equally long after a boot.
        let day = 86_400_000_000;
        let early = Moment::up(5).booted_at(Some(day));
        let late = Moment::up(6).booted_at(Some(2 * day));
        assert_eq!(early.before(&late), Some(day as i64 + 1));
    }

    #[test]
    fn spans() {
        for (us, text) in [
            (0, "0 us"),
            (999, "999 us"),
            (1234, "1.2 ms"),
            (2_500_000, "2.5 s"),
            (-1500, "-1.5 ms"),
        ] {
            assert_eq!(span_text(us), text);
        }
    }
}
