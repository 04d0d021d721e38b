// SPDX-License-Identifier: GPL-2.0

//! Which boot of a machine a record comes from.
//!
//! Numbers of sessions and of processes are given again after a boot. Audit numbers its events from
//! 1 at each boot, so that a number which falls while time goes on tells of one; so does a record
//! of type `SYSTEM_BOOT`.

/// The boots of one machine, as far as its records tell.
#[derive(Clone, Debug, Default)]
pub struct Boots {
    current: u64,
    /// The highest number of an event, and its time.
    highest: Option<(u64, u64)>,
}

impl Boots {
    /// Records are out of order by less than this, in milliseconds.
    const OVERTAKES: u64 = 1000;

    /// The number of the boot that a record of this time and event comes from.
    pub fn of(&mut self, time: u64, serial: u64) -> u64 {
        match self.highest {
            // Half: numbers of one boot come a little out of order, and time may be put back.
            Some((highest, at)) if serial < highest / 2 && time > at + Self::OVERTAKES => {
                self.start();
                self.highest = Some((serial, time));
            }
            Some((highest, _)) if serial <= highest => {}
            _ => self.highest = Some((serial, time)),
        }
        self.current
    }

    /// The machine was booted.
    pub fn start(&mut self) {
        self.current += 1;
        self.highest = None;
    }

    /// The number of the current one.
    pub fn current(&self) -> u64 {
        self.current
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_fall_while_time_goes_on_are_a_boot() {
        let mut boots = Boots::default();
        for (time, serial, boot) in [
            (10_000, 5000, 0),
            (10_100, 5002, 0),
            // Overtaken, in the next second, and with a clock that was put back.
            (10_100, 5001, 0),
            (15_000, 4990, 0),
            (9_000, 100, 0),
            (90_000, 300, 1),
            (90_500, 301, 1),
            (91_000, 6000, 1),
            (99_000, 12, 2),
        ] {
            assert_eq!(boots.of(time, serial), boot, "{time}:{serial}");
        }
        boots.start();
        assert_eq!(boots.of(200_001, 9000), 3);
    }
}
