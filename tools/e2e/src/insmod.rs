// SPDX-License-Identifier: GPL-2.0

//! Single module files, loaded by system calls, and unloaded when they are dropped.

use std::ffi::CString;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::system::{delete_module, init_module};

use crate::lab::Lab;

/// As rmmod does: an error, and no waiting, while the module is in use.
const O_NONBLOCK: i32 = 0o4000;

/// A module that is loaded.
pub(crate) struct Loaded(CString);

impl Loaded {
    /// Load the module that is called `name` from its file. The error is the kernel's.
    pub(crate) fn load(file: &Path, name: &str, parameters: &str) -> Result<Self> {
        let image = fs::read(file).with_context(|| file.display().to_string())?;
        Self::load_image(&image, name, parameters)
            .with_context(|| format!("loading {}", file.display()))
    }

    /// As [`Loaded::load`], from memory.
    pub(crate) fn load_image(image: &[u8], name: &str, parameters: &str) -> Result<Self> {
        let (name, parameters) = (CString::new(name)?, CString::new(parameters)?);
        init_module(image, &parameters)?;
        Ok(Self(name))
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        // One that stays is in the way of the next, which says so.
        let _ = delete_module(&self.0, O_NONBLOCK);
    }
}

/// Whether loading a module failed with this error of the kernel.
pub(crate) fn failed_with(error: &anyhow::Error, errno: Errno) -> bool {
    error.downcast_ref::<Errno>() == Some(&errno)
}

/// A function of the kernel that fails (tools/modules/faults/e2e_fail.c).
pub(crate) struct Failing(#[allow(dead_code)] Loaded);

impl Failing {
    /// From now on, `function` returns `value` and does nothing.
    pub(crate) fn new(lab: &Lab, function: &str, value: i32) -> Result<Self> {
        let file = lab.modules.of_the_tests("e2e_fail")?;
        let parameters = format!("function={function} value={value}");
        Loaded::load(&file, "e2e_fail", &parameters).map(Self)
    }

    /// How many calls failed.
    pub(crate) fn calls(&self) -> Result<u64> {
        let file = "/sys/module/e2e_fail/parameters/calls";
        let text = fs::read_to_string(file).context(file)?;
        Ok(text.trim_end().parse()?)
    }
}
