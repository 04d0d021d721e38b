// SPDX-License-Identifier: GPL-2.0

//! The command line.

use std::path::PathBuf;

use anyhow::Error;
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use pci_audit_core::allow_list::Id;
use pci_config::Bdf;

use crate::advise::parse_id;
use crate::known::device::{Class, Pattern};

/// How the program ended, for the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It did what it was asked to.
    Done = 0,
    /// It did, and there is nothing: no PCI record, or no module.
    Nothing = 1,
    // 2 is clap's, for a command line that makes no sense.
    /// Something could not be read or written. What could be is told all the same.
    Failed = 3,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done; lines that cannot be read are counted and named, and change nothing
  1  done, and there is nothing: report and advise found no PCI record, status no module, known no
     register
  2  the command line makes no sense
  3  something could not be read or written; what could be was told all the same";

/// Show who accesses unassigned PCI configuration space through VFIO, and what blocking would stop
#[derive(Debug, Parser)]
#[command(name = "vfio-pci-audit", version, about, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub color: Color,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal that has them, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what this kernel has and does: toggles, exempt devices, limits, open sessions
    Status(StatusArgs),
    /// Draw a device's configuration space, with its unassigned bytes
    Map(MapArgs),
    /// Tell from audit logs who accessed what
    ///
    /// Logs may be rotated, and packed by gzip or xz. Raw and enriched logs are read, and what ausearch --raw
    /// prints; records that an older audit daemon wrote as UNKNOWN[1340] count. Memory does not grow with the logs.
    Report(ReportArgs),
    /// Tell from logs of a period without blocking what blocking would stop, and how to exempt it
    Advise(AdviseArgs),
    /// Print which unassigned bytes drivers are known to use, or the exceptions that this machine's devices need
    ///
    /// A register that is in no capability that VFIO knows is blocked with all others. Of each there is who uses it,
    /// what breaks, and whether its bytes are known to be unassigned. A row whose layout is not verified may lie in a
    /// vendor capability, which is never blocked.
    Known(KnownArgs),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print this program's manual page, or write it and those of the commands to a folder
    Man {
        /// The folder
        #[arg(value_hint = ValueHint::DirPath)]
        folder: Option<PathBuf>,
    },
}

/// For `status`.
#[derive(Args, Debug)]
pub struct StatusArgs {
    /// How to print
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub format: TextOrJson,
    /// Look at the files under this folder instead of those of this machine
    #[arg(long, value_name = "FOLDER", default_value = "/", hide = true)]
    pub root: PathBuf,
}

/// For `map`.
#[derive(Args, Debug)]
pub struct MapArgs {
    /// The device, such as 0000:01:00.0 or 01:00.0; needs root for more than 64 bytes
    #[arg(required_unless_present = "dump")]
    pub bdf: Option<Bdf>,
    /// Read what lspci -xxxx printed instead of this machine's device; - is standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub dump: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub format: TextOrJson,
    /// Bytes a row [default: 64, or 16 for a space of 256 bytes]
    #[arg(long, value_parser = ["16", "64"])]
    pub row: Option<String>,
    /// Write a drawing to this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub svg: Option<PathBuf>,
    /// Look at the files under this folder instead of those of this machine
    #[arg(long, value_name = "FOLDER", default_value = "/", hide = true)]
    pub root: PathBuf,
}

/// For `known`.
#[derive(Args, Debug)]
pub struct KnownArgs {
    /// Only what is known of this device, such as 10de:1eb8, or of a vendor, such as 10de:* [default: everything]
    pub id: Option<Pattern>,
    /// The first digits of the device's class, such as 0300 [default: as in this machine, if it is there]
    #[arg(long, value_name = "CODE")]
    pub class: Option<Class>,
    /// Print the exceptions for the devices that vfio-pci has, or may get, as a file for /etc/modprobe.d
    #[arg(long, conflicts_with_all = ["id", "class"])]
    pub modprobe: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub format: TextOrJson,
    /// Look at the files under this folder instead of those of this machine
    #[arg(long, value_name = "FOLDER", default_value = "/", hide = true)]
    pub root: PathBuf,
}

/// For `report`.
#[derive(Args, Debug)]
pub struct ReportArgs {
    /// Logs in the order of time, or folders of rotated ones; - is standard input [default: the system's logs]
    #[arg(value_hint = ValueHint::AnyPath)]
    pub files: Vec<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Tell of the last N sessions of each device one by one
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(..=1000))]
    pub sessions: u16,
    /// Draw where accesses went
    #[arg(long)]
    pub heat: bool,
    /// Write a drawing of where accesses went to this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub svg: Option<PathBuf>,
    /// What lspci -xxxx printed on the machine of the logs, to name what was accessed [default: this machine's
    /// devices, for records without node=]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub dump: Option<PathBuf>,
    /// Look at the files under this folder instead of those of this machine
    #[arg(long, value_name = "FOLDER", default_value = "/", hide = true)]
    pub root: PathBuf,
}

/// For `advise`.
#[derive(Args, Debug)]
pub struct AdviseArgs {
    /// Logs in the order of time, or folders of rotated ones; - is standard input [default: the system's logs]
    #[arg(value_hint = ValueHint::AnyPath)]
    pub files: Vec<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub format: TextOrJson,
    /// What a device of the logs is, such as 01:00.0=8086:10d3 [default: as in this machine, for records without node=]
    #[arg(long, value_name = "BDF=VENDOR:DEVICE", value_parser = id)]
    pub id: Vec<(Bdf, Id)>,
    /// What lspci -xxxx printed on the machine of the logs, to name what was accessed [default: this machine's
    /// devices, for records without node=]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub dump: Option<PathBuf>,
    /// Look at the files under this folder instead of those of this machine
    #[arg(long, value_name = "FOLDER", default_value = "/", hide = true)]
    pub root: PathBuf,
}

fn id(text: &str) -> Result<(Bdf, Id), Error> {
    parse_id(text)
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// One object
    Json,
    /// One table: for each device, operation and result a line with the totals, and one for each range
    Csv,
}

/// How to print what is no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TextOrJson {
    /// For people
    Text,
    /// One object
    Json,
}
