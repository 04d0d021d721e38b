// SPDX-License-Identifier: GPL-2.0

//! What can go wrong between here and the device, in words that say what to do.

use std::io;

use vfio_ioctls::VfioError;

use crate::Bdf;

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not bytes in hexadecimal.
    #[error("{0:?} is not a sequence of bytes in hexadecimal")]
    Hex(String),
    /// The system has no such device.
    #[error("no such device: {0}")]
    NoSuchDevice(Bdf),
    /// Another driver has the device, or none has.
    #[error("{bdf} is not bound to vfio-pci but to {driver}")]
    NotBound {
        /// The device.
        bdf: Bdf,
        /// Who has it.
        driver: String,
    },
    /// No IOMMU, so VFIO cannot isolate the device.
    #[error("{0} is in no IOMMU group: is there an IOMMU, and is it on?")]
    NoGroup(Bdf),
    /// A device of the same group has a driver of the host.
    #[error(
        "IOMMU group {group} of {bdf} is not viable: another device of it has a driver that is \
         not VFIO's, or the group is in use"
    )]
    NotViable {
        /// The device.
        bdf: Bdf,
        /// Its group.
        group: String,
    },
    /// Another process holds the group open.
    #[error("IOMMU group {group} of {bdf} is in use by another process")]
    Busy {
        /// The device.
        bdf: Bdf,
        /// Its group.
        group: String,
    },
    /// VFIO refused a step.
    #[error("{bdf}: {cause}")]
    Vfio {
        /// The device.
        bdf: Bdf,
        /// What VFIO's bindings say.
        cause: VfioError,
    },
    /// The system call failed.
    #[error("{op} of {size} bytes at {offset:#x}: {cause}")]
    Access {
        /// "read" or "write".
        op: &'static str,
        /// Where.
        offset: u64,
        /// How much.
        size: usize,
        /// The errno.
        cause: io::Error,
    },
    /// The system call did less than it was asked to.
    #[error("{op} of {size} bytes at {offset:#x} did {done} only")]
    Short {
        /// "read" or "write".
        op: &'static str,
        /// Where.
        offset: u64,
        /// How much.
        size: usize,
        /// How much was done.
        done: usize,
    },
    /// A file of sysfs could not be read or written.
    #[error("{path}: {cause}")]
    File {
        /// Which.
        path: String,
        /// The errno.
        cause: io::Error,
    },
    /// The capabilities of the device make no sense.
    #[error("{bdf}: {cause}")]
    Map {
        /// The device.
        bdf: Bdf,
        /// What is wrong with them.
        cause: crate::MapError,
    },
}

impl Error {
    /// The errno of a failed access.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Access { cause, .. } => cause.raw_os_error(),
            _ => None,
        }
    }
}
