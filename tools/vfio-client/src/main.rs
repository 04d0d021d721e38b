// SPDX-License-Identifier: GPL-2.0

//! Reads and writes the configuration space of a PCI device through VFIO.

mod hold;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{bail, Context, Result};
use clap::{Args, Parser, Subcommand};
use vfio_client::{hex, stream, sweep, sysfs, Bdf, Device, Region};

#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Read bytes with one system call
    Read {
        /// The device, such as 0000:01:00.0
        bdf: Bdf,
        /// The first byte, such as 0x298
        #[arg(value_parser = hex::number)]
        offset: u64,
        /// How many bytes
        #[arg(value_parser = hex::number)]
        size: u64,
    },
    /// Write bytes with one system call
    Write {
        /// The device
        bdf: Bdf,
        /// The first byte
        #[arg(value_parser = hex::number)]
        offset: u64,
        /// The bytes, in memory order, such as deadbeef
        bytes: String,
    },
    /// Read a byte, a word and a dword at every offset, and print a digest of what was seen
    Sweep {
        /// The device
        bdf: Bdf,
        /// Write what was seen to this file
        #[arg(long)]
        dump: Option<PathBuf>,
    },
    /// Write a byte, a word and a dword at every offset and read it back: may reset the device
    WriteSweep {
        /// The device
        bdf: Bdf,
        /// Where the bytes come from
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Leave assigned bytes alone
        #[arg(long)]
        unassigned_only: bool,
        /// Write what was read back to this file
        #[arg(long)]
        dump: Option<PathBuf>,
    },
    /// Print the ranges of unassigned bytes
    Map {
        /// The device
        bdf: Bdf,
    },
    /// Make random accesses, and print the totals as JSON
    Stream(StreamArgs),
    /// Keep the device open and obey a line of standard input at a time:
    ///
    /// "read OFFSET SIZE", "write OFFSET HEXBYTES", "fork N LINE" (N children in turn obey that
    /// line), "pass SOCKET" (hand the device to a process that receives), "exec PROGRAM" (go on as
    /// that program).
    #[command(verbatim_doc_comment)]
    Hold {
        /// The device
        bdf: Bdf,
    },
    /// The same, with a device that another process passes
    Receive {
        /// Where to listen for it
        socket: PathBuf,
    },
    /// The same, with a device that this process had before it executed this program
    Inherit {
        /// The number of its descriptor
        fd: i32,
        /// Where in it configuration space begins
        start: u64,
    },
}

#[derive(Args)]
struct StreamArgs {
    /// The device
    bdf: Bdf,
    /// The same seed makes the same accesses
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many system calls, all threads together
    #[arg(long, default_value_t = 1000)]
    count: u64,
    /// How many threads
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: u64,
    /// The most bytes of one access
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    max_size: u16,
    /// Only read
    #[arg(long, conflicts_with = "writes_only")]
    reads_only: bool,
    /// Only write
    #[arg(long)]
    writes_only: bool,
    /// Read and write unassigned bytes only (writes keep to them in any case)
    #[arg(long)]
    unassigned_only: bool,
    /// Write anywhere: may reset the device or put it to sleep
    #[arg(long, conflicts_with = "unassigned_only")]
    write_assigned: bool,
}

impl StreamArgs {
    fn plan(&self) -> stream::Plan {
        stream::Plan {
            seed: self.seed,
            count: self.count,
            threads: self.threads,
            mix: match (self.reads_only, self.writes_only) {
                (true, _) => stream::Mix::Reads,
                (_, true) => stream::Mix::Writes,
                _ => stream::Mix::Both,
            },
            max_size: self.max_size.into(),
            unassigned_only: self.unassigned_only,
            write_assigned: self.write_assigned,
        }
    }
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Read { bdf, offset, size } => read(&Device::open(bdf)?, offset, size),
        Command::Write { bdf, offset, bytes } => {
            let bytes = hex::parse(&bytes)?;
            Ok(Device::open(bdf)?.write(offset, &bytes)?)
        }
        Command::Sweep { bdf, dump } => report(&sweep::read(&Device::open(bdf)?)?, dump),
        Command::WriteSweep {
            bdf,
            seed,
            unassigned_only,
            dump,
        } => {
            let device = Device::open(bdf)?;
            let wanted = |offset, size| {
                !unassigned_only || (offset..offset + size).all(|at| device.map().unassigned(at))
            };
            report(&sweep::write(&device, seed, wanted)?, dump)
        }
        Command::Map { bdf } => {
            for run in sysfs::config_map(bdf)?.all_runs() {
                println!("{:#05x} {}", run.start, run.len());
            }
            Ok(())
        }
        Command::Stream(args) => stream(&args),
        Command::Hold { bdf } => hold::obey_all(Device::open(bdf)?.region()),
        Command::Receive { socket } => hold::receive(&socket),
        Command::Inherit { fd, start } => hold::obey_all(&Region::inherit(fd, start)?),
    }
}

fn read(device: &Device, offset: u64, size: u64) -> Result<()> {
    // A bound of our own: the kernel is asked whatever the size of the device, but not for
    // gigabytes.
    if size > 1 << 16 {
        bail!("{size} bytes are more than a configuration space has");
    }
    let bytes = device.read_vec(offset, size as usize)?;
    print!("{}", hex::dump(offset, &bytes));
    Ok(())
}

fn report(transcript: &sweep::Transcript, dump: Option<PathBuf>) -> Result<()> {
    if let Some(path) = dump {
        std::fs::write(&path, transcript.text()).with_context(|| path.display().to_string())?;
    }
    println!("{} {}", transcript.digest(), transcript.seen().len());
    Ok(())
}

fn stream(args: &StreamArgs) -> Result<()> {
    let threads = stream::run(&Device::open(args.bdf)?, &args.plan())?;
    let each: Vec<_> = threads.iter().map(stream::Totals::json).collect();
    println!(
        r#"{{"total":{},"threads":[{}]}}"#,
        stream::sum(&threads).json(),
        each.join(",")
    );
    Ok(())
}
