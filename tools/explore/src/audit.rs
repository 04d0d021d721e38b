// SPDX-License-Identifier: GPL-2.0

//! A stand-in for what `pci_audit` does with the audit subsystem: it takes records, refuses some,
//! or is off.

use crate::{
    record::{Access, Session},
    session::record::{Record, SessionRecord},
    Op, Outcome, Range,
};
use kernel::{
    pci,
    prelude::*,
    sync::atomic::{Atomic, Relaxed},
};
use std::cell::RefCell;

/// As in the kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Context {
    Sleep,
    Atomic,
    NoWait,
}

/// As in the kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Emitted {
    Written,
    Off,
}

/// A record that audit took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Taken {
    Access(Access),
    Session(SessionRecord),
}

static ENABLED: Atomic<bool> = Atomic::new(true);
/// Number of records that audit will refuse.
static REFUSALS: Atomic<u64> = Atomic::new(0);

thread_local! {
    static TAKEN: RefCell<Vec<Taken>> = const { RefCell::new(Vec::new()) };
}

/// Audit refuses the next `count` records.
pub fn refuse(count: u64) {
    REFUSALS.store(count, Relaxed);
}

/// Switches auditing on or off.
pub fn enable(on: bool) {
    ENABLED.store(on, Relaxed);
}

/// The records that audit took since the last call.
pub fn take_records() -> Vec<Taken> {
    TAKEN.take()
}

fn record(record: Taken) -> Result<Emitted> {
    if !enabled() {
        return Ok(Emitted::Off);
    }
    // One thread at a time gets a refusal: loom may switch threads in between, which refuses more.
    let refusals = REFUSALS.load(Relaxed);
    if refusals > 0 {
        REFUSALS.store(refusals - 1, Relaxed);
        return Err(ENOBUFS);
    }
    TAKEN.with_borrow_mut(|taken| taken.push(record));
    Ok(Emitted::Written)
}

pub fn enabled() -> bool {
    ENABLED.load(Relaxed)
}

pub fn is_traced() -> bool {
    false
}

pub fn trace(_: &pci::Device, _op: Op, _range: Range, _session: Session, _outcome: Outcome) {}

pub fn name(device: &pci::Device) -> &str {
    device.name()
}

pub fn session_access(
    _device: &pci::Device,
    access: &Access,
    _context: Context,
) -> Result<Emitted> {
    record(Taken::Access(*access))
}

pub fn emit(_device: &pci::Device, text: &SessionRecord, _context: Context) -> Result<Emitted> {
    record(Taken::Session(*text))
}

pub fn emit_task(
    _device: &pci::Device,
    text: &SessionRecord,
    _context: Context,
) -> Result<Emitted> {
    record(Taken::Session(*text))
}

/// As in the kernel.
pub trait OnTracing {
    fn changed(on: bool);
}

/// Tracing stays off.
pub struct TraceNotifier<T>(core::marker::PhantomData<T>);

impl<T: OnTracing> TraceNotifier<T> {
    pub fn new() -> Result<Self> {
        Ok(Self(core::marker::PhantomData))
    }
}

/// The session of an `op=open` record.
pub fn opened(record: &Taken) -> Option<Session> {
    match record {
        Taken::Session(SessionRecord {
            session,
            record: Record::Open,
        }) => Some(*session),
        _ => None,
    }
}
