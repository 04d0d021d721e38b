// SPDX-License-Identifier: GPL-2.0

//! What the commands take that look into a crash.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use pci_config::Bdf;

use crate::cli::TextOrJson;

/// Where boots are saved.
pub const FOLDER: &str = "/var/lib/vfio-pci-audit";

/// For `last-boot`.
#[derive(Args, Debug)]
pub struct LastBootArgs {
    /// A file that --save wrote, or a copy of tracefs's file trace; - is standard input. One that
    /// is not in /var/lib/vfio-pci-audit is taken to be of another machine, unless --audit-log
    /// names a log of this one [default: what the kernel kept, or the file that was saved last]
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: Option<PathBuf>,
    /// Save what the kernel kept of the last boot to disk, for use when the machine starts; the
    /// last ten boots that left accesses are kept
    #[arg(long, conflicts_with = "file")]
    pub save: bool,
    /// Folder of saved boots
    #[arg(
        long,
        value_name = "FOLDER",
        default_value = FOLDER,
        value_hint = ValueHint::DirPath
    )]
    pub folder: PathBuf,
    /// Print the last N accesses
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub last: usize,
    /// Kernel logs of that boot, to find out how it ended: of a console, or files of pstore
    /// [default: pstore and the journal]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub kernel_log: Vec<PathBuf>,
    /// What is common to both
    #[command(flatten)]
    pub common: CommonArgs,
}

/// For `blame`.
#[derive(Args, Debug)]
pub struct BlameArgs {
    /// Sources of errors: kernel logs, output of journalctl, rasdaemon's database, files of pstore,
    /// or folders of these; - is standard input [default: all that this machine has]
    #[arg(value_hint = ValueHint::AnyPath)]
    pub files: Vec<PathBuf>,
    /// Accesses of a boot: a file that last-boot --save wrote, or a copy of tracefs's file trace;
    /// may be repeated. One that is not in /var/lib/vfio-pci-audit is taken to be of another
    /// machine, unless --audit-log names a log of this one [default: what the kernel keeps of the
    /// last boot and of this one]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub trace: Vec<PathBuf>,
    /// Folder of saved boots
    #[arg(
        long,
        value_name = "FOLDER",
        default_value = FOLDER,
        value_hint = ValueHint::DirPath
    )]
    pub folder: PathBuf,
    /// Consider accesses up to this many seconds before an error
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(1..=86_400)
    )]
    pub window: u32,
    /// Only errors of this device and of ports above it
    #[arg(long, value_name = "BDF")]
    pub device: Vec<Bdf>,
    /// Include errors that were corrected
    #[arg(long)]
    pub corrected: bool,
    /// Skip errors before TIME, such as today, recent, boot, 2h, 2025-05-20, "05/20/2025 16:20:00"
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// What is common to both
    #[command(flatten)]
    pub common: CommonArgs,
}

/// What both take.
#[derive(Args, Debug)]
pub struct CommonArgs {
    /// Audit logs, for the names of virtual machines and for more accesses [default: the system's
    /// logs, or its journal, if the accesses are of this machine]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub audit_log: Vec<PathBuf>,
    /// Output of lspci -xxxx from the machine, to name registers and find ports [default: this
    /// machine's devices, if the accesses are of it]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub dump: Vec<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub format: TextOrJson,
    /// Print times in UTC instead of in local time
    #[arg(long)]
    pub utc: bool,
    /// Use the files under this folder instead of those of this machine
    #[arg(long, value_name = "FOLDER", default_value = "/", hide = true)]
    pub root: PathBuf,
}
