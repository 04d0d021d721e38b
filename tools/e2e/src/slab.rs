// SPDX-License-Identifier: GPL-2.0

//! How much memory the kernel's slab caches use.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Slab memory that is in use and not merely cached, in KiB.
pub(crate) fn in_use() -> Result<i64> {
    fs::write("/proc/sys/vm/drop_caches", "3").context("drop_caches")?;
    fs::read_to_string("/proc/meminfo")?
        .lines()
        .find_map(|line| line.strip_prefix("SUnreclaim:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB")?.parse().ok())
        .context("/proc/meminfo tells no SUnreclaim")
}

/// The least slab use of some seconds: sessions end, and RCU frees, a little later.
pub(crate) fn settled() -> Result<i64> {
    let mut least = i64::MAX;
    let mut since = Instant::now();
    while since.elapsed() < Duration::from_secs(3) {
        let now = in_use()?;
        if now < least {
            (least, since) = (now, Instant::now());
        }
        thread::sleep(Duration::from_millis(200));
    }
    Ok(least)
}

/// How many objects each cache has.
pub(crate) struct Caches(BTreeMap<String, i64>);

impl Caches {
    /// As they are now. `None` where the kernel does not tell.
    pub(crate) fn now() -> Option<Self> {
        let text = fs::read_to_string("/proc/slabinfo").ok()?;
        let caches = text.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
        });
        Some(Self(caches.collect()))
    }

    /// How many objects more than `before` each cache has, that with the most first.
    pub(crate) fn growth(&self, before: &Self) -> Vec<(i64, &str)> {
        let mut growth: Vec<_> = self
            .0
            .iter()
            .map(|(name, objects)| (objects - before.0.get(name).unwrap_or(&0), name.as_str()))
            .collect();
        growth.sort_unstable_by(|a, b| b.cmp(a));
        growth
    }
}
