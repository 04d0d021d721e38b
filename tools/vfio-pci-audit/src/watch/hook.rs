// SPDX-License-Identifier: GPL-2.0

//! A command that is run for what happens.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use crate::words::plural;

/// The most rows that are kept for a command that is slower than what happens.
pub(super) const MAX_KEPT: usize = 10_000;
/// What the names of its variables begin with.
const PREFIX: &str = "VFIO_PCI_AUDIT_";

/// Runs a command, once at a time, with the rows that came since its last run.
pub(super) struct Hook {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    more: Condvar,
}

#[derive(Default)]
struct Queue {
    /// Each with its newline.
    rows: VecDeque<String>,
    /// How many there was no room for since the last run.
    missed: u64,
    over: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hook {
    /// Have the shell run a command. `warn` gets its errors.
    pub(super) fn new(command: &str, warn: fn(&str)) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let (queue, command) = (shared.clone(), command.to_owned());
        let thread = thread::Builder::new()
            .name("exec".into())
            .spawn(move || serve(&queue, &command, warn))
            .context("a thread")?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Have it run for a row, which is JSON on a line. It is never waited for.
    pub(super) fn push(&self, row: String) {
        let mut queue = self.shared.lock();
        if queue.rows.len() == MAX_KEPT {
            queue.missed += 1;
        } else {
            queue.rows.push_back(row);
        }
        self.shared.more.notify_one();
    }

    /// Wait until it has run for all rows.
    pub(super) fn end(&mut self) {
        self.shared.lock().over = true;
        self.shared.more.notify_one();
        if let Some(thread) = self.thread.take() {
            // The thread has warned of its errors.
            let _ = thread.join();
        }
    }
}

fn serve(shared: &Shared, command: &str, warn: fn(&str)) {
    let mut failures = 0u64;
    loop {
        let queue = shared.lock();
        let waits = |queue: &mut Queue| queue.rows.is_empty() && !queue.over;
        let queue = shared.more.wait_while(queue, waits);
        let mut queue = queue.unwrap_or_else(PoisonError::into_inner);
        let (rows, missed) = (
            std::mem::take(&mut queue.rows),
            std::mem::take(&mut queue.missed),
        );
        drop(queue);
        if rows.is_empty() {
            return;
        }
        if missed > 0 {
            warn(&format!(
                "the command of --exec is too slow: {} dropped",
                plural(missed, "row")
            ));
        }
        let why = match run(command, &rows, missed) {
            Ok(status) if status.success() => continue,
            Ok(status) => format!("ended with {status}"),
            Err(error) => format!("cannot be run: {error}"),
        };
        failures += 1;
        // One that always fails should not fill the log.
        if failures.is_power_of_two() {
            warn(&format!(
                "the command of --exec {why} ({} so far)",
                plural(failures, "failure")
            ));
        }
    }
}

fn run(command: &str, rows: &VecDeque<String>, missed: u64) -> io::Result<ExitStatus> {
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", command])
        .stdin(Stdio::piped())
        // Standard output has the rows.
        .stdout(Stdio::from(io::stderr()))
        .env(format!("{PREFIX}ROWS"), rows.len().to_string())
        .env(format!("{PREFIX}MISSED"), missed.to_string());
    let first: Map<String, Value> = match rows.front() {
        Some(row) => serde_json::from_str(row)?,
        None => Map::new(),
    };
    for (name, value) in first {
        let text = match value {
            Value::Null => String::new(),
            Value::String(text) => text.replace('\0', ""),
            other => other.to_string(),
        };
        shell.env(format!("{PREFIX}{}", name.to_uppercase()), text);
    }
    let mut child = shell.spawn()?;
    if let Some(mut input) = child.stdin.take() {
        for row in rows {
            // The command may end before it has read all rows.
            if input.write_all(row.as_bytes()).is_err() {
                break;
            }
        }
    }
    child.wait()
}
