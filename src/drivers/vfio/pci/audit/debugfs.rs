// SPDX-License-Identifier: GPL-2.0

//! What root may see of sessions: `/sys/kernel/debug/vfio_pci_audit/sessions`.
//!
//! One line of `key=value` words for each session. Its numbers are those that `op=close` records,
//! all of one moment: `reads + writes = records + suppressed + lost`. The state is `open`, or
//! `closing` while audit refuses the end of a session whose device is closed.
//!
//! The list is locked when a session starts, when it ends, and while it is shown. No access takes
//! that lock. Of each session that is shown, the lock is held for a copy of its numbers.

use crate::{
    rcu_box::RcuBox,
    seq_file::Files,
    session::Session, //
};
use core::ptr;
use kernel::{
    new_mutex,
    prelude::*,
    seq_file::{
        seq_print,
        SeqFile, //
    },
    sync::{
        rcu,
        Arc,
        Mutex, //
    },
};

/// The sessions that have not ended.
#[pin_data]
struct List {
    #[pin]
    sessions: Mutex<KVec<Arc<Session>>>,
}

/// The list in use, once the module runs.
static LIST: RcuBox<Arc<List>> = RcuBox::new();

fn list() -> Option<Arc<List>> {
    LIST.read(&rcu::read_lock()).cloned()
}

/// The module's files; they go with this value.
pub(crate) struct Debugfs {
    _files: Files,
}

impl Debugfs {
    /// Makes the files. May sleep. [`ENOMEM`] for want of memory; that debugfs cannot have a file
    /// is no error.
    pub(crate) fn new() -> Result<Self> {
        let list = Arc::pin_init(
            pin_init!(List {
                sessions <- new_mutex!(KVec::new(), "vfio_pci_audit::sessions"),
            }),
            GFP_KERNEL,
        )?;

        LIST.replace(Some(KBox::new(list, GFP_KERNEL)?));
        Ok(Self {
            _files: Files::new(),
        })
    }
}

impl Drop for Debugfs {
    /// No session is left: the module waits for the last one.
    fn drop(&mut self) {
        LIST.replace(None);
    }
}

/// Lists a session that starts. May sleep. [`ENOMEM`] for want of memory.
pub(crate) fn add(session: &Arc<Session>) -> Result {
    if let Some(list) = list() {
        list.sessions.lock().push(session.clone(), GFP_KERNEL)?;
    }
    Ok(())
}

/// Lists a session no more. May sleep.
pub(crate) fn remove(session: &Session) {
    let Some(list) = list() else {
        return;
    };
    let removed = {
        let mut sessions = list.sessions.lock();
        let at = sessions
            .iter()
            .position(|listed| ptr::eq(&raw const **listed, session));

        at.and_then(|at| sessions.remove(at).ok())
    };
    // It may be the last reference; what it frees needs no lock.
    drop(removed);
}

/// Shows every session. May sleep.
pub(crate) fn show(out: &SeqFile) {
    let Some(list) = list() else {
        return;
    };
    for session in list.sessions.lock().iter() {
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
    }
}
