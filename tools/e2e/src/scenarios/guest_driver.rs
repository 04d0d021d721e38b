// SPDX-License-Identifier: GPL-2.0

//! A real guest whose own driver works the device: nothing that a driver needs is blocked.

use std::time::Duration;

use ::lab::guest::{self, Backend, Guest};
use anyhow::{bail, ensure, Context, Result};

use super::Scenario;
use crate::lab::{Lab, Skip};
use crate::record::Kind;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "guest-driver/container",
        "e1000e in a guest probes, has a link and pings the host's side, nothing blocked",
        |lab| pings(lab, Backend::Container, false),
    )
    .long(),
    Scenario::new(
        "guest-driver/container-blocked",
        "the same with both toggles Y",
        |lab| pings(lab, Backend::Container, true),
    ),
    Scenario::new(
        "guest-driver/iommufd",
        "the same by iommufd and the device's own file, nothing blocked",
        |lab| pings(lab, Backend::Iommufd, false),
    )
    .long(),
    Scenario::new(
        "guest-driver/iommufd-blocked",
        "the same with both toggles Y",
        |lab| pings(lab, Backend::Iommufd, true),
    ),
];

/// How long a guest may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// The addresses that QEMU's user network gives its guest, and has itself.
const GUEST: &str = "10.0.2.15";
const HOST: &str = "10.0.2.2";

fn pings(lab: &mut Lab, backend: Backend, blocked: bool) -> Result<()> {
    if lab.modules.stock() || lab.modules.built_in() {
        bail!(Skip(
            "the guest has the driver of the kernel with VFIO as modules only".into()
        ));
    }
    if backend == Backend::Iommufd && !guest::has_iommufd(&lab.paths)? {
        bail!(Skip(
            "this QEMU, or this kernel, has no iommufd (QEMU 9 has)".into()
        ));
    }
    let bdf = lab.express()?;
    lab.block(blocked, blocked)?;

    let mut guest = Guest::resume(&lab.paths, PATIENCE)?;
    for said in [
        guest.plug(bdf, backend)?,
        guest.ask("driver=e1000e")?,
        guest.ask(&format!("address={GUEST}"))?,
        guest.ask(&format!("ping={HOST}"))?,
    ] {
        lab.note(said);
    }
    guest.end()?;

    let records = lab.take_session(bdf)?;
    let open = records.first().context("nothing is recorded")?;
    ensure!(open.kind == Kind::Open, "first came {}", open.text);
    let wrong = records
        .iter()
        .find(|record| record.is_access() && record.res != Some(!blocked));
    ensure!(
        wrong.is_none(),
        "with blocking {blocked} there is {wrong:?}"
    );
    lab.note(format!("{} records of the whole guest", records.len()));
    Ok(())
}
