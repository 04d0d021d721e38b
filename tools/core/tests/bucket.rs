// SPDX-License-Identifier: GPL-2.0

//! The token bucket against one that counts fractions of tokens.

use pci_audit_core::bucket::{
    Bucket,
    Gate,
    Limit,
    Time,
    MAX, //
};
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;

/// A bucket that counts tokens, in units of one token per `interval` nanoseconds.
struct Model {
    /// Tokens in nanoseconds; negative when one is owed.
    content: i64,
    last: u64,
}

impl Model {
    fn take(&mut self, interval: u64, burst: u32, now: u64, tokens: u32) -> bool {
        let full = interval * u64::from(burst);
        let interval = interval as i64;

        self.content = (self.content + (now - self.last) as i64).min(full as i64);
        self.last = now;
        if self.content < interval {
            return false;
        }
        self.content -= interval * i64::from(tokens);
        true
    }
}

fn limit() -> impl Strategy<Value = (Limit, u64, u32)> {
    let fast = (1u32..=2000, 1u32..=100).prop_map(|(rate, burst)| {
        (
            Limit::per_second(rate, burst),
            SECOND / u64::from(rate),
            burst,
        )
    });
    // The steps below are at most a tenth of a second, so most attempts are refused.
    let slow = (1u32..=3, 1u32..=100).prop_map(|(seconds, burst)| {
        (
            Limit::one_in(seconds, burst),
            SECOND * u64::from(seconds),
            burst,
        )
    });
    prop_oneof![fast, slow]
}

proptest! {
    #[test]
    fn takes_what_the_model_takes(
        (limit, interval, burst) in limit(),
        steps in prop::collection::vec((0u64..SECOND / 10, 1u32..=2), 1..500),
    ) {
        let mut bucket = Bucket::new();
        let mut now = 10 * SECOND * 1000;
        let mut model = Model { content: i64::MAX / 2, last: now };

        for (step, tokens) in steps {
            now += step;
            let taken = bucket.take(limit, now, tokens);
            prop_assert_eq!(
                taken.is_ok(), model.take(interval, burst, now, tokens), "at {}", now
            );
            // The bucket's prediction of the next token is correct.
            if let Err(wait) = taken {
                prop_assert!(wait > 0);
                prop_assert_eq!(bucket.wait(limit, now), wait);
                prop_assert_eq!(bucket.wait(limit, now + wait - 1), 1);
                let mut later = bucket;
                prop_assert_eq!(later.wait(limit, now + wait), 0);
                now += wait - 1;
            }
        }
    }

    #[test]
    fn a_gate_takes_what_its_bucket_takes(
        rates in prop::collection::vec(0u32..=300, 1..4),
        burst in 1u32..=30,
        tick_ns in 1u64..=20_000_000,
        phase in 0u64..20_000_000,
        steps in prop::collection::vec((0u64..SECOND / 50, 1u32..=2), 1..500),
    ) {
        let mut gate = Gate::new();
        let mut bucket = Bucket::new();
        let mut now = 10 * SECOND * 1000;
        let mut shut = 0;

        for (at, (step, tokens)) in steps.into_iter().enumerate() {
            now += step;
            let limit = Limit::per_second(rates[at / 100 % rates.len()], burst);
            let tick = (now + phase) / tick_ns;
            // A changed limit starts with full buckets.
            if at > 0 && at % 100 == 0 {
                gate = Gate::new();
                bucket = Bucket::new();
            }
            let taken = if gate.is_shut(tick) {
                shut += 1;
                false
            } else {
                gate.take(limit, Time { ns: now, tick, tick_ns }, tokens)
            };
            prop_assert_eq!(
                taken, bucket.take(limit, now, tokens).is_ok(), "at {}, {} times shut", now, shut
            );
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
            let _ = bucket.take(Limit::per_second(rate, burst), now, 2);
        }
    }
}

#[test]
fn a_debt_is_at_most_one_token() {
    let limit = Limit::per_second(1, 24);
    let mut bucket = Bucket::new();

    // Takes 23 tokens one by one. The last one is taken together with an owed one.
    for _ in 0..23 {
        assert_eq!(bucket.take(limit, SECOND, 1), Ok(()));
    }
    assert_eq!(bucket.take(limit, SECOND, 2), Ok(()));
    assert_eq!(bucket.take(limit, SECOND, 2), Err(2 * SECOND));
    assert_eq!(bucket.take(limit, 2 * SECOND, 1), Err(SECOND));
    assert_eq!(bucket.take(limit, 3 * SECOND, 2), Ok(()));
    assert_eq!(bucket.take(limit, 4 * SECOND, 1), Err(SECOND));
}

#[test]
fn a_tick_of_no_length_shuts_nothing() {
    let limit = Limit::per_second(1, 1);
    let now = Time {
        ns: SECOND,
        tick: 5,
        tick_ns: 0,
    };
    let mut gate = Gate::new();

    assert!(gate.take(limit, now, 1));
    assert!(!gate.take(limit, now, 1));
    assert!(!gate.is_shut(5));
}

#[test]
fn a_gate_is_shut_until_the_tick_of_a_token() {
    let limit = Limit::per_second(1, 1);
    let mut gate = Gate::new();
    let now = Time {
        ns: 7 * SECOND,
        tick: 70,
        tick_ns: SECOND / 10,
    };

    assert!(gate.take(limit, now, 1));
    assert!(!gate.take(limit, now, 1));
    assert!(gate.is_shut(79));
    assert!(!gate.is_shut(80));
}

#[test]
fn no_limit_fills_no_bucket() {
    let limit = Limit::per_second(1, 2);
    let mut bucket = Bucket::new();

    assert_eq!(bucket.take(limit, SECOND, 2), Ok(()));
    assert_eq!(bucket.take(Limit::NONE, SECOND, 1), Ok(()));
    assert_eq!(bucket.take(limit, SECOND, 1), Err(SECOND));
}

#[test]
fn an_opened_gate_has_no_more_tokens() {
    let limit = Limit::per_second(1, 1);
    let now = Time {
        ns: SECOND,
        tick: 250,
        tick_ns: SECOND / 250,
    };
    let mut gate = Gate::new();

    assert!(gate.take(limit, now, 1));
    assert!(!gate.take(limit, now, 1));
    assert!(gate.is_shut(now.tick));
    gate.open();
    assert!(!gate.is_shut(now.tick));
    assert!(!gate.take(limit, now, 1));
    assert!(gate.is_shut(now.tick));
}

#[test]
fn a_clock_that_jumps_banks_no_more_than_the_burst() {
    let limit = Limit::per_second(24, 24);
    let mut bucket = Bucket::new();

    for now in [0, 1000 * SECOND, 1_000_000 * SECOND] {
        let taken = (0..100)
            .filter(|_| bucket.take(limit, now, 1).is_ok())
            .count();
        assert_eq!(taken, 24);
    }
}

#[test]
fn a_rate_of_zero_is_no_limit() {
    let mut bucket = Bucket::new();

    for limit in [Limit::per_second(0, 1), Limit::NONE] {
        assert!((0..100_000).all(|_| bucket.take(limit, 7, 1).is_ok()));
        assert_eq!(bucket.wait(limit, 7), 0);
    }
}

#[test]
fn a_changed_limit_holds_at_once() {
    let mut bucket = Bucket::new();
    let slow = Limit::per_second(1, 100);
    let fast = Limit::per_second(1000, 10);

    while bucket.take(slow, SECOND, 1).is_ok() {}
    // The smaller limit discards what was missing from the larger one, except for a debt.
    assert_eq!(bucket.take(fast, SECOND, 1), Err(2 * SECOND / 1000));
    assert_eq!(bucket.take(fast, SECOND + 2 * SECOND / 1000, 1), Ok(()));
}

#[test]
fn a_flood_seldom_opens_a_gate() {
    let limit = Limit::per_second(24, 24);
    let tick_ns = 4_000_000;
    let mut gate = Gate::default();
    let mut asked = 0;

    for ns in (SECOND..3 * SECOND).step_by(10_000) {
        let tick = ns / tick_ns;
        if !gate.is_shut(tick) {
            asked += 1;
            gate.take(limit, Time { ns, tick, tick_ns }, 1);
        }
    }
    // 200,000 accesses. The exact clock is read only within two ticks of a token.
    assert!(asked < 200_000 / 4, "{asked}");
}
