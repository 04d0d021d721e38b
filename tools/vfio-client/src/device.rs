// SPDX-License-Identifier: GPL-2.0

//! A device held open through VFIO.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use vfio_bindings::bindings::vfio::VFIO_PCI_CONFIG_REGION_INDEX;
use vfio_ioctls::{VfioContainer, VfioDevice, VfioError};

use crate::{fd, sysfs, Bdf, ConfigMap, Error, Region};

/// A PCI device, opened through its group and a container of its own. May be used by many threads.
pub struct Device {
    // Dropped first: only when no descriptor of the device is left can its group leave the container.
    region: Region,
    vfio: VfioDevice,
    container: Arc<VfioContainer>,
    bdf: Bdf,
    size: u64,
    map: ConfigMap,
}

impl Device {
    /// Open a device that is bound to vfio-pci or to one of its variants.
    pub fn open(bdf: Bdf) -> Result<Self, Error> {
        if !sysfs::path(bdf).exists() {
            return Err(Error::NoSuchDevice(bdf));
        }
        let driver = sysfs::driver(bdf).unwrap_or_else(|| "no driver".to_owned());
        if !driver.contains("vfio") {
            return Err(Error::NotBound { bdf, driver });
        }
        let group = sysfs::group(bdf).ok_or(Error::NoGroup(bdf))?;
        let map = sysfs::config_map(bdf)?;

        let container = VfioContainer::new(None).map_err(|e| explain(e, bdf, &group))?;
        Self::open_in(Arc::new(container), bdf, map, &group)
    }

    /// Open the device once more. It is open until both are dropped.
    pub fn open_again(&self) -> Result<Self, Error> {
        let group = sysfs::group(self.bdf).ok_or(Error::NoGroup(self.bdf))?;
        let container = self.container.clone();
        Self::open_in(container, self.bdf, self.map.clone(), &group)
    }

    fn open_in(
        container: Arc<VfioContainer>,
        bdf: Bdf,
        map: ConfigMap,
        group: &str,
    ) -> Result<Self, Error> {
        let path = sysfs::path(bdf);
        let explain = |error| explain(error, bdf, group);
        let vfio = VfioDevice::new(&path, container.clone(), false).map_err(explain)?;
        let file = fd::duplicate(&vfio).map_err(|cause| Error::File {
            path: format!("/dev/vfio/{group}"),
            cause,
        })?;
        Ok(Self {
            region: Region::new(file, vfio.get_region_offset(VFIO_PCI_CONFIG_REGION_INDEX)),
            bdf,
            size: vfio.get_region_size(VFIO_PCI_CONFIG_REGION_INDEX),
            vfio,
            container,
            map,
        })
    }

    /// Which device this is.
    pub fn bdf(&self) -> Bdf {
        self.bdf
    }

    /// How many bytes of configuration space it has.
    pub fn size(&self) -> usize {
        self.size as usize
    }

    /// Which of them are unassigned.
    pub fn map(&self) -> &ConfigMap {
        &self.map
    }

    /// Its configuration space, as any process that is given the descriptor may use it.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// Read with one system call.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        self.region.read(offset, bytes)
    }

    /// Read with one system call into a new vector.
    pub fn read_vec(&self, offset: u64, size: usize) -> Result<Vec<u8>, Error> {
        self.region.read_vec(offset, size)
    }

    /// Write with one system call.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.region.write(offset, bytes)
    }

    /// The descriptor, and where in it configuration space begins: for system calls of the caller's own.
    pub fn config_region(&self) -> (BorrowedFd<'_>, u64) {
        self.region.descriptor()
    }

    /// Reset the device, if it can be.
    pub fn reset(&self) {
        self.vfio.reset();
    }
}

fn explain(error: VfioError, bdf: Bdf, group: &str) -> Error {
    let group = group.to_owned();
    match error {
        VfioError::GroupViable => Error::NotViable { bdf, group },
        VfioError::OpenGroup(cause, _) if cause.kind() == io::ErrorKind::ResourceBusy => {
            Error::Busy { bdf, group }
        }
        cause => Error::Vfio { bdf, cause },
    }
}
