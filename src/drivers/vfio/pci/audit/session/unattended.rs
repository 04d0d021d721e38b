// SPDX-License-Identifier: GPL-2.0

//! Accesses for which there was no memory for a session: only a livepatch has them, since a session
//! begins with the first access there. They are decided and traced, and counted as lost.

use super::totals::Totals;
use crate::{
    monitor::{
        Monitor,
        PolicyOnly, //
    },
    policy::Decision,
};
use kernel::{
    pci,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};
use pci_audit::{
    Op,
    Outcome,
    Range, //
};

static LOST: [[Atomic<u64>; 2]; 2] = [const { [const { Atomic::new(0) }; 2] }; 2];

/// As [`Monitor::decide_dword`]. Not inlined, so that the usual case does not save registers for
/// it.
#[cold]
#[inline(never)]
pub(crate) fn decide_dword(device: &pci::Device, iswrite: bool, offset: usize) -> Decision {
    PolicyOnly.decide_dword(device, iswrite, offset)
}

/// Counts and traces an access without a session.
#[cold]
#[inline(never)]
pub(crate) fn access(device: &pci::Device, op: Op, range: Range, outcome: Outcome) {
    if pci_audit::enabled() {
        LOST[op as usize][outcome as usize].add(1, Relaxed);
    }
    if pci_audit::is_traced() {
        pci_audit::trace(device, op, range, pci_audit::Session::NONE, outcome);
    }
}

/// The accesses without a session, of all devices.
pub(crate) fn totals() -> Totals {
    let lost = |op: Op, outcome: Outcome| LOST[op as usize][outcome as usize].load(Relaxed);
    let blocked_reads = lost(Op::Read, Outcome::Blocked);
    let blocked_writes = lost(Op::Write, Outcome::Blocked);
    let reads = blocked_reads + lost(Op::Read, Outcome::Allowed);
    let writes = blocked_writes + lost(Op::Write, Outcome::Allowed);

    Totals {
        reads,
        writes,
        blocked_reads,
        blocked_writes,
        lost: reads + writes,
        ..Totals::default()
    }
}
