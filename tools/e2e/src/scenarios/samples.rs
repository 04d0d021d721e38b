// SPDX-License-Identifier: GPL-2.0

//! The sample drivers, which use the generic service without VFIO.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};
use rustix::mount::{mount, MountFlags};
use vfio_client::stream::Op;
use vfio_client::{sysfs, Bdf};

use super::{access_text, access_texts, Scenario};
use crate::kernel;
use crate::lab::Lab;
use crate::trace::Trace;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "samples/c",
        "the driver in C records and traces what root does to its device, allowed and refused",
        |lab| {
            sample(lab, "pci_audit_c", |bdf| {
                format!("pci_audit_c/{bdf}/config")
            })
        },
    ),
    Scenario::new("samples/rust", "the driver in Rust does the same", |lab| {
        sample(lab, "pci_audit_rust", |_| "pci_audit_rust/config".into())
    }),
];

const DEBUGFS: &str = "/sys/kernel/debug";

/// The message address of the device's MSI capability: all but two of its bits are writable.
const MSI_ADDRESS: usize = 0x44;
/// The first base address register, which the drivers protect.
const BAR: usize = 0x10;

/// Checks the accesses recorded since the last call. They have no session, because these drivers
/// have none.
fn expect_accesses(lab: &mut Lab, bdf: Bdf, expected: &[String]) -> Result<()> {
    let records = lab.take(bdf)?;
    let found = access_texts(&records);
    ensure!(
        found == expected && records.iter().all(|record| record.session.is_none()),
        "recorded were {records:#?}, and expected {expected:#?}"
    );
    Ok(())
}

fn config_file(name: &str) -> Result<PathBuf> {
    let root = Path::new(DEBUGFS);
    if root.read_dir()?.next().is_none() {
        mount("debugfs", root, "debugfs", MountFlags::empty(), None).context(DEBUGFS)?;
    }
    Ok(root.join(name))
}

fn sample(lab: &mut Lab, driver: &str, file: fn(Bdf) -> String) -> Result<()> {
    let bdf = lab.edu()?;
    let text = |op, offset, size, allowed| access_text(bdf, op, offset, size, allowed);
    lab.modules.load_sample(driver)?;
    kernel::bind_to(bdf, driver)?;
    let path = config_file(&file(bdf))?;
    let config = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .with_context(|| path.display().to_string())?;
    let trace = Trace::accesses()?;

    let mut header = [0; 64];
    config.read_exact_at(&mut header, 0)?;
    ensure!(
        header[..] == sysfs::config_at(bdf, 0, 64)?,
        "a read gave something else"
    );
    let old = sysfs::config_at(bdf, MSI_ADDRESS as u64, 4)?;
    let new: Vec<u8> = old.iter().map(|byte| byte ^ 0x5c).collect();
    config.write_all_at(&new, MSI_ADDRESS as u64)?;
    let now = sysfs::config_at(bdf, MSI_ADDRESS as u64, 4)?;
    ensure!(
        now == new,
        "wrote {new:02x?} over {old:02x?}, and found {now:02x?}"
    );
    let refused = config
        .write_at(&[0xff; 4], BAR as u64)
        .map_err(|error| error.kind());
    ensure!(
        refused == Err(ErrorKind::PermissionDenied),
        "a write to a BAR: {refused:?}"
    );
    ensure!(
        sysfs::config_at(bdf, 0, 64)? == header,
        "a refused write reached the device"
    );
    let mut beyond = [0; 4];
    ensure!(
        config.read_at(&mut beyond, 254)? == 2,
        "more than 256 bytes"
    );
    ensure!(
        config.read_at(&mut beyond, 256)? == 0,
        "more than 256 bytes"
    );
    let expected = [
        text(Op::Read, 0, 64, true),
        text(Op::Write, MSI_ADDRESS, 4, true),
        text(Op::Write, BAR, 4, false),
        text(Op::Read, 254, 2, true),
    ];
    expect_accesses(lab, bdf, &expected)?;
    let events = trace.texts()?;
    ensure!(events == expected, "events were {events:#?}");

    lab.audit().ctl(&["-e", "0"])?;
    config.write_all_at(&old, MSI_ADDRESS as u64)?;
    lab.audit().ctl(&["-e", "1"])?;
    expect_accesses(lab, bdf, &[])?;
    ensure!(
        trace.texts()?.len() == expected.len() + 1,
        "no event without auditing"
    );

    // The device is removed while its file is open.
    kernel::unbind(bdf)?;
    let gone = config.read_at(&mut beyond, 0).map_err(|error| error.kind());
    ensure!(gone.is_err(), "a read without a device: {gone:?}");
    expect_accesses(lab, bdf, &[])
}
