// SPDX-License-Identifier: GPL-2.0

//! What the module `pci_audit` keeps for the next boot, in memory that a reset does not clear.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{bail, ensure, Context, Result};
use pci_audit_core::access::{Op as KeptOp, Outcome};
use pci_audit_core::kept::{Head, Kept, Line, Slot, LINE, RINGS};
use pci_config::Bdf;

use super::event::Event;
use super::saved::Ring;
use crate::printable::printable;
use crate::record::Op;
use crate::status::version;

/// Where the module shows it.
const FOLDER: &str = "sys/kernel/debug/pci_audit";
/// The first kernel that reserves memory by name.
const FIRST: (u32, u32) = (6, 12);
/// What reserves it.
pub const PARAMETER: &str = "reserve_mem=16M:4096:pci_audit";

/// The accesses of the last boot; nothing if the memory has none. If the module keeps no accesses,
/// the error says why.
pub fn last_boot(root: &Path) -> Result<Option<Ring>> {
    // Without it, the file below is missing for another reason.
    ensure_kept(root)?;
    match fs::read(root.join(FOLDER).join("last_boot")) {
        Ok(bytes) => ring(format!("/{FOLDER}/last_boot"), &bytes).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context(format!("/{FOLDER}/last_boot")),
    }
}

/// The accesses of the boot that runs, so far.
pub fn this_boot(root: &Path) -> Result<Ring> {
    ensure_kept(root)?;
    let name = format!("/{FOLDER}/this_boot");
    let bytes = fs::read(root.join(FOLDER).join("this_boot")).with_context(|| name.clone())?;
    ring(name, &bytes)
}

/// Whether a file begins as one of the module's does.
pub fn is_kept(start: &[u8]) -> bool {
    start
        .get(..LINE)
        .is_some_and(|bytes| Head::from_line(&line(bytes)).is_some())
}

/// Read a half of the memory, as the module shows it.
pub fn ring(from: String, bytes: &[u8]) -> Result<Ring> {
    let mut lines = bytes.chunks_exact(LINE).map(line);
    let head = lines.next().as_ref().and_then(Head::from_line);
    ensure!(
        head.is_some(),
        "{from}: not in the format of this version of pci_audit"
    );
    let mut ring = Ring {
        from,
        ..Ring::default()
    };
    // The clocks drift apart: the last access is nearest to the end.
    let mut last: Option<Kept> = None;
    // The last number of each ring: how many accesses it had.
    let mut latest = [0; RINGS];
    let mut damaged = 0;
    for line in lines {
        match Slot::from_line(&line) {
            Slot::Empty => {}
            Slot::Kept(number, kept) => {
                ring.events.push(event(&kept));
                let known = &mut latest[kept.ring()];
                *known = number.max(*known);
                if last.is_none_or(|last| last.log_ns <= kept.log_ns) {
                    last = Some(kept);
                }
            }
            Slot::Damaged => damaged += 1,
        }
    }
    ring.events.sort_by_key(|event| event.ns);
    ring.booted = last.and_then(|kept: Kept| (kept.real_ns / 1000).checked_sub(kept.log_ns / 1000));
    let made = latest.iter().fold(0, |sum: u64, n| sum.saturating_add(*n));
    ring.lost = made.saturating_sub(ring.events.len() as u64 + damaged);
    if damaged > 0 {
        ring.complain(format!(
            " {} damaged, possibly by the reset or the power failure",
            crate::words::plural_es(damaged, "access")
        ));
        ring.bad = damaged;
    }
    Ok(ring)
}

fn line(bytes: &[u8]) -> Line {
    let mut words = bytes.chunks_exact(size_of::<u64>());
    std::array::from_fn(|_| {
        let word = words.next().and_then(|word| word.try_into().ok());
        word.map_or(0, u64::from_ne_bytes)
    })
}

fn event(kept: &Kept) -> Event {
    let name = kept.name();
    let end = name.iter().position(|byte| *byte == 0);
    let comm = &name[..end.unwrap_or(name.len())];
    Event {
        ns: kept.log_ns,
        device: Bdf::new(kept.domain, kept.bus, kept.devfn),
        op: match kept.op {
            KeptOp::Read => Op::Read,
            KeptOp::Write => Op::Write,
        },
        offset: kept.range.offset(),
        size: kept.range.size(),
        session: Some(kept.session).filter(|number| *number != 0),
        pid: Some(u64::from(kept.pid)).filter(|number| *number != 0),
        comm: printable(String::from_utf8_lossy(comm)).into_owned(),
        allowed: kept.outcome == Outcome::Allowed,
    }
}

/// Whether the module keeps accesses; otherwise, why it does not.
pub fn ensure_kept(root: &Path) -> Result<()> {
    let folder = root.join(FOLDER);
    let path = |file: &str| root.join(file);
    match fs::metadata(folder.join("this_boot")) {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            bail!("{}: only root may read it", folder.display());
        }
        Err(_) => {}
    }
    let read = |file: &str| fs::read_to_string(path(file)).unwrap_or_default();
    let release = read("proc/sys/kernel/osrelease");
    let release = release.trim();
    if version(release).is_some_and(|version| version < FIRST) {
        bail!(
            "this kernel is {release}: keeping accesses for the next boot takes {}.{} or later",
            FIRST.0,
            FIRST.1
        );
    }
    let line = read("proc/cmdline");
    let reserves = line
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("reserve_mem="))
        .any(|value| value.ends_with(":pci_audit"));
    if !reserves {
        bail!("no memory is reserved for accesses: boot with {PARAMETER}");
    }
    if !path("sys/module/pci_audit").exists() {
        bail!("the module that shows the accesses is not loaded: modprobe pci_audit");
    }
    if read("sys/module/pci_audit/parameters/keep").trim() == "N" {
        bail!("the module was loaded with keep=N: no access is kept");
    }
    if !folder.exists() {
        bail!(
            "{} does not exist: mount debugfs, or look for pci_audit and reserve_mem in the kernel \
             log",
            folder.display()
        );
    }
    bail!("no access is kept: look for pci_audit and reserve_mem in the kernel log")
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
pub(crate) mod tests;
