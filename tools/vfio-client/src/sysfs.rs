// SPDX-License-Identifier: GPL-2.0

//! PCI devices in sysfs, and their configuration space without VFIO.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::{Bdf, ConfigMap, Error};

/// The folder of a device.
pub fn path(bdf: Bdf) -> PathBuf {
    Path::new("/sys/bus/pci/devices").join(bdf.to_string())
}

fn file_error(path: &Path, cause: std::io::Error) -> Error {
    Error::File {
        path: path.display().to_string(),
        cause,
    }
}

/// The name of the driver that a device is bound to.
pub fn driver(bdf: Bdf) -> Option<String> {
    link_name(&path(bdf).join("driver"))
}

/// The number of a device's IOMMU group.
pub fn group(bdf: Bdf) -> Option<String> {
    link_name(&path(bdf).join("iommu_group"))
}

fn link_name(link: &Path) -> Option<String> {
    let target = fs::read_link(link).ok()?;
    Some(target.file_name()?.to_string_lossy().into_owned())
}

/// Vendor and device.
pub fn id(bdf: Bdf) -> Result<(u16, u16), Error> {
    let read = |name| {
        let file = path(bdf).join(name);
        let text = fs::read_to_string(&file).map_err(|e| file_error(&file, e))?;
        u16::from_str_radix(text.trim().trim_start_matches("0x"), 16)
            .map_err(|e| file_error(&file, std::io::Error::other(e)))
    };
    Ok((read("vendor")?, read("device")?))
}

/// All devices, in order of address.
pub fn devices() -> Result<Vec<Bdf>, Error> {
    let folder = Path::new("/sys/bus/pci/devices");
    let entries = fs::read_dir(folder).map_err(|e| file_error(folder, e))?;
    let mut found: Vec<Bdf> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    found.sort();
    Ok(found)
}

/// The configuration space of the device itself, not the one that VFIO shows.
pub fn config(bdf: Bdf) -> Result<Vec<u8>, Error> {
    let file = path(bdf).join("config");
    fs::read(&file).map_err(|e| file_error(&file, e))
}

/// Reads bytes from the device's own configuration space.
pub fn config_at(bdf: Bdf, offset: u64, size: usize) -> Result<Vec<u8>, Error> {
    let file = path(bdf).join("config");
    let mut bytes = vec![0; size];
    fs::File::open(&file)
        .and_then(|open| open.read_exact_at(&mut bytes, offset))
        .map_err(|e| file_error(&file, e))?;
    Ok(bytes)
}

/// Writes to the device's own configuration space.
pub fn write_config_at(bdf: Bdf, offset: u64, bytes: &[u8]) -> Result<(), Error> {
    let file = path(bdf).join("config");
    fs::OpenOptions::new()
        .write(true)
        .open(&file)
        .and_then(|open| open.write_all_at(bytes, offset))
        .map_err(|e| file_error(&file, e))
}

/// The map that VFIO creates when it opens a device.
pub fn config_map(bdf: Bdf) -> Result<ConfigMap, Error> {
    ConfigMap::parse(&config(bdf)?).map_err(|cause| Error::Map { bdf, cause })
}
