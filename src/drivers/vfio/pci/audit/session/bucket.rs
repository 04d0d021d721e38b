// SPDX-License-Identifier: GPL-2.0

//! A token bucket over a clock that is passed in.
//!
//! Imports only `core`. The bucket holds one number, the time at which it will be full again: each
//! token taken moves it into the future, and the clock catches up.
//!
//! Reading an exact clock may cost more than everything else that an access over the limit does. A
//! [`Gate`] needs the exact clock only where a count of coarse ticks does not decide.

const NSEC_PER_SEC: u64 = 1_000_000_000;

/// Maximum of tokens per second, and of tokens in a full bucket. Keeps every product below 2^63.
pub const MAX: u32 = 1_000_000;

/// How fast a bucket fills and how much it holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limit {
    /// Nanoseconds until there is one token more; 0 for no limit. At most an hour.
    interval: u64,
    /// Tokens that a full bucket holds; at least 1, at most [`MAX`].
    burst: u32,
}

impl Limit {
    /// No limit.
    pub const NONE: Self = Self {
        interval: 0,
        burst: 1,
    };

    /// `rate` tokens per second, 0 for no limit and at most [`MAX`], in a bucket of `burst`.
    pub const fn per_second(rate: u32, burst: u32) -> Self {
        Self {
            interval: if rate == 0 {
                0
            } else {
                NSEC_PER_SEC / rate as u64
            },
            burst,
        }
    }

    /// One token in `seconds`, at most 3600, in a bucket of `burst`.
    pub const fn one_in(seconds: u32, burst: u32) -> Self {
        Self {
            interval: seconds as u64 * NSEC_PER_SEC,
            burst,
        }
    }

    const fn when_empty(&self) -> u64 {
        self.interval * self.burst as u64
    }
}

/// A token bucket. A new one is full.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket {
    /// Nanoseconds on the caller's clock.
    full_at: u64,
}

impl Bucket {
    /// A full bucket.
    pub const fn new() -> Self {
        Self { full_at: 0 }
    }

    /// What is missing from a full bucket, as the time in nanoseconds that it takes to fill. Time
    /// that has passed, and tokens that a smaller limit has no room for, are forgotten.
    fn settle(&mut self, limit: Limit, now: u64) -> u64 {
        // A caller may owe one token.
        let most = limit.when_empty() + limit.interval;
        let missing = self.full_at.saturating_sub(now).min(most);

        self.full_at = now + missing;
        missing
    }

    /// Nanoseconds until there is a token; 0 when there is one. `now` is in nanoseconds and never
    /// goes backwards.
    pub fn wait(&mut self, limit: Limit, now: u64) -> u64 {
        if limit.interval == 0 {
            return 0;
        }
        (self.settle(limit, now) + limit.interval).saturating_sub(limit.when_empty())
    }

    /// Takes `tokens` if there is at least one, or returns after how many nanoseconds there will
    /// be one. A caller that takes two may owe the second.
    ///
    /// However long the clock stood still or jumped ahead, there are at most `limit.burst` tokens.
    /// A limit that changed holds from this call on.
    pub fn take(&mut self, limit: Limit, now: u64, tokens: u32) -> Result<(), u64> {
        match self.wait(limit, now) {
            0 => {
                self.full_at += limit.interval * u64::from(tokens);
                Ok(())
            }
            wait => Err(wait),
        }
    }
}

/// A bucket that remembers until when it has no token.
///
/// Ticks are those of a clock that counts whole intervals of equal length and never runs ahead of
/// the exact one. Where it lags behind, a token is given later, never earlier.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gate {
    bucket: Bucket,
    /// There is no token before this tick, under the limit of the last call that took none.
    shut_until: u64,
}

impl Gate {
    /// A gate with a full bucket.
    pub const fn new() -> Self {
        Self {
            bucket: Bucket::new(),
            shut_until: 0,
        }
    }

    /// Whether there is certainly no token at `tick`, as long as the limit is the same.
    #[inline]
    pub fn is_shut(&self, tick: u64) -> bool {
        tick < self.shut_until
    }

    /// Forgets that there is no token.
    pub fn open(&mut self) {
        self.shut_until = 0;
    }

    /// Takes tokens as [`Bucket::take`] does; returns whether there was one. `tick` was counted no
    /// later than `now`, and a tick has `tick_ns` nanoseconds, at least 1.
    pub fn take(&mut self, limit: Limit, now: Time, tokens: u32) -> bool {
        let taken = self.bucket.take(limit, now.ns, tokens);

        if let Err(wait) = taken {
            self.shut_until = now
                .tick
                .saturating_add(wait.checked_div(now.tick_ns).unwrap_or(0));
        }
        taken.is_ok()
    }
}

/// A moment by the exact and by the coarse clock.
#[derive(Clone, Copy, Debug)]
pub struct Time {
    /// Nanoseconds. Never go backwards.
    pub ns: u64,
    /// Ticks, counted no later than `ns`.
    pub tick: u64,
    /// Nanoseconds of a tick, at least 1.
    pub tick_ns: u64,
}
