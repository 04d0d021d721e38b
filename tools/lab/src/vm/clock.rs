// SPDX-License-Identifier: GPL-2.0

//! What an emulated machine takes the time from.
//!
//! QEMU gives the machine the host's TSC as it is. The machine cannot measure how fast it counts:
//! on a busy host it is wrong, by a factor even. So the machine is told. The alternative is the
//! HPET, a device, which takes the emulator a hundred times as long to read.

#![allow(unsafe_code)]

use std::fs;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// How long the TSC is measured.
const MEASURED: Duration = Duration::from_millis(100);
/// The clock and the TSC are read this often, to find one time at which nothing came between.
const ATTEMPTS: usize = 20;

/// What the kernel is told. `counts` is whether the machine's time is that of its instructions, and
/// not the host's.
pub fn arguments(counts: bool) -> String {
    static KHZ: OnceLock<Option<u64>> = OnceLock::new();

    let khz = match counts {
        true => None,
        false => *KHZ.get_or_init(tsc_khz),
    };
    match khz {
        Some(khz) => format!("tsc=reliable tsc_early_khz={khz}"),
        None => "tsc=unstable".to_owned(),
    }
}

/// How fast the host's TSC counts, in kHz; nothing where there is none that always counts alike.
fn tsc_khz() -> Option<u64> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").ok()?;
    if !is_constant(&cpuinfo) {
        return None;
    }
    let (start, first) = sample()?;
    thread::sleep(MEASURED);
    let (end, last) = sample()?;
    let nanoseconds = u64::try_from((end - start).as_nanos()).ok()?;
    last.checked_sub(first)?
        .checked_mul(1_000_000)?
        .checked_div(nanoseconds)
}

/// Whether the TSC of every processor counts at one speed, and does not stop.
fn is_constant(cpuinfo: &str) -> bool {
    let flags: Vec<_> = cpuinfo
        .lines()
        .filter(|line| line.starts_with("flags"))
        .collect();
    let has = |line: &str, flag| line.split_whitespace().any(|word| word == flag);
    let constant = |line: &&str| has(line, "constant_tsc") && has(line, "nonstop_tsc");
    !flags.is_empty() && flags.iter().all(constant)
}

/// The time, and the TSC at that time.
fn sample() -> Option<(Instant, u64)> {
    (0..ATTEMPTS)
        .filter_map(|_| {
            let before = Instant::now();
            let tsc = tsc()?;
            Some((before.elapsed(), (before, tsc)))
        })
        .min_by_key(|(took, _)| *took)
        .map(|(_, sample)| sample)
}

#[cfg(target_arch = "x86_64")]
fn tsc() -> Option<u64> {
    // SAFETY: The instruction writes two registers and nothing else. Linux lets programs use it,
    // and stops with SIGSEGV one that gave that up by PR_SET_TSC, which this one does not.
    Some(unsafe { std::arch::x86_64::_rdtsc() })
}

#[cfg(not(target_arch = "x86_64"))]
fn tsc() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_constant_tsc_will_do() {
        let good = "processor\t: 0\nflags\t\t: fpu tsc constant_tsc nonstop_tsc\n";
        assert!(is_constant(good));
        assert!(is_constant(&good.repeat(2)));
        let stops = "flags\t\t: fpu tsc constant_tsc\n";
        assert!(!is_constant(&format!("{good}{stops}")));
        assert!(!is_constant("Features\t: fp asimd\n"));
    }

    #[test]
    fn two_measurements_are_the_same() {
        let (Some(one), Some(other)) = (tsc_khz(), tsc_khz()) else {
            return;
        };
        assert!(one.abs_diff(other) < one / 500, "{one} and {other} kHz");
    }

    #[test]
    fn where_time_is_that_of_instructions_the_host_has_no_say() {
        assert_eq!(arguments(true), "tsc=unstable");
    }
}
