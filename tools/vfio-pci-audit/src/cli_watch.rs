// SPDX-License-Identifier: GPL-2.0

//! What `watch` takes.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};

use crate::cli_logs::WhatArgs;

/// For `watch`.
#[derive(Args, Debug)]
pub struct WatchArgs {
    /// A log that grows, or a pipe; - is standard input [default: the kernel's own records]
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = WatchFormat::Text)]
    pub format: WatchFormat,
    /// Start with the records that the log has since TIME, such as today, boot, 2h, 2025-05-20
    #[arg(long, value_name = "TIME", requires = "file")]
    pub since: Option<String>,
    /// End after this long, such as 30s or 1h
    #[arg(long = "for", value_name = "SPAN", value_parser = humantime::parse_duration)]
    pub span: Option<Duration>,
    /// Run this shell command for the accesses that are printed
    ///
    /// It gets the rows of --format json on standard input, and the fields of the first row in
    /// variables such as VFIO_PCI_AUDIT_DEVICE, VFIO_PCI_AUDIT_OP and VFIO_PCI_AUDIT_VM. One
    /// instance runs at a time. Up to 10,000 rows that arrive while it runs are kept for its next
    /// run; VFIO_PCI_AUDIT_MISSED has the number of rows that were dropped.
    #[arg(long, value_name = "COMMAND", value_hint = ValueHint::CommandString)]
    pub exec: Option<String>,
    /// End with exit code 4 as soon as this happens
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    pub fail_on: Vec<Alarm>,
    /// Output of lspci -xxxx from the machine of the log, to name registers [default: this
    /// machine's devices, for records of it]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub dump: Vec<PathBuf>,
    /// Which records
    #[command(flatten)]
    pub what: WhatArgs,
    /// Use the files under this folder instead of those of this machine
    #[arg(long, value_name = "FOLDER", default_value = "/", hide = true)]
    pub root: PathBuf,
}

/// How to print what happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WatchFormat {
    /// Text, one line per access
    Text,
    /// The rows that export writes, one line per access
    Json,
}

/// What ends the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Alarm {
    /// A write was blocked
    BlockedWrite,
    /// A read was blocked
    BlockedRead,
    /// A write was allowed
    AllowedWrite,
    /// A read was allowed
    AllowedRead,
    /// Messages of the kernel were lost, and accesses may have been missed
    Lost,
}
