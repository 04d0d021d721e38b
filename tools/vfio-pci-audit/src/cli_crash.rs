// SPDX-License-Identifier: GPL-2.0

//! What the commands take that look into a crash.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use pci_config::Bdf;

use crate::cli::TextOrJson;

/// For `last-boot`.
#[derive(Args, Debug)]
pub struct LastBootArgs {
    /// What --save saved, or a copy of the file trace of tracefs; - is standard input [default:
    /// what the kernel kept, or what was saved last]
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: Option<PathBuf>,
    /// Save what the kernel kept of the last boot on disk: for the start of the machine. Saved are
    /// the last ten boots that left something
    #[arg(long, conflicts_with = "file")]
    pub save: bool,
    /// Where it is saved
    #[arg(
        long,
        value_name = "FOLDER",
        default_value = "/var/lib/vfio-pci-audit",
        value_hint = ValueHint::DirPath
    )]
    pub folder: PathBuf,
    /// Number of accesses to print, the last ones
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub last: usize,
    /// Kernel logs of the boot, which say how it ended: a console's, or files of pstore [default:
    /// pstore and the journal]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub kernel_log: Vec<PathBuf>,
    /// What is common to both
    #[command(flatten)]
    pub common: CommonArgs,
}

/// For `blame`.
#[derive(Args, Debug)]
pub struct BlameArgs {
    /// Where errors are: kernel logs, what journalctl printed, rasdaemon's database, files of
    /// pstore, or folders of these; - is standard input [default: all that this machine has]
    #[arg(value_hint = ValueHint::AnyPath)]
    pub files: Vec<PathBuf>,
    /// What --save or a trace left of accesses; may be given more than once [default: what the
    /// kernel kept of the last boot and keeps of this one]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub trace: Vec<PathBuf>,
    /// Where accesses of boots are saved
    #[arg(
        long,
        value_name = "FOLDER",
        default_value = "/var/lib/vfio-pci-audit",
        value_hint = ValueHint::DirPath
    )]
    pub folder: PathBuf,
    /// Seconds before an error in which accesses count
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
    /// What is common to both
    #[command(flatten)]
    pub common: CommonArgs,
}

/// What both take.
#[derive(Args, Debug)]
pub struct CommonArgs {
    /// Audit logs, which name virtual machines and have accesses, too [default: the system's logs,
    /// or its journal]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub audit_log: Vec<PathBuf>,
    /// What lspci -xxxx printed on the machine, to name what was accessed and which ports there are
    /// [default: this machine's devices]
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
