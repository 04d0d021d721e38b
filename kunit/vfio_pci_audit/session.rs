// SPDX-License-Identifier: GPL-2.0

//! KUnit tests of sessions on a device. Auditing has to be enabled ("audit=1").

use kernel::prelude::*;

#[kunit_tests(vfio_pci_audit_session)]
mod tests {
    use crate::session::{
        device::Device,
        Session, //
    };
    use kernel::{
        pci,
        sync::Arc, //
    };
    use pci_audit::{
        any_device,
        Op,
        Outcome, //
    };

    fn access(session: &Session, pci: &pci::Device, times: usize) {
        for _ in 0..times {
            let range = pci_audit::range(pci, 0x40, 4).unwrap();

            session.access(Op::Read, range, Outcome::Blocked);
        }
    }

    fn totals(device: &Arc<Device>) -> crate::session::totals::Totals {
        let mut found = None;

        device.view(&mut |_, _, totals, open| {
            if open {
                found = Some(totals);
            }
        });
        found.unwrap()
    }

    #[test]
    fn limits_are_those_of_the_device() {
        let pci = any_device();
        let device = Device::new().unwrap();
        let mut recorded = 0;

        for _ in 0..10 {
            let session = device.open(&pci).unwrap();

            access(&session, &pci, 20);
            let totals = totals(&device);
            assert_eq!((totals.reads, totals.writes), (20, 0));
            assert_eq!(totals.blocked_reads, 20);
            assert_eq!(totals.records + totals.suppressed + totals.lost, 20);
            recorded += totals.records + totals.lost;
            device.close();
        }
        // The burst of 24 and one token per second.
        assert!((20..=40).contains(&recorded));
        device.finish();
    }

    #[test]
    fn a_session_that_is_met_twice_ends_once() {
        let pci = any_device();
        let device = Device::new().unwrap();
        let first = device.open(&pci).unwrap();
        let second = device.open(&pci).unwrap();

        assert!(Arc::ptr_eq(&first, &second));
        access(&first, &pci, 1);
        device.close();
        access(&second, &pci, 1);
        assert_eq!(totals(&device).reads, 2);
        device.close();
        let third = device.open(&pci).unwrap();
        assert!(!Arc::ptr_eq(&first, &third));
        assert_eq!(totals(&device).reads, 0);
        device.close();
        device.finish();
    }

    #[test]
    fn nothing_outlives_the_module() {
        let pci = any_device();
        let device = Device::new().unwrap();
        let session = device.open(&pci).unwrap();

        access(&session, &pci, 100);
        device.close();
        device.finish();
        drop(session);
        let mut lines = 0;
        device.view(&mut |_, _, _, _| lines += 1);
        assert_eq!(lines, 0);
    }
}
