// SPDX-License-Identifier: GPL-2.0

//! What a session takes of the kernel's memory.

use std::collections::HashMap;

use anyhow::{Context, Result};

use crate::lab::{Core, Lab};
use crate::trace::Trace;

/// A session is made of what kmalloc() gives. Caches of their own, such as that of files, are freed by RCU, now in this
/// thread and now in another.
const EVENTS: &[&str] = &["kmem/kmalloc", "kmem/kfree"];

/// The value of a field of an event.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split(' ').find_map(|word| word.strip_prefix(name))
}

/// Bytes that opening the device allocates, and does not free before it is open.
fn opening(lab: &Lab, core: Core) -> Result<u64> {
    lab.load(core, &[])?;
    // For what is allocated once and kept.
    drop(lab.open()?);

    let trace = Trace::start(EVENTS, Some(std::process::id()))?;
    let device = lab.open()?;
    trace.enable(false)?;
    drop(device);

    let mut live = HashMap::new();
    for (name, text) in trace.events()? {
        let at = field(&text, "ptr=").context("an event without ptr=")?;
        if name == "kfree" {
            live.remove(at);
        } else {
            let bytes =
                field(&text, "bytes_alloc=").context("an allocation without bytes_alloc=")?;
            live.insert(at.to_owned(), bytes.parse::<u64>()?);
        }
    }
    Ok(live.values().sum())
}

/// Bytes that a session takes: what opening a device takes more with the series than without.
pub(crate) fn session_bytes(lab: &Lab) -> Result<u64> {
    let unpatched = opening(lab, Core::Unpatched)?;
    let ours = opening(lab, Core::Ours)?;
    ours.checked_sub(unpatched)
        .with_context(|| format!("opening takes {ours} bytes, and {unpatched} without the series"))
}
