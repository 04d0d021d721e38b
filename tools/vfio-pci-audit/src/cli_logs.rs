// SPDX-License-Identifier: GPL-2.0

//! What all commands take that read logs: which logs, and which of their records.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum, ValueHint};
use pci_config::Bdf;

use crate::cli::Usage;
use crate::filter::Filter;
use crate::record::Op;
use crate::time::Zone;
use crate::when::Now;

/// Which logs.
#[derive(Args, Debug)]
pub struct LogArgs {
    /// Logs in any order, or folders of rotated ones; - is standard input [default: the system's
    /// logs, or its journal]
    #[arg(value_hint = ValueHint::AnyPath)]
    pub files: Vec<PathBuf>,
    /// Which records
    #[command(flatten)]
    pub which: WhichArgs,
    /// Use the files under this folder instead of those of this machine
    #[arg(long, value_name = "FOLDER", default_value = "/", hide = true)]
    pub root: PathBuf,
}

/// Which records.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Filters")]
pub struct WhichArgs {
    /// Skip records before TIME, such as today, recent, boot, 2h, 2025-05-20, "05/20/2025 16:20:00"
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Skip records after TIME
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// And of those
    #[command(flatten)]
    pub what: WhatArgs,
}

/// Which records, whenever they were made.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Filters")]
pub struct WhatArgs {
    /// Only those of this device
    #[arg(long, value_name = "BDF")]
    pub device: Vec<Bdf>,
    /// Only those of this machine, for logs with node=
    #[arg(long, value_name = "NAME")]
    pub node: Vec<String>,
    /// Only those of this virtual machine, by its name or UUID
    #[arg(long, value_name = "VM")]
    pub vm: Vec<String>,
    /// Only accesses that were blocked
    #[arg(long)]
    pub blocked: bool,
    /// Only accesses of this operation
    #[arg(long, value_enum)]
    pub op: Option<OpArg>,
    /// Print and read times in UTC instead of in local time
    #[arg(long)]
    pub utc: bool,
}

/// What an access does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OpArg {
    /// It reads
    Read,
    /// It writes
    Write,
}

impl WhichArgs {
    /// Where times are told.
    pub fn zone(&self) -> Zone {
        self.what.zone()
    }

    /// The same as a filter.
    pub fn filter(&self) -> Result<Filter> {
        Ok(Filter {
            since: self.what.time(self.since.as_deref())?,
            until: self.what.time(self.until.as_deref())?,
            ..self.what.filter()
        })
    }
}

impl WhatArgs {
    /// Where times are told.
    pub fn zone(&self) -> Zone {
        Zone::new(self.utc)
    }

    /// Read a time, if there is one; in milliseconds since 1970.
    pub fn time(&self, text: Option<&str>) -> Result<Option<u64>> {
        let now = Now::here(self.zone().zone());
        let read = |text| now.read(text).map_err(|error| Usage(format!("{error:#}")));
        Ok(text.map(read).transpose()?)
    }

    /// The same as a filter.
    pub fn filter(&self) -> Filter {
        Filter {
            devices: self.device.clone(),
            nodes: self.node.clone(),
            vms: self.vm.clone(),
            blocked: self.blocked,
            op: self.op.map(|op| match op {
                OpArg::Read => Op::Read,
                OpArg::Write => Op::Write,
            }),
            ..Filter::default()
        }
    }
}
