// SPDX-License-Identifier: GPL-2.0

//! Accesses, reports and the ends of sessions.

use super::{
    account,
    device,
    explore,
    unload,
    Handle,
    Module, //
};
use crate::audit;
use loom::thread;

/// Two users of the livepatch's session: each opens it, and the last one ends it.
#[test]
fn access_against_close() {
    explore(2, || {
        let module = Module::load();
        let user = || {
            let device = device();
            let session = Handle::open(&device);

            session.access(&device, false, 0x40);
            session.close();
        };
        let other = thread::spawn(user);

        user();
        other.join().expect("the user ends");
        account::check(&module.unload(), 2);
    });
}

/// Accesses are suppressed while the worker reports others. All are reported while the session is
/// open.
#[test]
fn report_against_access() {
    explore(2, || {
        let module = Module::load();
        let device = device();
        let session = Handle::open(&device);

        session.access(&device, false, 0x40);
        session.access(&device, false, 0x80);
        session.access(&device, false, 0xc0);
        let sessions = module.settle();
        session.close();
        let log = unload(sessions);
        account::check(&log, 3);
        assert_eq!(account::ends(&log), 1);
    });
}

/// The session ends while the worker reports its accesses, which two threads made.
#[test]
fn report_against_access_against_close() {
    explore(2, || {
        let module = Module::load();
        let device = device();
        let session = Handle::open(&device);

        session.access(&device, false, 0x40);
        let other = {
            let device = device.clone();
            thread::spawn(move || session.access(&device, false, 0xc0))
        };
        session.access(&device, true, 0x40);
        other.join().expect("the access ends");
        session.close();
        let log = module.unload();
        account::check(&log, 3);
        assert_eq!(account::ends(&log), 1);
    });
}

/// Two accesses at once; audit refuses a record, which the worker or the next access brings back.
#[test]
fn access_against_access_and_refusal() {
    explore(2, || {
        let module = Module::load();
        let device = device();
        let session = Handle::open(&device);

        audit::refuse(1);
        let other = {
            let device = device.clone();
            thread::spawn(move || session.access(&device, true, 0x40))
        };
        session.access(&device, false, 0x40);
        other.join().expect("the access ends");
        session.close();
        account::check(&module.unload(), 2);
    });
}

/// The device is opened again while the worker still writes the end of its last session.
#[test]
fn open_again_against_late_report() {
    explore(2, || {
        let module = Module::load();
        let device = device();

        for _ in 0..2 {
            let session = Handle::open(&device);
            session.access(&device, false, 0x40);
            session.access(&device, false, 0x80);
            session.close();
        }
        account::check(&module.unload(), 4);
    });
}

/// The module goes as soon as its last session ended, while the worker writes.
#[test]
fn last_close_against_module_exit() {
    explore(3, || {
        let module = Module::load();
        let device = device();
        let session = Handle::open(&device);

        session.access(&device, false, 0x40);
        session.access(&device, false, 0x80);
        session.close();
        let log = module.unload_at_once();
        account::check(&log, 2);
        assert_eq!(account::ends(&log), 1);
    });
}
