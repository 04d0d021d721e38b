// SPDX-License-Identifier: GPL-2.0

//! The state of sessions, for root: `/sys/kernel/debug/vfio_pci_audit/sessions`.
//!
//! One line of `key=value` words for each session that is open, and for each device whose last end
//! the log does not have yet. The numbers are those that `op=close` records, all of one moment:
//! `reads + writes = records + suppressed + lost`.

use super::{
    devices,
    totals::Totals,
    unattended, //
};
use kernel::seq_file::{
    seq_print,
    SeqFile, //
};

pub(crate) use crate::vfio::seq_file::Files;

/// Shows every session. May sleep.
pub(crate) fn show(out: &SeqFile) {
    devices::for_each(|device| {
        device.view(&mut |name, session, totals, open| {
            show_line(
                out,
                name,
                if open { "open" } else { "closing" },
                session,
                totals,
            );
        });
    });

    let unattended = unattended::totals();
    if unattended != Totals::default() {
        show_line(out, "?", "none", pci_audit::Session::NONE, unattended);
    }
}

fn show_line(
    out: &SeqFile,
    device: &str,
    state: &str,
    session: pci_audit::Session,
    totals: Totals,
) {
    seq_print!(
        out,
        "device={} state={} session={} reads={} writes={} blocked_reads={} blocked_writes={} \
         records={} suppressed={} lost={}\n",
        device,
        state,
        core::format_args!("{session}"),
        totals.reads,
        totals.writes,
        totals.blocked_reads,
        totals.blocked_writes,
        totals.records,
        totals.suppressed,
        totals.lost
    );
}
