// SPDX-License-Identifier: GPL-2.0

//! Memory use of the kernel's slab caches.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Slab memory that is allocated and not merely cached, in KiB.
pub(crate) fn in_use() -> Result<i64> {
    fs::write("/proc/sys/vm/drop_caches", "3").context("drop_caches")?;
    fs::read_to_string("/proc/meminfo")?
        .lines()
        .find_map(|line| line.strip_prefix("SUnreclaim:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB")?.parse().ok())
        .context("/proc/meminfo tells no SUnreclaim")
}

/// The minimum of slab memory over some seconds: sessions end, and RCU frees, with a delay.
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

/// Number of objects in each cache.
pub(crate) struct Caches(BTreeMap<String, i64>);

impl Caches {
    /// Reads the current numbers. `None` if the kernel does not provide them.
    pub(crate) fn now() -> Option<Self> {
        let text = fs::read_to_string("/proc/slabinfo").ok()?;
        let caches = text.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
        });
        Some(Self(caches.collect()))
    }

    /// The least number of objects that each cache had.
    pub(crate) fn least<'a>(all: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        let mut all = all.into_iter();
        let mut least = all.next()?.0.clone();
        for caches in all {
            for (name, objects) in &caches.0 {
                let known = least.entry(name.clone()).or_insert(*objects);
                *known = (*known).min(*objects);
            }
        }
        Some(Self(least))
    }

    /// The increase of each cache since `before`, the largest first.
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
