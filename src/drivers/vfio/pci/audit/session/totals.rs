// SPDX-License-Identifier: GPL-2.0

//! The numbers in a session's last record. Imports only `core`.

/// What a session did. `reads + writes = records + suppressed + lost`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Totals {
    /// Accesses that read, blocked ones included.
    pub reads: u64,
    /// Accesses that wrote, blocked ones included.
    pub writes: u64,
    /// Those of `reads` that were blocked.
    pub blocked_reads: u64,
    /// Those of `writes` that were blocked.
    pub blocked_writes: u64,
    /// Accesses that have a record of their own.
    pub records: u64,
    /// Accesses that were over the limit.
    pub suppressed: u64,
    /// Accesses whose record the audit subsystem refused.
    pub lost: u64,
}
