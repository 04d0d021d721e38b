// SPDX-License-Identifier: GPL-2.0

//! The command line.

use std::path::PathBuf;

use anyhow::Error;
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use pci_config::{Bdf, Id};

use crate::advise::{parse_id, Place};
use crate::cli_crash::{BlameArgs, LastBootArgs};
use crate::cli_logs::{LogArgs, WhichArgs};
#[cfg(feature = "observe")]
use crate::cli_observe::ObserveArgs;
use crate::cli_watch::WatchArgs;
use crate::known::device::{Class, Pattern};

/// How the program ended, for the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It did what it was asked to.
    Done = 0,
    /// It did, and there is nothing: no PCI record, or no module.
    Nothing = 1,
    /// The command line asks for what cannot be done; clap ends with it, too.
    Usage = 2,
    /// Something could not be read or written. What could be is told all the same.
    Failed = 3,
    /// What `watch` was told to end at has happened.
    Alarm = 4,
}

/// Why what the command line asks for cannot be done, where clap does not know that.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

const EXIT_CODES: &str = "\
Exit codes:
  0  success; lines that cannot be parsed cause warnings only
  1  nothing found: no PCI record (report, advise), no access (watch, last-boot), no error (blame),
     no module (status) or no register (known)
  2  usage error
  3  a file could not be read or written; the output covers the others
  4  watch: a condition of --fail-on was met";

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
    /// Show the state of this kernel: toggles, exceptions, limits, open sessions, and what blocking
    /// does not cover on this machine's devices
    Status(StatusArgs),
    /// Draw a device's configuration space, with its unassigned bytes
    Map(MapArgs),
    /// Report from audit logs who accessed what
    ///
    /// Reads auditd's logs, the output of ausearch (--raw or -i), kernel logs (dmesg, a serial
    /// console, syslog, journalctl -k), the output of journalctl -o json and -o export, and the
    /// JSON of laurel and Auditbeat. Logs may be rotated, and compressed with gzip, xz or zstd.
    /// Memory use does not grow with the logs.
    Report(ReportArgs),
    /// Show what blocking would stop, from logs of a period without it, and print exceptions
    Advise(AdviseArgs),
    /// Compare two periods: before and after an update, or before and after blocking
    Diff(DiffArgs),
    /// Write accesses and sessions as rows for a database
    ///
    /// There is a row for each record of accesses and one for each session, with the machine, the
    /// virtual machine and the program. Accesses without a record of their own have a row with
    /// their number, and one for each range that they touched.
    Export(ExportArgs),
    /// Record accesses to unassigned bytes on a kernel without the module; block nothing
    ///
    /// A BPF program sees what processes read and write through VFIO. The records that the module
    /// would write go to a log, for report, advise and ausearch -if. This takes root, or the
    /// capabilities CAP_BPF and CAP_PERFMON, and Linux 5.15 or later with type information
    /// (CONFIG_DEBUG_INFO_BTF). It runs until it is interrupted; SIGHUP makes it reopen its log.
    /// While it runs, vfio_pci_core cannot be unloaded.
    #[cfg(feature = "observe")]
    Observe(ObserveArgs),
    /// Print accesses as they happen, one per line
    ///
    /// Without a file it listens to the kernel, with or without an audit daemon. That takes root
    /// or CAP_AUDIT_READ, in the initial network namespace. A log may be of any form that report
    /// reads, and may be rotated or truncated; records that it already has are read only to find
    /// out who holds devices.
    Watch(WatchArgs),
    /// Print which unassigned bytes drivers are known to use, or the exceptions that this machine's
    /// devices need
    ///
    /// Some drivers use registers outside the capabilities that VFIO knows, which blocking stops.
    /// For each, this prints the driver, what breaks, and whether its bytes are known to be
    /// unassigned. If the layout is not verified, the register may lie in a vendor capability,
    /// which is never blocked.
    Known(KnownArgs),
    /// Show the last accesses before the machine died, and how it died
    ///
    /// The module pci_audit keeps them in memory that outlives a reset, if the kernel's command
    /// line reserves some (reserve_mem=16M:4096:pci_audit, Linux 6.12 and later); --save saves them
    /// on disk. Names of virtual machines are taken from audit logs.
    LastBoot(LastBootArgs),
    /// Show which accesses came before errors of devices, and how likely they are the cause
    ///
    /// Errors (AER, DPC, machine checks, panics) are read from kernel logs, from the output of
    /// journalctl (-o short and its variants, json, export), from rasdaemon's database and from the
    /// files of pstore; accesses from audit logs, and from the memory in which the kernel keeps
    /// those of the last boot and of this one.
    Blame(BlameArgs),
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
    /// Output format
    #[arg(long, value_enum, default_value_t = StatusFormat::Text)]
    pub format: StatusFormat,
    /// Use the files under this folder instead of those of this machine
    #[arg(long, value_name = "FOLDER", default_value = "/", hide = true)]
    pub root: PathBuf,
}

/// For `map`.
#[derive(Args, Debug)]
pub struct MapArgs {
    /// The device, such as 0000:01:00.0 or 01:00.0; needs root for more than 64 bytes
    #[arg(required_unless_present_any = ["dump", "all"])]
    pub bdf: Option<Bdf>,
    /// List every device of this machine, or of the dump, instead: what it is, its driver and IOMMU
    /// group, whether it is exempt, and its unassigned bytes
    #[arg(long, conflicts_with_all = ["bdf", "svg", "row"])]
    pub all: bool,
    /// Read this output of lspci -xxxx instead of this machine's device; - is standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub dump: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub format: TextOrJson,
    /// Bytes per row [default: as many as fit, or 16 for a space of 256 bytes]
    #[arg(long, value_parser = ["16", "32", "64"])]
    pub row: Option<String>,
    /// Write a drawing to this file; - is standard output, instead of the map
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub svg: Option<PathBuf>,
    /// Use the files under this folder instead of those of this machine
    #[arg(long, value_name = "FOLDER", default_value = "/", hide = true)]
    pub root: PathBuf,
}

/// For `known`.
#[derive(Args, Debug)]
pub struct KnownArgs {
    /// Print only registers of this device, such as 10de:1eb8, or of a vendor, such as 10de:*
    pub id: Option<Pattern>,
    /// The first digits of the device's class, such as 0300 [default: that of this machine's
    /// device]
    #[arg(long, value_name = "CODE")]
    pub class: Option<Class>,
    /// Print the exceptions for devices that are bound to vfio-pci, or have it as driver_override,
    /// as a file for /etc/modprobe.d
    #[arg(long, conflicts_with_all = ["id", "class"])]
    pub modprobe: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub format: TextOrJson,
    /// Use the files under this folder instead of those of this machine
    #[arg(long, value_name = "FOLDER", default_value = "/", hide = true)]
    pub root: PathBuf,
}

/// For `report`.
#[derive(Args, Debug)]
pub struct ReportArgs {
    /// Which logs
    #[command(flatten)]
    pub logs: LogArgs,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// List the last N sessions of each device
    #[arg(
        long,
        value_name = "N",
        default_value_t = 3,
        value_parser = clap::value_parser!(u16).range(..=1000)
    )]
    pub sessions: u16,
    /// Merge reports that --format json wrote, of several machines or of several periods
    #[arg(long, requires = "files", conflicts_with_all = ["heat", "html", "svg", "dump"])]
    pub merge: bool,
    /// Draw which bytes were accessed
    #[arg(long)]
    pub heat: bool,
    /// Write the report to this file instead, as one page for a browser, with time lines, heat maps
    /// and filters
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub html: Option<PathBuf>,
    /// Output of lspci -xxxx from the machine of the logs, to name registers, and to show
    /// capabilities in drawings [default: this machine's devices, for records of it]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub dump: Vec<PathBuf>,
    /// Write a drawing of the bytes that were accessed to this file; - is standard output, instead
    /// of the report
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub svg: Option<PathBuf>,
}

/// For `advise`.
#[derive(Args, Debug)]
pub struct AdviseArgs {
    /// Which logs
    #[command(flatten)]
    pub logs: LogArgs,
    /// Output format
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub format: TextOrJson,
    /// The id of a device in the logs, such as 01:00.0=8086:10d3 or host1/01:00.0=8086:10d3
    /// [default: this machine's ids, for records of it]
    #[arg(long, value_name = "[NODE/]BDF=VENDOR:DEVICE", value_parser = id)]
    pub id: Vec<(Place, Id)>,
    /// Output of lspci -xxxx from the machine of the logs, to name registers [default: this
    /// machine's devices, for records of it]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub dump: Vec<PathBuf>,
}

fn id(text: &str) -> Result<(Place, Id), Error> {
    parse_id(text)
}

/// For `export`.
#[derive(Args, Debug)]
pub struct ExportArgs {
    /// Which logs
    #[command(flatten)]
    pub logs: LogArgs,
    /// Output format
    #[arg(long, value_enum, default_value_t = ExportFormat::Ndjson)]
    pub format: ExportFormat,
    /// Which rows to write
    #[arg(long, value_enum, default_value_t = Rows::All)]
    pub rows: Rows,
    /// Write accesses and sessions to files in this folder instead of to standard output; it is
    /// created if it does not exist
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub out: Option<PathBuf>,
    /// Output of lspci -xxxx from the machine of the logs, to name registers [default: this
    /// machine's devices, for records of it]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub dump: Vec<PathBuf>,
}

/// How to write rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// JSON, one row per line
    Ndjson,
    /// Parquet; the program has to be built with the feature parquet
    Parquet,
}

impl ExportFormat {
    /// What names of files end with.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Parquet => "parquet",
        }
    }
}

/// Which rows to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Rows {
    /// All; the field kind tells them apart
    All,
    /// Those of accesses
    Accesses,
    /// Those of sessions
    Sessions,
}

/// For `diff`.
#[derive(Args, Debug)]
pub struct DiffArgs {
    /// Before: a log, a folder of rotated logs, or a period FROM..TO, either end of which may be
    /// omitted
    #[arg(value_hint = ValueHint::AnyPath)]
    pub old: String,
    /// After: the same
    #[arg(value_hint = ValueHint::AnyPath)]
    pub new: String,
    /// The logs for periods [default: the system's logs, or its journal]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub log: Vec<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub format: TextOrJson,
    /// Which records
    #[command(flatten)]
    pub which: WhichArgs,
    /// Use the files under this folder instead of those of this machine
    #[arg(long, value_name = "FOLDER", default_value = "/", hide = true)]
    pub root: PathBuf,
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for people
    Text,
    /// One JSON object
    Json,
    /// One CSV table: a line with the totals for each device, operation and result, and a line for
    /// each range
    Csv,
}

/// How to print what is no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TextOrJson {
    /// Text for people
    Text,
    /// One JSON object
    Json,
}

/// How to print a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StatusFormat {
    /// Text for people
    Text,
    /// One JSON object
    Json,
    /// Metrics, for the textfile collector of Prometheus' node exporter
    Openmetrics,
}
