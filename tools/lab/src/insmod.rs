// SPDX-License-Identifier: GPL-2.0

//! In the virtual machine: loads and unloads single modules by system calls, without what they
//! depend on. [`crate::modules`] loads them with their dependencies.

use std::ffi::CString;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::system::{delete_module, init_module};

/// As rmmod does: an error, and no waiting, while the module is in use.
const O_NONBLOCK: i32 = 0o4000;

/// Load a module from its file, with parameters as insmod takes them. The error is the kernel's,
/// with the file's name.
pub fn load(file: &Path, parameters: &str) -> Result<()> {
    let image = fs::read(file).with_context(|| file.display().to_string())?;
    load_image(&image, parameters).with_context(|| format!("loading {}", file.display()))
}

/// As [`load`], from memory.
pub fn load_image(image: &[u8], parameters: &str) -> rustix::io::Result<()> {
    let parameters = CString::new(parameters).map_err(|_| Errno::INVAL)?;
    init_module(image, &parameters)
}

/// Unload a module; the error is [`Errno::AGAIN`] while it is in use.
pub fn unload(name: &str) -> rustix::io::Result<()> {
    let name = CString::new(name).map_err(|_| Errno::INVAL)?;
    delete_module(&name, O_NONBLOCK)
}

/// A module that is unloaded when this is dropped.
pub struct Loaded(String);

impl Loaded {
    /// [`load`] the module that is called `name`.
    pub fn load(file: &Path, name: &str, parameters: &str) -> Result<Self> {
        load(file, parameters)?;
        Ok(Self(name.to_owned()))
    }

    /// The same from memory, by [`load_image`].
    pub fn load_image(image: &[u8], name: &str, parameters: &str) -> Result<Self> {
        load_image(image, parameters)?;
        Ok(Self(name.to_owned()))
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        // One that stays is in the way of the next, which says so.
        let _ = unload(&self.0);
    }
}
