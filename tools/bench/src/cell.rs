// SPDX-License-Identifier: GPL-2.0

//! The accesses that are measured: the columns of the table.

use anyhow::{Context, Result};
use vfio_client::Device;

use crate::counter::{count, mark, Op};
use crate::sample::Figure;

/// One kind of access.
#[derive(Clone, Copy)]
pub(crate) struct Cell {
    /// The heading in the table.
    pub(crate) name: &'static str,
    /// Where the access is in a device's configuration space.
    place: Place,
    op: Op,
    size: usize,
    /// How often it is counted.
    times: usize,
}

#[derive(Clone, Copy)]
enum Place {
    /// At the start: the vendor id.
    Start,
    /// Inside the first unassigned run.
    Unassigned,
    /// Half of it is before the first unassigned run, half of it inside.
    Border,
}

const fn cell(name: &'static str, place: Place, op: Op, size: usize, times: usize) -> Cell {
    Cell {
        name,
        place,
        op,
        size,
        times,
    }
}

/// An assigned 4-byte read.
pub(crate) const ASSIGNED: Cell = cell("assigned 4-byte read", Place::Start, Op::Read, 4, 400);
/// An unassigned 4-byte read.
pub(crate) const READ: Cell = cell(
    "unassigned 4-byte read",
    Place::Unassigned,
    Op::Read,
    4,
    400,
);
/// An unassigned 4-byte write.
pub(crate) const WRITE: Cell = cell(
    "unassigned 4-byte write",
    Place::Unassigned,
    Op::Write,
    4,
    400,
);
/// A read that spans assigned and unassigned bytes.
pub(crate) const SPAN: Cell = cell("8-byte read across both", Place::Border, Op::Read, 8, 400);
/// The whole configuration space of a conventional device.
pub(crate) const CONVENTIONAL: Cell = cell("256-byte read", Place::Start, Op::Read, 256, 200);
/// The whole configuration space.
pub(crate) const WHOLE: Cell = cell("4096-byte read", Place::Start, Op::Read, 4096, 50);

/// Every column.
pub(crate) const ALL: [Cell; 6] = [ASSIGNED, READ, WRITE, SPAN, CONVENTIONAL, WHOLE];

impl Cell {
    /// The offset of the access.
    fn offset(&self, device: &Device) -> Result<usize> {
        let run = device.map().all_runs().into_iter().next();
        let run = run.context("the device has no unassigned byte")?;
        Ok(match self.place {
            Place::Start => 0,
            Place::Unassigned => run.start,
            Place::Border => run.start - self.size / 2,
        })
    }

    /// Counts the access repeatedly, after one warm-up access.
    pub(crate) fn counts(&self, device: &Device, times: usize) -> Result<Vec<u64>> {
        let (fd, start) = device.config_region();
        let pos = start + self.offset(device)? as u64;
        let mut bytes = vec![0; self.size];

        count(fd, self.op, &mut bytes, pos)?;
        (0..times)
            .map(|_| {
                // Do not write what a read has left there.
                bytes.fill(0);
                count(fd, self.op, &mut bytes, pos)
            })
            .collect()
    }

    /// Counts the first access of a session.
    pub(crate) fn first(&self, device: &Device) -> Result<u64> {
        let (fd, start) = device.config_region();
        let mut bytes = vec![0; self.size];
        count(fd, self.op, &mut bytes, start + self.offset(device)? as u64)
    }

    /// Makes the access once between two markers, after two warm-up accesses.
    pub(crate) fn mark(&self, device: &Device) -> Result<()> {
        let (fd, start) = device.config_region();
        let pos = start + self.offset(device)? as u64;
        let mut bytes = vec![0; self.size];

        self.counts(device, 2)?;
        mark(fd, self.op, &mut bytes, pos);
        Ok(())
    }

    /// Measures the access on `device`.
    pub(crate) fn measure(&self, device: &Device) -> Result<Figure> {
        Ok(Figure::of(self.counts(device, self.times)?))
    }
}
