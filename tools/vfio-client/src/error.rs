// SPDX-License-Identifier: GPL-2.0

//! Errors between this program and the device, with messages that state the remedy.

use std::io;

use vfio_ioctls::VfioError;

use crate::Bdf;

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is not a sequence of bytes in hexadecimal.
    #[error("{0:?} is not a sequence of bytes in hexadecimal")]
    Hex(String),
    /// There is no such device.
    #[error("no such device: {0}")]
    NoSuchDevice(Bdf),
    /// The device is bound to another driver, or to none.
    #[error("{bdf} is not bound to vfio-pci but to {driver}")]
    NotBound {
        /// The device.
        bdf: Bdf,
        /// The driver.
        driver: String,
    },
    /// There is no IOMMU, so VFIO cannot isolate the device.
    #[error("{0} is in no IOMMU group: is the IOMMU enabled?")]
    NoGroup(Bdf),
    /// A device in the same group is bound to a driver of the host.
    #[error(
        "IOMMU group {group} of {bdf} is not viable: another device in it is bound to a driver \
         that is not VFIO's, or the group is in use"
    )]
    NotViable {
        /// The device.
        bdf: Bdf,
        /// The group.
        group: String,
    },
    /// Another process holds the group open.
    #[error("IOMMU group {group} of {bdf} is in use by another process")]
    Busy {
        /// The device.
        bdf: Bdf,
        /// The group.
        group: String,
    },
    /// VFIO refused an operation.
    #[error("{bdf}: {cause}")]
    Vfio {
        /// The device.
        bdf: Bdf,
        /// The message of VFIO's bindings.
        cause: VfioError,
    },
    /// The system call failed.
    #[error("{op} of {size} bytes at {offset:#x}: {cause}")]
    Access {
        /// "read" or "write".
        op: &'static str,
        /// The offset.
        offset: u64,
        /// The number of bytes.
        size: usize,
        /// The errno.
        cause: io::Error,
    },
    /// The system call transferred fewer bytes than requested.
    #[error("{op} of {size} bytes at {offset:#x} transferred only {done}")]
    Short {
        /// "read" or "write".
        op: &'static str,
        /// The offset.
        offset: u64,
        /// The number of bytes requested.
        size: usize,
        /// The number of bytes transferred.
        done: usize,
    },
    /// A file in sysfs could not be read or written.
    #[error("{path}: {cause}")]
    File {
        /// The file.
        path: String,
        /// The errno.
        cause: io::Error,
    },
    /// The capabilities of the device are invalid.
    #[error("{bdf}: {cause}")]
    Map {
        /// The device.
        bdf: Bdf,
        /// The problem.
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
