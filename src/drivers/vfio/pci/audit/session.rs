// SPDX-License-Identifier: GPL-2.0

//! A session: from the opening of a VFIO device to its last close.
//!
//! Records the accesses of a session within the limits of its device. What is over the limit is
//! counted, and reported by the worker.
//!
//! - `device`: the state that a device keeps from one session to the next; `devices`: all devices.
//! - `ledger`: decides what is recorded and what the worker writes, with `account` and `touched`
//!   (what was accessed), `bucket` and `pace` (how much is written), and `holders` (by whom).
//! - `record`, `totals`: the texts of a session's other records.
//! - `limits`: the parameters; `worker`: the work queue.
//! - `monitor`: what the hook calls for an access; `abi`: what C calls to begin and end a session.
//! - `cached_lookup`: what the list of exceptions says of the device.
//! - `unattended`: accesses without a session.
//! - `debugfs`: the state of every session, for root.

pub(crate) mod abi;
pub mod account;
pub mod bucket;
pub(crate) mod cached_lookup;
pub(crate) mod debugfs;
pub(crate) mod device;
pub(crate) mod devices;
pub mod holders;
pub mod ledger;
pub(crate) mod limits;
mod monitor;
pub mod pace;
pub mod record;
pub mod totals;
pub mod touched;
pub(crate) mod tracing;
pub(crate) mod unattended;
pub(crate) mod worker;

use crate::common::{
    clock,
    process, //
};
use bucket::Time;
use cached_lookup::CachedLookup;
use device::{
    Device,
    State, //
};
use holders::Process;
use kernel::{
    pci,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    },
};
use ledger::Decision;
use limits::LIMITS;
use pci_audit::{
    record::Access,
    Context,
    Emitted,
    Op,
    Outcome,
    Range,
    TraceNotifier, //
};
use record::{
    Record,
    SessionRecord, //
};

/// Everything that sessions rely on, for as long as the module is loaded.
pub(crate) struct Sessions {
    // Dropped in this order: tracers and files use the devices, and those the queue.
    _tracing: TraceNotifier<tracing::Tracing>,
    _files: debugfs::Files,
    _devices: devices::Devices,
    _worker: worker::Worker,
}

impl Sessions {
    /// Gets ready for sessions. May sleep. [`ENOMEM`] when memory is short.
    ///
    /// # Safety
    ///
    /// Called once, when the module is loaded.
    pub(crate) unsafe fn new() -> Result<Self> {
        let worker = worker::Worker::new()?;
        // SAFETY: By the safety requirement.
        let devices = unsafe { devices::Devices::new() };

        Ok(Self {
            _tracing: TraceNotifier::new()?,
            _files: debugfs::Files::new(),
            _devices: devices,
            _worker: worker,
        })
    }
}

/// A session on one device.
pub(crate) struct Session {
    device: Arc<Device>,
    pci: ARef<pci::Device>,
    number: u64,
    lookup: CachedLookup,
}

impl Session {
    /// Accounts for one access, and records it if the limit allows. Never waits for the audit
    /// subsystem. Several accesses may be under way at once. Process context; may sleep.
    #[inline(always)]
    pub(crate) fn access(&self, op: Op, range: Range, outcome: Outcome) {
        let tick = clock::ticks();
        let mut guard = self.device.state.lock();
        let state = &mut *guard;

        // During a flood, nearly all accesses take this path.
        if state.ledger.is_shut(op, tick) {
            state.ledger.suppress(op, range, outcome);
            drop(guard);
            self.trace(op, range, outcome);
            return;
        }
        drop(guard);
        self.access_slow(op, range, outcome);
    }

    #[inline(always)]
    fn trace(&self, op: Op, range: Range, outcome: Outcome) {
        if pci_audit::is_traced() {
            let session = pci_audit::Session(Some(self.number));

            pci_audit::trace(&self.pci, op, range, session, outcome);
        }
    }

    /// As [`Session::access`], by the exact clock.
    #[cold]
    #[inline(never)]
    fn access_slow(&self, op: Op, range: Range, outcome: Outcome) {
        let (tgid, started, executed) = process::identity();
        let process = Process {
            tgid,
            started,
            executed,
        };
        let now = Time {
            tick: clock::ticks(),
            ns: clock::monotonic_ns(),
            tick_ns: clock::TICK_NS,
        };
        let mut state = self.device.state.lock();
        // Read under the lock: after a change of the limits, `Device::limits_changed()` opens the
        // gates under it.
        let limits = LIMITS.current();

        match state
            .ledger
            .access(op, range, outcome, process, limits, now)
        {
            Decision::Record { named } => {
                drop(state);
                self.record(op, range, outcome, process, named);
            }
            Decision::Suppress => {
                self.queue(state);
                self.trace(op, range, outcome);
            }
        }
    }

    /// Records one access that the limit allows.
    fn record(&self, op: Op, range: Range, outcome: Outcome, process: Process, named: bool) {
        let access = Access {
            op,
            range,
            session: pci_audit::Session(Some(self.number)),
            outcome,
        };
        self.trace(op, range, outcome);
        let result = if named {
            Ok(Emitted::Written)
        } else {
            self.name(process)
        }
        .and_then(|emitted| match emitted {
            Emitted::Written => pci_audit::session_access(&self.pci, &access, Context::NoWait),
            Emitted::Off => Ok(Emitted::Off),
        });
        let mut retry = false;
        let mut state = self.device.state.lock();
        match result {
            Ok(Emitted::Written) => {
                state.ledger.recorded(op, outcome);
                retry = core::mem::take(&mut state.refused);
            }
            // Auditing was switched off in the meantime: the access is not counted.
            Ok(Emitted::Off) => return,
            Err(_) => state.ledger.lost(op, range, outcome),
        }
        if !state.ledger.has_unreported() {
            return;
        }
        if retry {
            // Audit takes records again: what it refused need not wait for the worker's next try.
            state.work_queued = true;
            drop(state);
            worker::requeue(&self.device, worker::FIRST_REPORT);
        } else {
            self.queue(state);
        }
    }

    /// Emits `op=open` for the current process, unless another of its threads did. Does not wait
    /// for audit. `ENOBUFS` when audit refuses the record: then the process is not named.
    fn name(&self, process: Process) -> Result<Emitted> {
        // An access of the process is not recorded before the process is named.
        let _naming = self.device.naming.lock();

        if self.device.state.lock().ledger.is_named(process) {
            return Ok(Emitted::Written);
        }
        let open = SessionRecord {
            session: pci_audit::Session(Some(self.number)),
            record: Record::Open,
        };
        let emitted = pci_audit::emit_task(&self.pci, &open, Context::NoWait)?;
        if emitted == Emitted::Written {
            self.device.state.lock().ledger.named(process);
        }
        Ok(emitted)
    }

    /// Has the worker report in a while, unless it will anyway.
    fn queue(&self, mut state: State<'_>) {
        if !core::mem::replace(&mut state.work_queued, true) {
            drop(state);
            worker::queue(&self.device, worker::FIRST_REPORT);
        }
    }
}
