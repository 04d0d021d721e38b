// SPDX-License-Identifier: GPL-2.0

//! The token bucket against one that counts fractions of tokens.

use pci_audit_core::bucket::{
    Bucket,
    Gate,
    Limit,
    MAX, //
};
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;

/// A bucket that holds its tokens, in units of one token per `interval` nanoseconds.
struct Model {
    /// Nanoseconds' worth of tokens.
    content: u64,
    last: u64,
}

impl Model {
    fn take(&mut self, limit: Limit, now: u64) -> bool {
        let interval = SECOND / u64::from(limit.rate);
        let full = interval * u64::from(limit.burst);

        self.content = (self.content + (now - self.last)).min(full);
        self.last = now;
        if self.content < interval {
            return false;
        }
        self.content -= interval;
        true
    }
}

proptest! {
    #[test]
    fn takes_what_the_model_takes(
        rate in 1u32..=2000,
        burst in 1u32..=100,
        steps in prop::collection::vec(0u64..SECOND / 10, 1..500),
    ) {
        let limit = Limit { rate, burst };
        let mut bucket = Bucket::new();
        let mut now = 10 * SECOND * 1000;
        let mut model = Model { content: u64::MAX / 2, last: now };

        for step in steps {
            now += step;
            prop_assert_eq!(bucket.take(limit, now), model.take(limit, now), "at {}", now);
        }
    }

    #[test]
    fn a_gate_takes_what_its_bucket_takes(
        rates in prop::collection::vec(0u32..=300, 1..4),
        burst in 1u32..=30,
        tick_ns in 1u64..=20_000_000,
        phase in 0u64..20_000_000,
        steps in prop::collection::vec(0u64..SECOND / 50, 1..500),
    ) {
        let mut gate = Gate::new();
        let mut bucket = Bucket::new();
        let mut now = 10 * SECOND * 1000;
        let mut shut = 0;

        for (at, step) in steps.iter().enumerate() {
            now += step;
            let limit = Limit { rate: rates[at / 100 % rates.len()], burst };
            let tick = (now + phase) / tick_ns;
            if at > 0 && at % 100 == 0 {
                gate.open();
            }
            let taken = if gate.is_shut(tick) {
                shut += 1;
                false
            } else {
                gate.take(limit, now, tick, tick_ns)
            };
            prop_assert_eq!(taken, bucket.take(limit, now), "at {}, {} times shut", now, shut);
        }
    }

    #[test]
    fn never_overflows(
        rate in 0u32..=MAX,
        burst in 1u32..=MAX,
        times in prop::collection::vec(0u64..u64::MAX / 4, 0..50),
    ) {
        let mut times = times;
        let mut bucket = Bucket::new();

        times.sort_unstable();
        for now in times {
            bucket.take(Limit { rate, burst }, now);
        }
    }
}

#[test]
fn a_clock_that_jumps_banks_no_more_than_the_burst() {
    let limit = Limit {
        rate: 24,
        burst: 24,
    };
    let mut bucket = Bucket::new();

    for now in [0, 1000 * SECOND, 1_000_000 * SECOND] {
        let taken = (0..100).filter(|_| bucket.take(limit, now)).count();
        assert_eq!(taken, 24);
    }
}

#[test]
fn a_rate_of_zero_is_no_limit() {
    let mut bucket = Bucket::new();

    assert!((0..100_000).all(|_| bucket.take(Limit { rate: 0, burst: 1 }, 7)));
}

#[test]
fn a_changed_limit_holds_at_once() {
    let mut bucket = Bucket::new();
    let slow = Limit {
        rate: 1,
        burst: 100,
    };
    let fast = Limit {
        rate: 1000,
        burst: 10,
    };

    while bucket.take(slow, SECOND) {}
    assert!(!bucket.take(fast, SECOND));
    assert!(bucket.take(fast, SECOND + SECOND / 1000));
}

#[test]
fn a_flood_seldom_opens_a_gate() {
    let limit = Limit {
        rate: 24,
        burst: 24,
    };
    let mut gate = Gate::default();
    let mut asked = 0;

    for now in (SECOND..3 * SECOND).step_by(10_000) {
        let tick = now / 4_000_000;
        if !gate.is_shut(tick) {
            asked += 1;
            gate.take(limit, now, tick, 4_000_000);
        }
    }
    // 200,000 accesses; the exact clock is asked only within two ticks of a token.
    assert!(asked < 200_000 / 4, "{asked}");
}
