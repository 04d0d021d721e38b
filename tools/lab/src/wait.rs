// SPDX-License-Identifier: GPL-2.0

//! Waiting for what another process or the kernel does.

use std::time::{Duration, Instant};

use anyhow::Result;

/// Ask again and again until the answer is yes; whether it was in time.
pub fn wait_until(patience: Duration, mut done: impl FnMut() -> Result<bool>) -> Result<bool> {
    let deadline = Instant::now() + patience;
    loop {
        if done()? {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
