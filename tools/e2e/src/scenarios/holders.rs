// SPDX-License-Identifier: GPL-2.0

//! Each process that accesses a device in a session is named before its first record.

use std::fs;
use std::path::Path;

use anyhow::{ensure, Context, Result};
use vfio_client::stream::Op;
use vfio_client::{sysfs, Bdf};

use super::{spot, Scenario};
use crate::account::{self, Loss, Truth};
use crate::holder::{self, Holder};
use crate::lab::Lab;
use crate::record::{Kind, Record};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "holders/child",
        "a child that makes an access is named, before its record, and of the session of its \
         parent",
        child,
    ),
    Scenario::new(
        "holders/passed",
        "and so is another program that was handed the descriptor, after the first has ended, too",
        passed,
    ),
    Scenario::new(
        "holders/exec",
        "and so is the program that a process executes next",
        exec,
    ),
];

/// The socket for the descriptor, and a second program that receives it.
const SOCKET: &str = "/run/e2e-pass";
const OTHER: &str = "/run/e2e-other";

/// Reads of a dword by several processes in turn.
struct Reads {
    bdf: Bdf,
    at: usize,
    truth: Truth,
}

impl Reads {
    fn of(bdf: Bdf) -> Result<Self> {
        Ok(Self {
            bdf,
            at: spot(&sysfs::config_map(bdf)?)?,
            truth: Truth::default(),
        })
    }

    fn count(&mut self, reads: u64) {
        (0..reads).for_each(|_| self.truth.add(Op::Read, true, self.at..self.at + 4));
    }

    fn by(&mut self, holder: &mut Holder) -> Result<()> {
        self.count(1);
        holder.read(self.at)
    }
}

/// Checks that an op=open names each process, in order, right before its read.
fn expect_named(records: &[Record], holders: &[(u32, &Path)]) -> Result<()> {
    let mut records = records.iter();
    for (pid, program) in holders {
        let open = records.next().context("too few records")?;
        ensure!(
            open.kind == Kind::Open && open.pid() == Some(*pid),
            "op=open of process {pid} should come next, not {}",
            open.text
        );
        let exe = format!(" exe=\"{}\" ", program.display());
        ensure!(open.text.contains(&exe), "no{exe}in {}", open.text);
        let access = records.next().context("too few records")?;
        ensure!(
            access.is_access(),
            "the read of process {pid} should come next, not {}",
            access.text
        );
    }
    Ok(())
}

/// Checks the account of the sessions that have ended.
fn expect_account(lab: &mut Lab, reads: &Reads, records: Vec<Record>) -> Result<()> {
    let mut all = records;
    if account::closes(&all).next().is_none() {
        all.extend(lab.take_session(reads.bdf)?);
    }
    account::check(&all, &reads.truth, Loss::None).map(drop)
}

fn child(lab: &mut Lab) -> Result<()> {
    let mut reads = Reads::of(lab.express()?)?;
    let mut parent = Holder::start(reads.bdf)?;
    let program = holder::program()?;
    reads.by(&mut parent)?;
    reads.count(2);
    let children = parent.read_in_children(2, reads.at)?;
    let records = lab.take(reads.bdf)?;
    let mut holders = vec![(parent.pid(), program.as_path())];
    holders.extend(children.iter().map(|pid| (*pid, program.as_path())));
    expect_named(&records, &holders)?;
    ensure!(records.len() == 6, "recorded were {records:#?}");
    parent.kill()?;
    expect_account(lab, &reads, records)
}

fn passed(lab: &mut Lab) -> Result<()> {
    let mut reads = Reads::of(lab.express()?)?;
    let (program, other) = (holder::program()?, Path::new(OTHER));
    fs::copy(&program, other)?;
    let mut first = Holder::start(reads.bdf)?;
    reads.by(&mut first)?;
    let mut second = Holder::receiver(other, Path::new(SOCKET))?;
    first.pass(&mut second, Path::new(SOCKET))?;
    reads.by(&mut second)?;
    first.kill()?;
    // It is the same session, because the device was not closed.
    reads.by(&mut second)?;
    let records = lab.take(reads.bdf)?;
    expect_named(&records, &[(first.pid(), &program), (second.pid(), other)])?;
    ensure!(
        records.len() == 5 && records[4].is_access(),
        "recorded were {records:#?}"
    );
    second.kill()?;
    expect_account(lab, &reads, records)
}

fn exec(lab: &mut Lab) -> Result<()> {
    let mut reads = Reads::of(lab.express()?)?;
    let (program, other) = (holder::program()?, Path::new(OTHER));
    fs::copy(&program, other)?;
    let mut process = Holder::start(reads.bdf)?;
    reads.by(&mut process)?;
    process.exec(other)?;
    reads.by(&mut process)?;
    let records = lab.take(reads.bdf)?;
    let pid = process.pid();
    expect_named(&records, &[(pid, &program), (pid, other)])?;
    ensure!(records.len() == 4, "recorded were {records:#?}");
    process.kill()?;
    expect_account(lab, &reads, records)
}
