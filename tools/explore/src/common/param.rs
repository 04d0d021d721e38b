// SPDX-License-Identifier: GPL-2.0

//! Module parameters, which explorations set by name.

use core::{ffi::CStr, fmt};
use kernel::{
    error::Result,
    sync::atomic::{Atomic, Relaxed},
};

static RUNNING: Atomic<bool> = Atomic::new(false);

pub(crate) fn is_running() -> bool {
    RUNNING.load(Relaxed)
}

pub(crate) fn set_running() {
    RUNNING.store(true, Relaxed);
}

pub(crate) trait Value {
    const FLAG: bool = false;

    fn set(text: &CStr) -> Result;

    fn free() {}

    fn show(out: &mut Page<'_>) -> fmt::Result;
}

/// The text of a parameter.
pub(crate) struct Page<'a>(&'a mut String);

impl Page<'_> {
    pub(crate) fn room(&self) -> usize {
        kernel::page::PAGE_SIZE - 1 - self.0.len()
    }
}

impl fmt::Write for Page<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        if s.len() > self.room() {
            return Err(fmt::Error);
        }
        self.0.push_str(s);
        Ok(())
    }
}

/// A parameter of the module.
pub struct Parameter {
    pub name: &'static str,
    pub set: fn(&CStr) -> Result,
}

inventory::collect!(Parameter);

/// Sets the parameter `name`. Panics if there is none.
pub fn set(name: &str, text: &CStr) -> Result {
    let parameter = inventory::iter::<Parameter>
        .into_iter()
        .find(|parameter| parameter.name == name)
        .expect("the module has the parameter");

    (parameter.set)(text)
}

macro_rules! writable_param {
    ($module:literal, $name:literal, $value:ty, $type:literal, $description:literal) => {
        inventory::submit! {
            $crate::common::param::Parameter {
                name: $name,
                set: <$value as $crate::common::param::Value>::set,
            }
        }
    };
}
pub(crate) use writable_param;
