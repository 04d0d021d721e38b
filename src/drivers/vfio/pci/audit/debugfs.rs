// SPDX-License-Identifier: GPL-2.0

//! What root may see of sessions: `/sys/kernel/debug/vfio_pci_audit/sessions`.
//!
//! One line of `key=value` words for each session. Its numbers are those that `op=close` records,
//! all of one moment: `reads + writes = records + suppressed + lost`. The state is `open`, or
//! `closing` while audit refuses the end of a session whose device is closed.

use crate::sessions;
use kernel::seq_file::{
    seq_print,
    SeqFile, //
};

/// Shows every session. May sleep.
pub(crate) fn show(out: &SeqFile) {
    sessions::for_each(|session| {
        let (open, totals) = session.view();

        seq_print!(
            out,
            "device={} state={} reads={} writes={} blocked_reads={} blocked_writes={} records={} \
             suppressed={} lost={}\n",
            session.device_name(),
            if open { "open" } else { "closing" },
            totals.reads,
            totals.writes,
            totals.blocked_reads,
            totals.blocked_writes,
            totals.records,
            totals.suppressed,
            totals.lost
        );
    });
}
