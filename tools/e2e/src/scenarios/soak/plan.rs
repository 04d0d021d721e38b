// SPDX-License-Identifier: GPL-2.0

//! What disturbs the clients in each cycle. It depends on the seed only.

use std::collections::VecDeque;
use std::time::Duration;

use vfio_client::Rng;

use crate::account::Loss;

/// The main disturbance of a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Main {
    /// None: the policy stays as it is, and the clients flood for a minute.
    Flood,
    /// The limits change.
    Limits,
    /// Audit's queue has room for one record.
    Queue,
    /// The audit daemon does not read for a while.
    Frozen,
    /// The audit daemon ends and is started again.
    Restarted,
    /// The audit daemon is killed and started again.
    Killed,
    /// A guest comes and goes.
    Guest,
}

impl Main {
    const ALL: [Self; 7] = [
        Self::Flood,
        Self::Limits,
        Self::Queue,
        Self::Frozen,
        Self::Restarted,
        Self::Killed,
        Self::Guest,
    ];

    /// What may happen to records in such a cycle.
    pub(super) fn loss(self) -> Loss {
        match self {
            Self::Flood | Self::Limits | Self::Guest => Loss::None,
            // A daemon that did not read may get records in another order.
            Self::Queue | Self::Frozen => Loss::Refused,
            // It may have received records that it did not write yet.
            Self::Restarted | Self::Killed => Loss::Unnoticed,
        }
    }

    /// Whether audit has to take every record that it is given.
    pub(super) fn keeps_all(self) -> bool {
        self != Self::Queue
    }

    /// Whether the limits are the default ones from the beginning to the end of such a cycle, and
    /// nothing fills the buckets in between.
    pub(super) fn within_budget(self) -> bool {
        !matches!(self, Self::Limits | Self::Restarted | Self::Killed)
    }
}

/// A disturbance, after which there is a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The main disturbance.
    Main,
    /// Audit rules are loaded, or deleted if there are any.
    Rules,
    /// Auditing is switched off for a while.
    AuditOff,
    /// The tracepoint is enabled, or disabled.
    Trace,
}

/// What happens in a cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cycle {
    pub(super) main: Main,
    /// In this order, with a pause after each.
    pub(super) steps: Vec<(Step, Duration)>,
    /// For everything else that is random.
    pub(super) seed: u64,
}

/// The cycles of a seed. Each main disturbance comes before one comes again.
pub(super) struct Plan {
    rng: Rng,
    deck: VecDeque<Main>,
    with_guest: bool,
}

fn shuffle<T>(rng: &mut Rng, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        items.swap(last, rng.below(last + 1));
    }
}

impl Plan {
    pub(super) fn new(seed: u64, with_guest: bool) -> Self {
        Self {
            rng: Rng::new(seed, 0),
            deck: VecDeque::new(),
            with_guest,
        }
    }

    /// Number of cycles until each main disturbance has come once.
    pub(super) fn round(&self) -> usize {
        Main::ALL.len() - usize::from(!self.with_guest)
    }

    pub(super) fn next(&mut self) -> Cycle {
        let main = loop {
            match self.deck.pop_front() {
                Some(Main::Guest) if !self.with_guest => {}
                Some(main) => break main,
                None => {
                    let mut deck = Main::ALL;
                    shuffle(&mut self.rng, &mut deck);
                    self.deck.extend(deck);
                }
            }
        };
        let mut steps = [Step::Main, Step::Rules, Step::AuditOff, Step::Trace].map(|step| {
            (
                step,
                Duration::from_millis(500 + self.rng.below(3000) as u64),
            )
        });
        shuffle(&mut self.rng, &mut steps);
        let mut steps = steps.to_vec();
        // A guest cannot be kept from its device for as long as auditing is switched.
        steps.retain(|(step, _)| main != Main::Guest || *step != Step::AuditOff);
        Cycle {
            main,
            steps,
            seed: self.rng.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides() {
        let take = |seed| {
            let mut plan = Plan::new(seed, true);
            (0..20).map(|_| plan.next()).collect::<Vec<_>>()
        };
        assert_eq!(take(1), take(1));
        assert_ne!(take(1), take(2));
    }

    #[test]
    fn each_comes_once_in_a_round() {
        for with_guest in [false, true] {
            let mut plan = Plan::new(7, with_guest);
            for _ in 0..3 {
                let round: Vec<_> = (0..plan.round()).map(|_| plan.next().main).collect();
                for main in Main::ALL {
                    let times = round.iter().filter(|other| **other == main).count();
                    let wanted = usize::from(with_guest || main != Main::Guest);
                    assert_eq!(times, wanted, "{main:?} in {round:?}");
                }
            }
        }
    }
}
