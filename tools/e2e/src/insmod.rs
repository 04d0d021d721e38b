// SPDX-License-Identifier: GPL-2.0

//! Single module files: what failed, and the module that makes a function fail.

use std::fs;

use anyhow::{Context, Result};
use rustix::io::Errno;

pub(crate) use ::lab::insmod::{load, unload, Loaded};

use crate::lab::Lab;

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
