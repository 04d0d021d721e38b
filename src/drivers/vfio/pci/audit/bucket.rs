// SPDX-License-Identifier: GPL-2.0

//! A token bucket over a clock that is passed in.
//!
//! Imports only `core`. The bucket holds one number, the time at which it will be full again: each
//! token taken moves it into the future, and the clock catches up.
//!
//! Reading an exact clock may cost more than all else that an access over the limit does. A
//! [`Gate`] asks for it only where a count of coarse ticks does not say enough.

const NSEC_PER_SEC: u64 = 1_000_000_000;

/// Tokens per second, or tokens in a full bucket, at most. Keeps every product inside 64 bits.
pub const MAX: u32 = 1_000_000;

/// How fast a bucket fills and how much it holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limit {
    /// Tokens per second; 0 for no limit. At most [`MAX`].
    pub rate: u32,
    /// Tokens that a full bucket holds; at least 1, at most [`MAX`].
    pub burst: u32,
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

    /// Takes a token if there is one. `now` is in nanoseconds and never goes backwards.
    ///
    /// However long the clock stood still or jumped ahead, no more than `limit.burst` tokens wait.
    /// A limit that changed holds from this call on.
    #[inline]
    pub fn take(&mut self, limit: Limit, now: u64) -> bool {
        self.take_or_wait(limit, now).is_ok()
    }

    /// Takes a token, or returns after how many nanoseconds there will be one.
    fn take_or_wait(&mut self, limit: Limit, now: u64) -> Result<(), u64> {
        if limit.rate == 0 {
            return Ok(());
        }

        let interval = NSEC_PER_SEC / u64::from(limit.rate);
        let empty = interval * u64::from(limit.burst);
        // What is missing from a full bucket, as the time it takes to fill up.
        let missing = self.full_at.saturating_sub(now).min(empty);

        // Kept on a refusal too: under a limit that changed, less may be missing than before.
        self.full_at = now + missing;
        let wait = (missing + interval).saturating_sub(empty);
        if wait > 0 {
            return Err(wait);
        }
        self.full_at += interval;
        Ok(())
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

    /// Forgets that there is no token, since there may be one under a limit that changed.
    pub fn open(&mut self) {
        self.shut_until = 0;
    }

    /// Takes a token if there is one, as [`Bucket::take`] does. `tick` was counted no later than
    /// `now`, and a tick has `tick_ns` nanoseconds, at least 1.
    pub fn take(&mut self, limit: Limit, now: u64, tick: u64, tick_ns: u64) -> bool {
        let taken = self.bucket.take_or_wait(limit, now);

        if let Err(wait) = taken {
            self.shut_until = tick.saturating_add(wait.checked_div(tick_ns).unwrap_or(0));
        }
        taken.is_ok()
    }
}
