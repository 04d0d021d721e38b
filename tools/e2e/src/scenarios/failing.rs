// SPDX-License-Identifier: GPL-2.0

//! What fails for want of memory, or for bad parameters, leaves no memory behind, and no access
//! undecided.

use std::fs;

use anyhow::{bail, ensure, Context, Result};
use rustix::io::Errno;
use vfio_client::stream::Op;
use vfio_client::Device;

use super::leaks::compare;
use super::{access_text, expect_verdict, spot, try_both, Scenario, Verdict, PASSED};
use crate::insmod::{failed_with, Failing, Loaded};
use crate::kernel;
use crate::lab::{Lab, Skip};
use crate::trace::Trace;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "failing/open",
        "a device is not opened without memory for its session, and what was allocated for it is \
         freed",
        open,
    ),
    Scenario::new(
        "failing/parameters",
        "a good list that comes with a bad parameter is freed with the module that is not loaded",
        parameters,
    ),
    Scenario::new(
        "failing/first-access",
        "a device that is open has its accesses decided, traced and counted as lost without \
         memory for its session",
        first_access,
    ),
];

fn open(lab: &mut Lab) -> Result<()> {
    if lab.modules.stock() {
        bail!(Skip(
            "with the livepatch a session begins with the first access".into()
        ));
    }
    let bdf = lab.express()?;
    let failing = Failing::new(lab, "vfio_pci_audit_open", -Errno::NOMEM.raw_os_error())?;
    compare(lab, 3, 80, |_, _| {
        let error = Device::open(bdf)
            .err()
            .context("the device was opened without a session")?;
        ensure!(
            format!("{error:?}").contains("Error(12)"),
            "it was refused with {error:?}, not with ENOMEM"
        );
        Ok(())
    })?;
    ensure!(
        failing.calls()? >= 80,
        "only {} sessions were refused",
        failing.calls()?
    );
    drop(failing);
    ensure!(!kernel::has_sessions(), "{:?}", kernel::sessions()?);
    let device = Device::open(bdf)?;
    expect_verdict(lab, &device, PASSED)
}

fn parameters(lab: &mut Lab) -> Result<()> {
    let [pci_audit, vfio_pci_audit] = lab.modules.ours()?;
    let image = fs::read(&vfio_pci_audit)?;
    let list: Vec<_> = (0..1000).map(|id| format!("8086:{id:x}")).collect();
    let list = list.join(",");
    lab.modules.unload()?;
    let service = Loaded::load(&pci_audit, "pci_audit", "")?;
    let load = |list: &str, burst: u32| {
        let parameters = format!("{}={list} {}={burst}", kernel::ALLOW_IDS, kernel::BURST);
        Loaded::load_image(&image, "vfio_pci_audit", &parameters)
    };
    // Both are good by themselves.
    drop(load(&list, 24)?);
    let result = compare(lab, 3, 100, |_, _| match load(&list, 0) {
        Ok(_) => bail!("a burst of 0 was taken"),
        Err(error) => {
            ensure!(failed_with(&error, Errno::INVAL), "{error:#}");
            Ok(())
        }
    });
    drop(service);
    lab.modules.load(&[])?;
    lab.bind()?;
    result
}

fn first_access(lab: &mut Lab) -> Result<()> {
    if !lab.modules.stock() {
        bail!(Skip(
            "this kernel begins a session when a device is opened".into()
        ));
    }
    // The session itself, and the shadow variable that it is kept in.
    for (function, value) in [
        ("vfio_pci_audit_open", -Errno::NOMEM.raw_os_error()),
        ("klp_shadow_get_or_alloc", 0),
    ] {
        // Accesses without a session are counted for as long as the module is loaded.
        lab.reload(&[])?;
        lab.forget_all()?;
        let result = without_session(lab, function, value);
        lab.reload(&[])?;
        result.context(function)?;
    }
    Ok(())
}

fn without_session(lab: &mut Lab, function: &str, value: i32) -> Result<()> {
    const DECIDED: Verdict = Verdict {
        read: true,
        write: false,
    };

    lab.block(!DECIDED.read, !DECIDED.write)?;
    let bdf = lab.express()?;
    let device = Device::open(bdf)?;
    let at = spot(device.map())?;
    let trace = Trace::accesses()?;
    let failing = Failing::new(lab, function, value)?;
    let found = try_both(&device)?;
    ensure!(
        found == DECIDED,
        "without a session: {found:?}, expected {DECIDED:?}"
    );
    let calls = failing.calls()?;
    ensure!(
        calls == 2,
        "of two accesses, {calls} found no memory for a session"
    );
    drop(failing);

    let traced = trace.texts()?;
    let expected = [
        access_text(bdf, Op::Read, at, 4, DECIDED.read),
        access_text(bdf, Op::Write, at, 4, DECIDED.write),
    ];
    ensure!(traced == expected, "traced were {traced:#?}");
    let records = lab.take(bdf)?;
    ensure!(records.is_empty(), "recorded were {records:#?}");
    let shown = fs::read_to_string(kernel::SESSIONS).context(kernel::SESSIONS)?;
    ensure!(
        shown
            == "device=? state=none session=? reads=1 writes=1 blocked_reads=0 blocked_writes=1 \
                records=0 suppressed=0 lost=2\n",
        "{} has {shown}",
        kernel::SESSIONS
    );
    // The next access finds memory.
    expect_verdict(lab, &device, DECIDED)?;
    let shown = fs::read_to_string(kernel::SESSIONS)?;
    let states: Vec<_> = shown
        .split(' ')
        .filter(|word| word.starts_with("state="))
        .collect();
    ensure!(states == ["state=open", "state=none"], "{shown}");
    drop(device);
    lab.take_session(bdf).map(drop)
}
