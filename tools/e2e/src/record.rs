// SPDX-License-Identifier: GPL-2.0

//! The records that `ausearch --raw` prints, as values that outlive its output.

use anyhow::{Context, Result};
use vfio_pci_audit::record;
pub(crate) use vfio_pci_audit::record::{Kind, Totals};

/// One PCI record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// When, in milliseconds since 1970.
    pub(crate) time: u64,
    /// Audit's number of the event.
    pub(crate) serial: u64,
    /// The device, without its quotes.
    pub(crate) device: String,
    /// `res=`, where the record has one.
    pub(crate) res: Option<bool>,
    /// What it tells.
    pub(crate) kind: Kind,
    /// All fields, exactly as they were written.
    pub(crate) text: String,
}

/// Read every PCI record of a text.
pub(crate) fn parse_all(text: &str) -> Result<Vec<Record>> {
    let records = text.lines().filter_map(|line| {
        let record = record::parse(line.as_bytes());
        record
            .with_context(|| format!("in the record {line:?}"))
            .transpose()
    });
    records
        .map(|record| {
            record.map(|record| Record {
                time: record.time,
                serial: record.serial,
                device: record.device.to_string(),
                res: record.res,
                kind: record.kind,
                text: record.text.to_owned(),
            })
        })
        .collect()
}
