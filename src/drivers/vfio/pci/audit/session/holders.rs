// SPDX-License-Identifier: GPL-2.0

//! The processes of a session that the log has an `op=open` of.
//!
//! Imports only `core`.

/// A process, told apart from one that has the same number later, and from itself before it
/// executed another program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Process {
    /// Its number, which all its threads share.
    pub tgid: i32,
    /// When it started, in nanoseconds since boot.
    pub started: u64,
    /// Counts the programs that it executed.
    pub executed: u64,
}

/// The processes that were named last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Holders {
    named: [Option<Process>; Self::CAPACITY],
    next: usize,
}

impl Holders {
    /// Holders beyond this number take each other's places, and are named again: the limits bound
    /// how often.
    pub const CAPACITY: usize = 4;

    /// No process was named.
    pub const fn new() -> Self {
        Self {
            named: [None; Self::CAPACITY],
            next: 0,
        }
    }

    /// Whether the log names `process`.
    #[inline]
    pub fn contains(&self, process: Process) -> bool {
        self.named.contains(&Some(process))
    }

    /// The log names `process`.
    pub fn add(&mut self, process: Process) {
        if !self.contains(process) {
            self.named[self.next] = Some(process);
            self.next = (self.next + 1) % Self::CAPACITY;
        }
    }
}
