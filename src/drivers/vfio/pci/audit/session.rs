// SPDX-License-Identifier: GPL-2.0

//! A session: from the opening of a VFIO device to its last close.
//!
//! It limits how many accesses get a record of their own, and sees to it that the log tells of
//! the others: by reports while the session goes on, and by a last one at its end. Who calls, and
//! where the session is kept, is the front end's business.

use crate::{
    access::{
        Op,
        Outcome,
        Range, //
    },
    account::{
        Account,
        Report,
        GAPS,
        MAX_RANGES, //
    },
    bucket::Gate,
    clock,
    limits::LIMITS,
    pci_audit::{
        self,
        Context, //
    },
    policy::Verdict,
    sessions,
    totals::Totals,
    touched::Bitmap,
    worker, //
};
use kernel::{
    alloc::flags::GFP_KERNEL_ACCOUNT,
    device, new_mutex, new_spinlock, pci,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Acquire,
            Atomic,
            Release, //
        },
        Arc,
        ArcBorrow,
        Mutex,
        SpinLock, //
    },
    time::msecs_to_jiffies,
    workqueue::{
        impl_has_delayed_work,
        new_delayed_work,
        DelayedWork,
        WorkItem, //
    },
};

/// Milliseconds from the first access without a record to the report, and from one report to the
/// next.
const REPORT_INTERVAL: u32 = 1000;

/// Records that one report has at most. With two full buckets of the default size, the records
/// that open and close a session included, they fit in the default audit backlog of 64.
const REPORT_RECORDS: usize = 12;

/// How often the end of a session is tried again while audit refuses its records: for about ten
/// minutes. Every try that finds the backlog full counts as a lost record with audit, which some
/// hosts answer with a panic, so that the tries become rare.
const CLOSE_TRIES: u32 = 60;

/// Milliseconds from one of these tries to the next. A small backlog takes what there is to say a
/// few records at a time, which is why the first twenty follow each other quickly.
fn close_interval(tries: u32) -> u32 {
    REPORT_INTERVAL << tries.saturating_sub(20).min(4)
}

/// How far a session has come.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Phase {
    /// The device is open.
    Open,
    /// The device is closed, and audit refused what is left to say.
    Closing {
        /// How often it did.
        tries: u32,
    },
    /// Everything is said.
    Closed,
}

struct State {
    gates: [Gate; 2],
    account: Account<KBox<[Bitmap; GAPS]>>,
    phase: Phase,
    /// Whether the work item is queued, or runs and will look again.
    report_queued: bool,
}

/// A session on one device.
#[pin_data]
pub(crate) struct Session {
    device: ARef<pci::Device>,
    verdict: Verdict,
    /// Whether the log says who holds the device.
    introduced: Atomic<bool>,
    /// Held by the one access that introduces the session while others wait for it.
    #[pin]
    introducing: Mutex<()>,
    #[pin]
    state: SpinLock<State>,
    /// Held by the one report under way. No access takes it.
    #[pin]
    reporting: Mutex<()>,
    #[pin]
    work: DelayedWork<Self>,
    _live: worker::LiveGuard,
}

impl_has_delayed_work! {
    impl HasDelayedWork<Self> for Session { self.work }
}

impl Session {
    /// Starts a session. May sleep. [`ENOMEM`] for want of memory.
    pub(crate) fn new(device: &pci::Device) -> Result<Arc<Self>> {
        let touched = KBox::init(
            pin_init::init_zeroed::<[Bitmap; GAPS]>(),
            GFP_KERNEL_ACCOUNT,
        )?;

        let session = Arc::pin_init(
            pin_init!(Self {
                device: device.into(),
                verdict: Verdict::new(),
                introduced: Atomic::new(false),
                introducing <- new_mutex!((), "vfio_pci_audit::introducing"),
                state <- new_spinlock!(
                    State {
                        gates: [Gate::new(); 2],
                        account: Account::new(touched),
                        phase: Phase::Open,
                        report_queued: false,
                    },
                    "vfio_pci_audit::state"
                ),
                reporting <- new_mutex!((), "vfio_pci_audit::reporting"),
                work <- new_delayed_work!("vfio_pci_audit::work"),
                _live: worker::LiveGuard::new(),
            }),
            GFP_KERNEL_ACCOUNT,
        )?;
        sessions::add(&session)?;
        Ok(session)
    }

    /// The device's name: domain, bus, device and function.
    pub(crate) fn device_name(&self) -> &str {
        let device: &device::Device = (*self.device).as_ref();

        // The PCI core made it of hexadecimal digits.
        device.name().to_str().unwrap_or("?")
    }

    /// Whether the device is open, and what was accessed, both of one moment.
    pub(crate) fn view(&self) -> (bool, Totals) {
        let state = self.state.lock();

        (state.phase == Phase::Open, state.account.totals())
    }

    /// Nothing more is to be said, or there never was a device for the session.
    pub(crate) fn set_closed(&self) {
        self.state.lock().phase = Phase::Closed;
        sessions::remove(self);
    }

    /// The limit is another one: the next access asks for its tokens.
    pub(crate) fn limit_changed(&self) {
        self.state.lock().gates.iter_mut().for_each(Gate::open);
    }

    /// Accounts for one access, and records it if the limit allows. Never waits for the audit
    /// subsystem. Several accesses may be under way at once.
    #[inline(always)]
    pub(crate) fn access(self: ArcBorrow<'_, Self>, op: Op, range: Range, outcome: Outcome) {
        let tick = clock::ticks();
        let mut guard = self.state.lock();
        let state = &mut *guard;

        // A flood comes here again and again, and pays for no more than this.
        if state.gates[op as usize].is_shut(tick) && state.report_queued {
            state.account.suppressed(op, range, outcome);
            drop(guard);
            pci_audit::unrecorded(&self.device, op, range, outcome);
            return;
        }
        drop(guard);
        self.access_again(op, range, outcome);
    }

    /// The same by the exact clock.
    #[cold]
    #[inline(never)]
    fn access_again(self: ArcBorrow<'_, Self>, op: Op, range: Range, outcome: Outcome) {
        let tick = clock::ticks();
        let now = clock::monotonic_ns();
        let mut state = self.state.lock();
        // Read under the lock: a limit that is older than the last `limit_changed()` shuts no gate.
        let limit = LIMITS.current();

        if state.gates[op as usize].take(limit, now, tick, clock::TICK_NS) {
            drop(state);
            self.record(op, range, outcome);
            return;
        }
        state.account.suppressed(op, range, outcome);
        let first = !core::mem::replace(&mut state.report_queued, true);
        drop(state);
        pci_audit::unrecorded(&self.device, op, range, outcome);
        if first {
            self.queue(REPORT_INTERVAL);
        }
    }

    /// What the policy's list last said of the device.
    #[inline]
    pub(crate) fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Records one access that the limit allows.
    fn record(self: ArcBorrow<'_, Self>, op: Op, range: Range, outcome: Outcome) {
        self.introduce();
        let result = pci_audit::access(&self.device, op, range, outcome, Context::NoWait);

        let mut state = self.state.lock();
        if result.is_ok() {
            state.account.recorded(op, outcome);
        } else {
            state.account.lost(op, range, outcome);
            if !core::mem::replace(&mut state.report_queued, true) {
                drop(state);
                self.queue(REPORT_INTERVAL);
            }
        }
    }

    /// Lets the log know who holds the device, unless it does. To be called by the holder.
    fn introduce(&self) {
        if self.introduced.load(Acquire) {
            return;
        }

        let _introducing = self.introducing.lock();
        self.introduce_alone();
    }

    /// As [`Session::introduce`], for a caller that nobody competes with. Does not sleep.
    fn introduce_alone(&self) {
        if !self.introduced.load(Acquire) && pci_audit::open(&self.device, Context::NoWait).is_ok()
        {
            self.introduced.store(true, Release);
        }
    }

    /// Queues the work item for `delay` milliseconds from now.
    fn queue(self: ArcBorrow<'_, Self>, delay: u32) {
        worker::queue(self.into(), msecs_to_jiffies(delay));
    }

    /// Reports accesses without a record of their own, as much of it as one report may hold.
    /// Returns whether nothing is left. [`ENOBUFS`] when audit refused a record; what was not
    /// reported is kept.
    ///
    /// The `last` report leaves nothing behind: it makes ranges coarser if it has to.
    fn report(&self, last: bool) -> Result<bool> {
        let _reporting = self.reporting.lock();
        let mut room = REPORT_RECORDS;
        let mut waiting = self.state.lock().account.unreported();

        for op in Op::ALL {
            for outcome in Outcome::ALL {
                // One record is for the counts, the rest of this one's share for ranges.
                let most = (room / waiting.max(1)).saturating_sub(1).min(MAX_RANGES);
                let Some(report) = self.state.lock().account.take(op, outcome, most, last) else {
                    continue;
                };
                room = room.saturating_sub(1 + report.ranges().count());
                waiting = waiting.saturating_sub(1);
                self.write_report(&report)?;
            }
        }
        Ok(self.state.lock().account.unreported() == 0)
    }

    /// Writes the records of one report. On an error, what they did not tell is put back.
    fn write_report(&self, report: &Report) -> Result {
        let Report { op, outcome, .. } = *report;
        let mut result = pci_audit::suppressed(
            &self.device,
            op,
            outcome,
            report.suppressed,
            report.lost,
            report.ranges().count() as u32,
            Context::NoWait,
        );

        if result.is_err() {
            self.state.lock().account.restore_counts(report);
        }
        for range in report.ranges() {
            if result.is_ok() {
                result = pci_audit::touched(&self.device, op, range, outcome, Context::NoWait);
            }
            if result.is_err() {
                self.state.lock().account.restore_range(op, outcome, range);
            }
        }
        result
    }

    /// Ends the session. May sleep. No access is under way, and none will come.
    ///
    /// What audit refuses to take now is tried again later, from a work item.
    pub(crate) fn close(self: Arc<Self>) {
        self.introduce_closer();
        self.finish(0);
    }

    /// Lets the log know who closes the device, unless it knows who held it: the same task, and a
    /// work item would not know. Does not sleep. No access is under way, and none will come.
    pub(crate) fn introduce_closer(&self) {
        if !self.state.lock().account.is_empty() {
            self.introduce_alone();
        }
    }

    /// Writes the last report and the totals, unless there was no access.
    fn say_the_rest(&self) -> Result {
        if self.state.lock().account.is_empty() {
            return Ok(());
        }
        self.report(true)?;
        let totals = self.state.lock().account.totals();
        pci_audit::close(&self.device, &totals, Context::NoWait)
    }

    /// Says what is left to say, or sees to it that it is tried again.
    fn finish(self: Arc<Self>, tries: u32) {
        let said = self.say_the_rest();
        let give_up = tries >= CLOSE_TRIES || worker::is_unloading();

        if said.is_err() && give_up {
            dev_warn!(
                (*self.device).as_ref(),
                "audit refused the end of a session\n"
            );
        }
        if said.is_ok() || give_up {
            self.set_closed();
            return;
        }
        self.finish_later(tries + 1, close_interval(tries));
    }

    /// Says what is left to say in `delay` milliseconds, after `tries` that audit refused. Does not
    /// sleep. No access is under way, and none will come.
    pub(crate) fn finish_later(self: Arc<Self>, tries: u32, delay: u32) {
        {
            let mut state = self.state.lock();
            state.phase = Phase::Closing { tries };
            state.report_queued = true;
        }
        // If it is queued for a report, the end takes its place.
        self.as_arc_borrow().queue(delay);
    }
}

impl WorkItem for Session {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        let phase = this.state.lock().phase;

        match phase {
            Phase::Closed => (),
            Phase::Closing { tries } => this.finish(tries),
            Phase::Open => {
                // While auditing is off there is nobody to report to, but it may come back.
                let done = pci_audit::enabled() && this.report(false).unwrap_or(false);
                let again = {
                    let mut state = this.state.lock();
                    let again =
                        state.phase == Phase::Open && (!done || state.account.unreported() != 0);
                    state.report_queued = again;
                    again
                };
                if again {
                    this.as_arc_borrow().queue(REPORT_INTERVAL);
                }
            }
        }
    }
}
