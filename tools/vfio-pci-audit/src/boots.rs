// SPDX-License-Identifier: GPL-2.0

//! Which boot of a machine a record comes from.
//!
//! Numbers of sessions and of processes are given again after a boot. journald says of each record
//! which boot it is of. Otherwise a boot is told by what the kernel and systemd say when they
//! start, and by audit's numbers: it numbers its events from 1 at each boot, so that a number which
//! falls while time goes on tells of one.

use std::collections::VecDeque;

/// The boots of one machine, as far as its records tell.
#[derive(Clone, Debug, Default)]
pub struct Boots {
    current: u64,
    latest: u64,
    /// The highest number of an event of the current one, and its time.
    highest: Option<(u64, u64)>,
    /// The last boots that have an identity, with their numbers.
    named: VecDeque<(Box<str>, u64)>,
}

impl Boots {
    /// Nearly all records are out of order by less than this, in milliseconds.
    const SECOND: u64 = 1000;

    /// All of them are out of order by less than this.
    const MINUTE: u64 = 60_000;

    /// The most boots of which the identity is remembered.
    const MOST: usize = 256;

    /// The number of the boot that a record of this time and event comes from, which may be known
    /// to have an identity.
    pub fn of(&mut self, id: Option<&str>, time: u64, serial: u64) -> u64 {
        if id.is_none_or(|id| self.number(id).is_none()) {
            self.follow(time, serial);
        }
        self.at(id)
    }

    /// The number of the boot that has an identity, which is the current one now, or of the current
    /// one.
    pub fn at(&mut self, id: Option<&str>) -> u64 {
        let Some(id) = id else {
            return self.current;
        };
        match self.number(id) {
            Some(number) if number == self.current => {}
            // Logs that have several boots each come one after the other.
            Some(number) => {
                self.current = number;
                self.highest = None;
            }
            None => {
                let current = self.current;
                if self.named.iter().any(|(_, number)| *number == current) {
                    self.start();
                }
                if self.named.len() == Self::MOST {
                    self.named.pop_front();
                }
                self.named.push_back((id.into(), self.current));
            }
        }
        self.current
    }

    fn number(&self, id: &str) -> Option<u64> {
        let mut named = self.named.iter().rev();
        let (_, number) = named.find(|(known, _)| **known == *id)?;
        Some(*number)
    }

    /// Look whether audit's numbers began anew.
    fn follow(&mut self, time: u64, serial: u64) {
        if let Some((highest, at)) = self.highest.filter(|(highest, _)| serial <= *highest) {
            // Numbers of one boot come a little out of order, and time may be put back. Where no
            // daemon takes records there are few events, and the numbers may hardly fall.
            let after = match serial < highest / 2 {
                true => Self::SECOND,
                false => Self::MINUTE,
            };
            if time <= at.saturating_add(after) {
                return;
            }
            self.start();
        }
        self.highest = Some((serial, time));
    }

    /// The machine was booted.
    pub fn start(&mut self) {
        self.latest += 1;
        self.current = self.latest;
        self.highest = None;
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
            // A host without a daemon has few events: an hour later there may be as many.
            (100_000, 13, 2),
            (3_700_000, 13, 3),
            (3_700_000, 12, 3),
            (3_701_000, 14, 3),
            (u64::MAX, 14, 4),
            (u64::MAX, 1, 4),
        ] {
            assert_eq!(boots.of(None, time, serial), boot, "{time}:{serial}");
        }
        boots.start();
        assert_eq!(boots.of(None, 200_001, 9000), 5);
    }

    #[test]
    fn a_boot_that_has_an_identity_is_known_again() {
        let mut boots = Boots::default();
        for (id, serial, boot) in [
            // What came before is of the same boot, as far as audit's numbers tell.
            (None, 5, 0),
            (Some("a"), 6, 0),
            (Some("b"), 7, 1),
            (Some("b"), 3, 1),
            (None, 8, 1),
            (Some("a"), 9, 0),
            (Some("c"), 10, 2),
        ] {
            assert_eq!(boots.of(id, 10_000, serial), boot, "{id:?}:{serial}");
        }
        assert_eq!((boots.at(None), boots.at(Some("a"))), (2, 0));
        // The next one has a number of its own.
        boots.start();
        assert_eq!((boots.at(None), boots.at(Some("d"))), (3, 3));
        for number in 0..2 * Boots::MOST {
            boots.at(Some(&number.to_string()));
        }
        assert_eq!(boots.named.len(), Boots::MOST);
    }
}
