// SPDX-License-Identifier: GPL-2.0

//! A token bucket over a clock that is passed in.
//!
//! Imports only `core`. The bucket holds one number, the time at which it will be full again: each
//! token taken moves it into the future, and the clock catches up.

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
        if limit.rate == 0 {
            return true;
        }

        let interval = NSEC_PER_SEC / u64::from(limit.rate);
        let empty = interval * u64::from(limit.burst);
        // What is missing from a full bucket, as the time it takes to fill up.
        let missing = self.full_at.saturating_sub(now).min(empty);

        // Kept on a refusal too: under a limit that changed, what is missing may be less than it was.
        let take = missing + interval <= empty;
        self.full_at = now + missing + if take { interval } else { 0 };
        take
    }
}
