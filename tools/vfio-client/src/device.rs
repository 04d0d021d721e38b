// SPDX-License-Identifier: GPL-2.0

//! A device that is open through VFIO.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use vfio_bindings::bindings::vfio::VFIO_PCI_CONFIG_REGION_INDEX;
use vfio_ioctls::{VfioContainer, VfioDevice, VfioError};

use crate::{fd, sysfs, Bdf, ConfigMap, Error, Region};

/// A PCI device, opened through its group and a separate container. May be used by several threads.
pub struct Device {
    // Dropped first: the group can leave the container only when no descriptor of the device is
    // left.
    region: Region,
    vfio: VfioDevice,
    container: Arc<VfioContainer>,
    bdf: Bdf,
    size: u64,
    map: ConfigMap,
}

impl Device {
    /// Opens a device that is bound to vfio-pci or to a variant driver.
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

    /// Opens the device once more. It stays open until both are dropped.
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

    /// The same device with another config map, where the kernel's is not the one of Linux 7.3.
    pub fn with_map(self, map: ConfigMap) -> Self {
        Self { map, ..self }
    }

    /// The address of the device.
    pub fn bdf(&self) -> Bdf {
        self.bdf
    }

    /// The size of its configuration space.
    pub fn size(&self) -> usize {
        self.size as usize
    }

    /// The config map.
    pub fn map(&self) -> &ConfigMap {
        &self.map
    }

    /// The configuration space, for any process that has the descriptor.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// Reads with one system call.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        self.region.read(offset, bytes)
    }

    /// Reads with one system call into a new vector.
    pub fn read_vec(&self, offset: u64, size: usize) -> Result<Vec<u8>, Error> {
        self.region.read_vec(offset, size)
    }

    /// Writes with one system call.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.region.write(offset, bytes)
    }

    /// The descriptor and the offset of configuration space in it, for callers that make system
    /// calls.
    pub fn config_region(&self) -> (BorrowedFd<'_>, u64) {
        self.region.descriptor()
    }

    /// Resets the device, if it supports that.
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
