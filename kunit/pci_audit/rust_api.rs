// SPDX-License-Identifier: GPL-2.0

//! KUnit tests of the Rust interface, as a driver sees it, and its examples.

use kernel::{
    pci,
    prelude::*, //
};
use pci_audit::{
    any_device,
    AccessError,
    Context,
    Emitted,
    Op,
    Outcome,
    Range,
    RangeError,
    Session, //
};

include!(env!("DOCTESTS"));

#[kunit_tests(pci_audit_rust)]
mod api {
    use super::*;

    /// Bytes of the device's configuration space.
    fn size(device: &pci::Device) -> usize {
        if pci_audit::range(device, 256, 1).is_ok() {
            4096
        } else {
            256
        }
    }

    #[test]
    fn a_range_ends_where_the_device_does() {
        let device = any_device();
        let size = size(&device);
        let range = |offset, size| pci_audit::range(&device, offset, size).map(|_| ());

        assert_eq!(range(0, size), Ok(()));
        assert_eq!(range(size - 1, 1), Ok(()));
        assert_eq!(range(size - 1, 2), Err(RangeError::PastEnd));
        assert_eq!(range(size, 1), Err(RangeError::PastEnd));
        assert_eq!(range(0, size + 1), Err(RangeError::PastEnd));
        assert_eq!(range(usize::MAX, usize::MAX), Err(RangeError::PastEnd));
        assert_eq!(range(size, 0), Err(RangeError::Empty));
    }

    #[test]
    fn a_range_of_a_larger_device_is_refused() {
        let device = any_device();
        let access =
            |range| pci_audit::access(&device, Op::Read, range, Outcome::Allowed, Context::Sleep);

        // This is what makes the test one: the machine's first device is a conventional one.
        assert_eq!(size(&device), 256);
        let larger = Range::new(0x100, 4, 4096).unwrap();
        assert_eq!(access(larger), Err(AccessError::Range(RangeError::PastEnd)));
        let fits = Range::new(0xfc, 4, 4096).unwrap();
        assert_eq!(access(fits), Ok(Emitted::Written));
    }

    #[test]
    fn errors_are_those_of_c() {
        let refused = Error::from_errno(-(kernel::bindings::ENOBUFS as c_int));

        assert_eq!(Error::from(RangeError::Empty), EINVAL);
        assert_eq!(Error::from(AccessError::Range(RangeError::PastEnd)), EINVAL);
        assert_eq!(Error::from(AccessError::Refused(refused)), refused);
    }

    #[test]
    fn no_context_is_refused() {
        let device = any_device();

        for context in [Context::Sleep, Context::Atomic, Context::NoWait] {
            let range = pci_audit::range(&device, 0x40, 1).unwrap();

            assert_eq!(
                pci_audit::access(&device, Op::Write, range, Outcome::Blocked, context),
                Ok(Emitted::Written)
            );
        }
    }
}
