// SPDX-License-Identifier: GPL-2.0

//! A change of the limits while accesses are made.

use super::{
    device,
    explore,
    Handle,
    Module, //
};
use crate::{
    audit::Taken,
    common::param, //
};
use loom::thread;

/// Once the limits were raised, the next access is recorded, whatever others did meanwhile.
#[test]
fn change_against_accesses() {
    explore(2, || {
        let module = Module::load();
        let device = device();
        let session = Handle::open(&device);

        session.access(&device, false, 0x40);
        let change = thread::spawn(|| param::set("audit_rate", c"0").expect("it is a good value"));
        let other = {
            let device = device.clone();
            thread::spawn(move || session.access(&device, false, 0x80))
        };
        session.access(&device, false, 0x84);
        change.join().expect("the change ends");
        other.join().expect("the access ends");
        session.access(&device, false, 0xc0);
        session.close();

        let is_last =
            |taken: &Taken| matches!(taken, Taken::Access(access) if access.range.offset() == 0xc0);
        let recorded = module.unload().iter().any(is_last);
        assert!(recorded, "an access after the change was still suppressed");
    });
}
