// SPDX-License-Identifier: GPL-2.0

//! A real guest whose own driver works the device: nothing that a driver needs is blocked.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use ::lab::guest::{self, Backend, Guest};
use anyhow::{bail, ensure, Context, Result};
use vfio_client::{sysfs, Bdf};

use super::Scenario;
use crate::lab::{Lab, Skip};
use crate::record::Kind;
use crate::{command, kernel};

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
    Scenario::new(
        "guest-driver/nvme",
        "nvme in a guest writes to its disk and reads that again, nothing blocked",
        |lab| has_disk(lab, Backend::Container, false),
    )
    .long(),
    Scenario::new(
        "guest-driver/nvme-blocked",
        "the same with both toggles Y",
        |lab| has_disk(lab, Backend::Container, true),
    )
    .long(),
    Scenario::new(
        "guest-driver/nvme-iommufd",
        "the same by iommufd and the device's own file, nothing blocked",
        |lab| has_disk(lab, Backend::Iommufd, false),
    )
    .long(),
    Scenario::new(
        "guest-driver/nvme-iommufd-blocked",
        "the same with both toggles Y",
        |lab| has_disk(lab, Backend::Iommufd, true),
    )
    .long(),
    Scenario::new(
        "guest-driver/igb",
        "igbvf in a guest pings through a virtual function of an igb, nothing blocked",
        |lab| has_virtual_function(lab, false),
    )
    .long(),
    Scenario::new(
        "guest-driver/igb-blocked",
        "the same with both toggles Y",
        |lab| has_virtual_function(lab, true),
    )
    .long(),
];

/// How long a guest may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// The addresses that QEMU's user network gives its guest, and has itself.
const GUEST: &str = "10.0.2.15";
const HOST: &str = "10.0.2.2";

fn pings(lab: &mut Lab, backend: Backend, blocked: bool) -> Result<()> {
    needs(lab, "e1000e", backend)?;
    let bdf = lab.express()?;
    works(lab, bdf, backend, blocked, &network("e1000e"))
}

/// What has the driver of a network card send and receive.
fn network(driver: &str) -> [String; 3] {
    [
        format!("driver={driver}"),
        format!("address={GUEST}"),
        format!("ping={HOST}"),
    ]
}

fn has_disk(lab: &mut Lab, backend: Backend, blocked: bool) -> Result<()> {
    needs(lab, "nvme", backend)?;
    let bdf = lab.nvme()?;
    // The disk has what the scenario before has written.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let value = now.as_millis();
    let actions = [
        "driver=nvme".to_owned(),
        format!("disk=8:{value}"),
        format!("disk=4096:{}", value + 1),
    ];
    works(lab, bdf, backend, blocked, &actions)
}

fn has_virtual_function(lab: &mut Lab, blocked: bool) -> Result<()> {
    let Ok(physical) = lab.igb() else {
        bail!(Skip(
            "this machine has no igb: the stock kernel's has, in long runs with QEMU 8 or later"
                .into()
        ));
    };
    needs(lab, "igbvf", Backend::Container)?;
    lab.modules.load(&["igb".to_owned()])?;
    kernel::bind_to(physical, "igb")?;
    let functions = sysfs::path(physical).join("sriov_numvfs");
    let result = with_function(lab, physical, &functions, blocked);
    result.and(fs::write(&functions, "0").context("sriov_numvfs"))
}

fn with_function(lab: &mut Lab, physical: Bdf, functions: &Path, blocked: bool) -> Result<()> {
    // A virtual function has the link of its card.
    for interface in fs::read_dir(sysfs::path(physical).join("net")).context("igb")? {
        let mut ip = Command::new("ip");
        ip.args(["link", "set"]).arg(interface?.file_name());
        command::stdout(ip.arg("up"))?;
    }
    fs::write(functions, "1").context("sriov_numvfs")?;
    let link = fs::read_link(sysfs::path(physical).join("virtfn0"))?;
    let name = link.file_name().context("virtfn0 leads nowhere")?;
    let bdf: Bdf = name.to_string_lossy().parse()?;
    works(lab, bdf, Backend::Container, blocked, &network("igbvf"))
}

/// Skip where the guest has no such driver, or there is no such way to give it a device.
fn needs(lab: &Lab, driver: &str, backend: Backend) -> Result<()> {
    if !guest::drivers::has(&lab.paths, driver) {
        bail!(Skip(format!(
            "there is no guest with {driver}: Debian's kernel has it (FRONT=stock, or \
             `scripts/lab.sh e2e --stock-guest`)"
        )));
    }
    if backend == Backend::Iommufd && !guest::has_iommufd(&lab.paths)? {
        bail!(Skip(
            "this QEMU, or this kernel, has no iommufd (QEMU 9 has)".into()
        ));
    }
    Ok(())
}

/// Give a guest the device, and have its driver work: it does whether or not unassigned bytes are
/// blocked, and records tell which of the two it was.
fn works(
    lab: &mut Lab,
    bdf: Bdf,
    backend: Backend,
    blocked: bool,
    actions: &[String],
) -> Result<()> {
    lab.block(blocked, blocked)?;

    let mut guest = Guest::resume(&lab.paths, PATIENCE)?;
    lab.note(guest.plug(bdf, backend)?);
    for action in actions {
        lab.note(guest.ask(action)?);
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
