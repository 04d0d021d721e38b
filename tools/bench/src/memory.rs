// SPDX-License-Identifier: GPL-2.0

//! The kernel memory of a session.

use std::collections::HashMap;

use anyhow::{Context, Result};

use crate::lab::{Core, Lab};
use crate::trace::{Event, Trace};

/// Sessions are allocated by kmalloc(). Caches of other objects, such as files, are freed by RCU in
/// an arbitrary thread.
const EVENTS: &[Event] = &[("kmem", "kmalloc"), ("kmem", "kfree")];

/// The value of a field of an event.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split(' ').find_map(|word| word.strip_prefix(name))
}

/// Bytes that are allocated when the device is opened, and not freed before that is complete.
fn opening(lab: &Lab, core: Core) -> Result<u64> {
    lab.load(core, &[])?;
    // Open it once before, for one-time allocations.
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

/// Bytes of a session: the additional allocations of opening a device with the series.
pub(crate) fn session_bytes(lab: &Lab) -> Result<u64> {
    let unpatched = opening(lab, Core::Unpatched)?;
    let ours = opening(lab, Core::Ours)?;
    ours.checked_sub(unpatched)
        .with_context(|| format!("opening takes {ours} bytes, and {unpatched} without the series"))
}
