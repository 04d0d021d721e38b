// SPDX-License-Identifier: GPL-2.0

//! A device: its limits, its open session and what the log does not have yet.
//!
//! A device is known by its address from its first session on, for as long as the module is
//! loaded, so that neither opening it again nor binding it again brings new tokens. Its size is
//! constant. Its memory and its session's are not charged to the holder: a holder at the limit of
//! its memory would otherwise have accesses without records, where the first access begins the
//! session.

use super::{
    account::GROUPS,
    cached_lookup::CachedLookup,
    ledger::{
        Entry,
        Ledger,
        Step, //
    },
    limits::LIMITS,
    totals::Totals,
    touched::Bitmap,
    worker,
    Session, //
};
use crate::common::clock;
use kernel::{
    new_mutex, new_spinlock, pci,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex,
        SpinLock,
        SpinLockGuard, //
    },
    workqueue::{
        impl_has_delayed_work,
        new_delayed_work,
        DelayedWork,
        WorkItem, //
    },
};
use pci_audit::{
    Context,
    Emitted, //
};

/// The number of the session that began last.
static LAST_SESSION: Atomic<u64> = Atomic::new(0);

/// What an access may change.
pub(crate) struct Inner {
    pub(crate) ledger: Ledger<KBox<[Bitmap; GROUPS]>>,
    /// Whether the work item is queued, or runs and will look again.
    pub(crate) work_queued: bool,
    /// Whether audit refused what the worker wrote last, so that it waits for long.
    pub(crate) refused: bool,
    /// The open session and its number of users. With the livepatch, two first accesses of a
    /// device may open it at the same time.
    open: Option<(Arc<Session>, usize)>,
    /// The device that records are about, while there is a session or something to report.
    pci: Option<ARef<pci::Device>>,
}

pub(crate) type State<'a> = SpinLockGuard<'a, Inner>;

/// A device that had a session.
#[pin_data]
pub(crate) struct Device {
    #[pin]
    pub(crate) state: SpinLock<Inner>,
    /// Held by the one access that emits `op=open` while others of its process wait.
    #[pin]
    pub(crate) naming: Mutex<()>,
    #[pin]
    work: DelayedWork<Self>,
}

impl_has_delayed_work! {
    impl HasDelayedWork<Self> for Device { self.work }
}

fn bitmaps() -> Result<KBox<[Bitmap; GROUPS]>> {
    KBox::init(pin_init::init_zeroed::<[Bitmap; GROUPS]>(), GFP_KERNEL)
}

impl Device {
    /// A device without a session. May sleep. [`ENOMEM`] when memory is short.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let touched = bitmaps()?;
        let ended_touched = bitmaps()?;

        Arc::pin_init(
            pin_init!(Self {
                state <- new_spinlock!(
                    Inner {
                        ledger: Ledger::new(touched, ended_touched),
                        work_queued: false,
                        refused: false,
                        open: None,
                        pci: None,
                    },
                    "vfio_pci_audit::state"
                ),
                naming <- new_mutex!((), "vfio_pci_audit::naming"),
                work <- new_delayed_work!("vfio_pci_audit::work"),
            }),
            GFP_KERNEL,
        )
    }

    /// Begins a session on `pci`, or joins the one that is open. May sleep. [`ENOMEM`] when memory
    /// is short.
    pub(crate) fn open(self: &Arc<Self>, pci: &pci::Device) -> Result<Arc<Session>> {
        let session = Arc::new(
            Session {
                device: self.clone(),
                pci: pci.into(),
                number: LAST_SESSION.fetch_add(1, Relaxed) + 1,
                lookup: CachedLookup::new()?,
            },
            GFP_KERNEL,
        )?;
        let mut state = self.state.lock();

        if let Some((open, users)) = &mut state.open {
            *users += 1;
            return Ok(open.clone());
        }
        state.ledger.begin(session.number);
        state.open = Some((session.clone(), 1));
        let old = state.pci.replace(pci.into());
        drop(state);
        // The last reference on a device must not be dropped under a spinlock.
        drop(old);
        Ok(session)
    }

    /// Ends the open session, or leaves it to its other users. Does not sleep. No access of the
    /// session is under way, and none will come.
    pub(crate) fn close(self: &Arc<Self>) {
        let mut state = self.state.lock();
        let Some((_, users)) = &mut state.open else {
            return;
        };

        *users -= 1;
        if *users > 0 {
            return;
        }
        let session = state.open.take();
        state.ledger.end();
        let pending = state.ledger.has_unreported();
        state.work_queued |= pending;
        // If there is something to report, the worker drops it afterwards.
        let unused = if pending { None } else { state.pci.take() };
        drop(state);
        drop((session, unused));
        if pending {
            worker::requeue(self, 0);
        }
    }

    /// The administrator set other limits. Does not sleep.
    pub(crate) fn limits_changed(&self) {
        self.state.lock().ledger.fill();
    }

    /// Calls `f` with the device's name, the session and its totals, for the end that the log does
    /// not have yet and for the open session; the last argument says whether it is open.
    pub(crate) fn view(&self, f: &mut dyn FnMut(&str, pci_audit::Session, Totals, bool)) {
        let (pci, closing, open) = {
            let state = self.state.lock();
            (
                state.pci.clone(),
                state.ledger.closing(),
                state.ledger.open(),
            )
        };
        let Some(pci) = pci else {
            return;
        };
        let name = pci_audit::name(&pci);

        if let Some((session, totals)) = closing {
            f(name, session, totals, false);
        }
        if let Some((number, totals)) = open {
            f(name, pci_audit::Session(Some(number)), totals, true);
        }
    }

    /// Writes what the log does not have yet, as far as pace and audit allow. May sleep for room in
    /// the backlog. Returns after how many nanoseconds to come back, if at all.
    fn report(&self) -> Option<u64> {
        loop {
            // Without auditing the next recorded access or close has the worker come back.
            if !pci_audit::enabled() {
                return None;
            }
            let (step, pci) = {
                let mut state = self.state.lock();
                let step = state.ledger.step(LIMITS.current(), clock::monotonic_ns());
                (step, state.pci.clone())
            };

            match (step, pci) {
                (Step::Write(entry), Some(pci)) => {
                    if !self.write(&pci, &entry, Context::Sleep) {
                        return Some(worker::RETRY);
                    }
                }
                (Step::Wait(ns), _) => return Some(ns),
                (Step::Write(_), None) | (Step::Done, _) => return None,
            }
        }
    }

    /// Writes one record of the ledger, which takes it back if audit refuses. Returns whether audit
    /// took it.
    fn write(&self, pci: &pci::Device, entry: &Entry, context: Context) -> bool {
        let written = matches!(
            pci_audit::emit(pci, &entry.record, context),
            Ok(Emitted::Written)
        );
        let mut state = self.state.lock();

        state.refused = !written;
        if !written {
            state.ledger.refused(entry);
        }
        written
    }

    /// The module goes: writes what audit takes at once. No work item runs, and no session is open.
    pub(crate) fn finish(self: &Arc<Self>) {
        worker::cancel(self);
        let pci = self.state.lock().pci.take();
        let Some(pci) = pci else {
            return;
        };
        let mut written = pci_audit::enabled();

        while written {
            let entry = self.state.lock().ledger.flush();
            match entry {
                Some(entry) => written = self.write(&pci, &entry, Context::NoWait),
                None => break,
            }
        }
        if self.state.lock().ledger.has_unreported() {
            dev_warn!(
                pci.as_ref(),
                "audit did not take the records of accesses to this device\n"
            );
        }
    }
}

impl WorkItem for Device {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        let again = this.report();
        let mut state = this.state.lock();

        // An access may have left something to report since.
        let again = again.or_else(|| {
            (pci_audit::enabled() && state.ledger.has_unreported()).then_some(worker::FIRST_REPORT)
        });
        state.work_queued = again.is_some();
        if !state.work_queued {
            // The next access without a record has the worker come back.
            state.ledger.open_gates();
        }
        let unused = if again.is_none() && state.open.is_none() && !state.ledger.has_unreported() {
            state.pci.take()
        } else {
            None
        };
        drop(state);
        drop(unused);
        if let Some(delay) = again {
            worker::queue(&this, delay);
        }
    }
}
