// SPDX-License-Identifier: GPL-2.0

//! Four processes of a session are remembered, and are not named twice.

use std::path::Path;

use anyhow::{ensure, Result};
use vfio_client::stream::Op;
use vfio_client::sysfs;

use super::{spot, Scenario};
use crate::account::{Loss, Truth};
use crate::holder::{self, Holder};
use crate::lab::Lab;
use crate::record::Kind;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario::new(
    "holders/remembered",
    "four processes that access in turn are named once; a fifth is named, and then the first again",
    remembered,
)];

const SOCKET: &str = "/run/e2e-pass";

fn remembered(lab: &mut Lab) -> Result<()> {
    /// Which process reads, and whether it is named before that.
    const TURNS: [(usize, bool); 16] = [
        (0, true),
        (1, true),
        (2, true),
        (3, true),
        // All four are remembered, in any order.
        (2, false),
        (0, false),
        (3, false),
        (1, false),
        // The fifth takes the place of the one that was named first.
        (4, true),
        (1, false),
        (2, false),
        (3, false),
        (0, true),
        (4, false),
        (1, true),
        (1, false),
    ];

    let bdf = lab.express()?;
    let at = spot(&sysfs::config_map(bdf)?)?;
    let program = holder::program()?;
    let mut processes = vec![Holder::start(bdf)?];
    for _ in 1..5 {
        let mut other = Holder::receiver(&program, Path::new(SOCKET))?;
        processes[0].pass(&mut other, Path::new(SOCKET))?;
        processes.push(other);
    }
    let mut truth = Truth::default();
    let mut expected = Vec::new();
    for (process, named) in TURNS {
        processes[process].read(at)?;
        truth.add(Op::Read, true, at..at + 4);
        expected.extend(named.then(|| Some(processes[process].pid())));
        expected.push(None);
    }
    let records = lab.take(bdf)?;
    let found: Vec<_> = records
        .iter()
        .map(|record| record.pid().filter(|_| record.kind == Kind::Open))
        .collect();
    ensure!(
        found == expected,
        "processes are named, and read, in the order {found:?}, expected {expected:?}"
    );
    processes.iter_mut().try_for_each(Holder::kill)?;
    lab.settle_all(bdf, &truth, Loss::None).map(drop)
}
