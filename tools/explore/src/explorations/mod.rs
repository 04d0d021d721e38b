// SPDX-License-Identifier: GPL-2.0

//! What may run at the same time.
//!
//! Each exploration loads the module, lets two or three threads and the worker run, and unloads it.
//! Whatever the order, the log then has every access.

mod account;
mod limits;
mod policy;
mod sessions;

use crate::{
    audit,
    bindings::{self, vfio_pci_audit_session},
    common::param,
    monitor::Monitor,
    session::{devices, Session, Sessions},
};
use kernel::{
    execution, pci,
    workqueue::{queue, run_items},
};
use loom::thread::{self, JoinHandle};

/// Explores `f` with at most `preemptions` threads stopped where they need not wait. Panics with
/// the first order of threads in which `f` does, or in which no thread can go on.
fn explore(preemptions: usize, f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();

    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 50_000;
    builder.check(move || {
        execution::begin();
        drop(audit::take_records());
        f();
    });
}

/// The module, and the thread that runs its work items.
struct Module {
    sessions: Sessions,
    worker: JoinHandle<()>,
}

impl Module {
    /// Loads the module, with one record at once of each kind of access.
    fn load() -> Self {
        // SAFETY: Once for each execution, to which the statics of the module belong.
        let sessions = unsafe { Sessions::new() }.expect("there is memory");

        param::set_running();
        param::set("audit_burst", c"1").expect("it is a good value");
        Self {
            sessions,
            worker: thread::spawn(run_items),
        }
    }

    /// Waits until the worker has no item, and returns what unloads the module. By then the log has
    /// everything.
    fn settle(self) -> Sessions {
        queue().stop();
        self.worker.join().expect("the worker ends");
        let mut left = false;
        devices::for_each(|device| left |= device.state.lock().ledger.has_unreported());
        assert!(!left, "the worker left something");
        self.sessions
    }

    /// Waits for the worker, unloads the module, and returns its records.
    fn unload(self) -> Vec<audit::Taken> {
        unload(self.settle())
    }

    /// Unloads the module while the worker may run, and returns its records.
    fn unload_at_once(self) -> Vec<audit::Taken> {
        let records = unload(self.sessions);

        queue().stop();
        self.worker.join().expect("the worker ends");
        assert!(audit::take_records().is_empty(), "written after the end");
        records
    }
}

/// Unloads the module, and returns its records. Panics if it warns of any that audit did not take.
fn unload(sessions: Sessions) -> Vec<audit::Taken> {
    drop(sessions);
    assert_eq!(execution::take_log(), [""; 0]);
    audit::take_records()
}

fn device() -> pci::Device {
    pci::Device::with_name("0000:01:00.0")
}

/// A session, as C has it.
#[derive(Clone, Copy)]
struct Handle(*mut vfio_pci_audit_session);

// SAFETY: C uses a session from any thread.
unsafe impl Send for Handle {}
// SAFETY: As above.
unsafe impl Sync for Handle {}

impl Handle {
    /// Opens the device, or joins its open session.
    fn open(device: &pci::Device) -> Self {
        let mut session = core::ptr::null_mut();
        let device = core::ptr::from_ref(device).cast_mut().cast();

        // SAFETY: The device is what the stand-in expects behind the pointer, and lives on.
        assert_eq!(
            unsafe { bindings::vfio_pci_audit_open(device, &mut session) },
            0
        );
        Self(session)
    }

    /// Makes an allowed access to the dword at `offset`.
    fn access(self, device: &pci::Device, iswrite: bool, offset: usize) {
        // SAFETY: The explorations close a session after its accesses.
        let session = unsafe { <Option<&Session>>::from_raw(self.0) };

        session.access(device, iswrite, offset, 4, true);
    }

    /// Ends the session for this user.
    fn close(self) {
        // SAFETY: Once for each user, after its accesses.
        unsafe { bindings::vfio_pci_audit_close(self.0) };
    }
}
