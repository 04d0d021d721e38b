// SPDX-License-Identifier: GPL-2.0

//! Devices whose configuration space has neither 256 nor 4096 bytes.

use anyhow::{ensure, Context, Result};
use vfio_client::{sysfs, Bdf, Device};

use super::{spans, Scenario};
use crate::insmod::Loaded;
use crate::kernel;
use crate::lab::Lab;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "cfg-size/reads",
        "spaces of 0x600 and 0xa0 bytes: assigned bytes exact, unassigned ones zero, one record a \
         run",
        |lab| with_sizes(lab, spans::reads),
    ),
    Scenario::new(
        "cfg-size/one-record-a-run",
        "a read of the whole space makes one record for each of its runs, the last up to its end",
        |lab| with_sizes(lab, spans::one_record_a_run),
    ),
    Scenario::new(
        "cfg-size/past-the-end",
        "an access past the end fails as it does without the patches, and is not recorded",
        past_the_end,
    ),
];

/// Do something while an express device has as many bytes as Netronome's NFP, and a conventional
/// one as many as Citrine.
fn with_sizes(lab: &mut Lab, work: impl FnOnce(&mut Lab) -> Result<()>) -> Result<()> {
    let file = lab.modules.of_the_tests("e2e_cfg_size")?;
    let sizes = [(lab.express()?, 0x600), (lab.conventional()?, 0xa0)];
    for (bdf, _) in sizes {
        kernel::unbind(bdf)?;
    }
    let result = change(&file, &sizes)
        .and_then(|changed| {
            lab.bind()?;
            for (bdf, size) in sizes {
                let map = sysfs::config_map(bdf)?;
                ensure!(map.size() == size, "{bdf} has {} bytes", map.size());
                let device = Device::open(bdf)?;
                ensure!(
                    device.size() == size,
                    "VFIO gives {bdf} {:#x} bytes, not {size:#x}",
                    device.size()
                );
            }
            Ok(changed)
        })
        .and_then(|changed| {
            let result = work(lab);
            for (bdf, _) in sizes {
                kernel::unbind(bdf)?;
            }
            drop(changed);
            result
        });
    lab.bind()?;
    result
}

fn change(file: &std::path::Path, sizes: &[(Bdf, usize); 2]) -> Result<Loaded> {
    let device: Vec<_> = sizes.iter().map(|(bdf, _)| bdf.to_string()).collect();
    let size: Vec<_> = sizes.iter().map(|(_, size)| size.to_string()).collect();
    let parameters = format!("device={} size={}", device.join(","), size.join(","));
    Loaded::load(file, "e2e_cfg_size", &parameters).context("changing the sizes")
}

fn past_the_end(lab: &mut Lab) -> Result<()> {
    lab.modules.of_the_tests("e2e_cfg_size")?;
    lab.modules.unload()?;
    lab.modules.load_unpatched()?;
    lab.bind()?;
    let unpatched = with_sizes(lab, |lab| spans::fail_past_the_end(lab).map(drop));
    lab.reload(&[])?;
    unpatched.context("unpatched")?;
    with_sizes(lab, spans::past_the_end)
}
