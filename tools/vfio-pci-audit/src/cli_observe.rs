// SPDX-License-Identifier: GPL-2.0

//! The command `observe`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum, ValueHint};
use vfio_pci_observe::run::By;
use vfio_pci_observe::Options;

use crate::cli::Exit;

/// For `observe`.
#[derive(Args, Debug)]
pub struct ObserveArgs {
    /// Append records to this file [default: standard output]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub log: Option<PathBuf>,
    /// Records a second, for each device's reads and for its writes; 0: no limit. Accesses over the
    /// limit are counted and reported
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub rate: u32,
    /// Records at once before the rate applies
    #[arg(long, value_name = "N", default_value_t = 24)]
    pub burst: u32,
    /// Attach the program in this way only [default: by fentry, or by kprobe where that fails]
    #[arg(long, value_enum, hide = true)]
    pub by: Option<Way>,
}

/// How the program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// By fentry
    Fentry,
    /// By kprobe
    Kprobe,
    /// By kprobe, as on a kernel whose type information does not have the config map
    KprobeWithoutMap,
}

impl From<Way> for By {
    fn from(way: Way) -> Self {
        match way {
            Way::Fentry => By::Fentry,
            Way::Kprobe => By::Kprobe,
            Way::KprobeWithoutMap => By::KprobeWithoutMap,
        }
    }
}

/// Do it, until a signal says to stop.
pub fn observe(args: &ObserveArgs) -> Result<Exit> {
    vfio_pci_observe::run(&Options {
        log: args.log.clone(),
        rate: args.rate,
        burst: args.burst,
        by: args.by.map(By::from),
    })?;
    Ok(Exit::Done)
}
