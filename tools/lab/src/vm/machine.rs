// SPDX-License-Identifier: GPL-2.0

//! The machine that is emulated: processors, memory, and the devices to try VFIO on, each in an
//! IOMMU group of its own.
//!
//! | | | |
//! | --- | --- | --- |
//! | 0000:01:00.0 | 8086:10d3 | e1000e, 4096 bytes of configuration space, behind a PCIe root port |
//! | 0000:02:00.0 | 8086:10d3 | e1000e, the same |
//! | 0000:03:00.0 | 1234:11e8 | edu, a conventional device, 256 bytes, behind a PCIe root port |
//! | 0000:04:00.0 | 1b36:0010 | nvme, 4096 bytes, behind a PCIe root port |
//! | 0000:05:00.0 | 8086:10c9 | igb, 4096 bytes, if [`Machine::add_igb`] adds it |
//! | 0000:00:1d.0 | 8086:25ab | i6300esb, a conventional device whose driver needs unassigned bytes, on the root bus |
//! | 0000:00:1e.0 | 8086:100e | e1000, a conventional device, 256 bytes, on the root bus |

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, ensure, Result};
use clap::{ArgAction, Args};
use rustix::fs::{access, Access};

use super::{clock, inside};
use crate::guest::machine::{self as inner, SYSTEM};
use crate::paths::{given, Paths};

/// On a busy host, a test of the timer's interrupt may wait in vain, which is a panic.
const KERNEL_ARGUMENTS: &str =
    "root=/dev/root no_timer_check intel_iommu=on audit=1 loglevel=7 printk.time=1";

/// The machine.
#[derive(Args, Clone, Debug)]
pub struct Machine {
    /// Virtual CPUs
    #[arg(long, default_value_t = 2)]
    pub cpus: u32,
    /// Memory
    #[arg(long, default_value = "2G")]
    pub memory: String,
    /// More kernel arguments; may be given several times
    #[arg(long, value_name = "ARGS", action = ArgAction::Append, allow_hyphen_values = true)]
    pub append: Vec<String>,
    /// More arguments of QEMU's; may be given several times
    #[arg(
        long = "qemu",
        value_name = "ARGS",
        action = ArgAction::Append,
        allow_hyphen_values = true
    )]
    pub extra: Vec<String>,
    /// One CPU whose time-stamp counter counts instructions
    #[arg(long)]
    pub icount: bool,
    /// Emulate the processors at the same time, not in turns
    #[arg(long)]
    pub parallel: bool,
    /// The emulator, if it is not the system's
    #[arg(skip)]
    pub program: Option<PathBuf>,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            cpus: 2,
            memory: "2G".to_owned(),
            append: Vec::new(),
            extra: Vec::new(),
            icount: false,
            parallel: false,
            program: None,
        }
    }
}

/// Whether hardware virtualisation is asked for, by ACCEL=kvm; emulation is the default.
fn wants_kvm() -> Result<bool> {
    match given("ACCEL").as_deref().map(|word| word.to_string_lossy()) {
        None => Ok(false),
        Some(word) if word == "tcg" => Ok(false),
        Some(word) if word == "kvm" => Ok(true),
        Some(word) => bail!("ACCEL is tcg or kvm, not {word}"),
    }
}

impl Machine {
    /// What virtme-ng is told of it.
    pub(super) fn vng(&self) -> Vec<String> {
        let cpus = if self.icount { 1 } else { self.cpus };
        let mut append = vec![KERNEL_ARGUMENTS.to_owned(), clock::arguments(self.icount)];
        append.extend(self.append.iter().cloned());
        let mut words = vec![
            "--cpus".to_owned(),
            cpus.to_string(),
            "--memory".to_owned(),
            self.memory.clone(),
            "--append".to_owned(),
            append.join(" "),
        ];
        if !wants_kvm().unwrap_or(false) {
            words.push("--disable-kvm".to_owned());
        }
        if let Some(program) = &self.program {
            words.extend(["--qemu".to_owned(), program.display().to_string()]);
        }
        words
    }

    /// Add an igb where there is a QEMU that has one: the system's or, with it, the inner guest's.
    pub fn add_igb(&mut self, paths: &Paths) {
        let fetched = inner::program(paths);
        if has_igb(Path::new(SYSTEM)) {
            self.program = None;
        } else if has_igb(&fetched) {
            self.program = Some(fetched);
        } else {
            return;
        }
        self.extra.extend(IGB.map(str::to_owned));
    }

    /// What QEMU is told of it, by virtme-ng.
    pub(super) fn qemu(&self) -> Result<Vec<String>> {
        let mut words = vec![
            // Without the CD drive that QEMU adds to the disk controller: in the QEMU that
            // scripts/fetch-qemu.sh fetches, the firmware spends half a minute on it.
            "-machine q35,kernel-irqchip=split,sata=off".to_owned(),
            "-device intel-iommu,intremap=on,caching-mode=on".to_owned(),
            // virtme-ng adds six controllers of ports with 64 queues each. QEMU waits for an event
            // file of each queue, which took a third of its time.
            "-global virtio-serial-pci.ioeventfd=off".to_owned(),
            format!("-global virtio-serial-device.max_ports={}", inside::PORTS),
        ];
        if wants_kvm()? {
            ensure!(
                access(Path::new("/dev/kvm"), Access::WRITE_OK).is_ok(),
                "ACCEL=kvm, but /dev/kvm cannot be used"
            );
            ensure!(
                !self.icount,
                "instructions can be counted with ACCEL=tcg only"
            );
        } else {
            // With a host thread for each processor, QEMU's own races end the VM every few hundred
            // tests: a processor that is at a device's register while another has the register
            // remapped (any reset of a PCI device does) takes QEMU down, or loses an interrupt and
            // hangs for ever; and a breakpoint that a livepatch set in __schedule() for a moment
            // was hit after it had gone ("Oops: int3"). One thread for all it is.
            let threads = if self.parallel { "multi" } else { "single" };
            words.push(format!("-accel tcg,thread={threads}"));
        }
        if self.icount {
            words.push("-icount shift=0,sleep=off".to_owned());
        }
        words.extend(devices());
        words.extend(self.extra.iter().cloned());
        Ok(words)
    }
}

/// The devices to try VFIO on, of every machine.
fn devices() -> Vec<String> {
    let mut words = Vec::new();
    for port in 1..=4 {
        words.push(format!(
            "-device \
             pcie-root-port,id=port{port},bus=pcie.0,addr=0x1{port},chassis={port},slot={port}"
        ));
    }
    for nic in [1, 2, 5] {
        words.push(format!("-netdev user,id=net{nic},restrict=on"));
    }
    words.extend(
        [
            "-device e1000e,bus=port1,netdev=net1",
            "-device e1000e,bus=port2,netdev=net2",
            "-device edu,bus=port3",
            // What is written to this disk is in a temporary file until the machine ends.
            "-drive if=none,id=disk,file=null-co://,file.size=67108864,file.read-zeroes=on,\
             format=raw,snapshot=on",
            "-device nvme,bus=port4,serial=null,drive=disk",
            "-device e1000,bus=pcie.0,addr=0x1e,netdev=net5",
            // A watchdog. If a guest does not feed it, nothing happens to this machine.
            "-device i6300esb,bus=pcie.0,addr=0x1d -action watchdog=none",
        ]
        .map(str::to_owned),
    );
    words
}

/// A network card with virtual functions, behind a root port of its own.
const IGB: [&str; 3] = [
    "-device pcie-root-port,id=port5,bus=pcie.0,addr=0x1c,chassis=5,slot=5",
    "-netdev user,id=net6,restrict=on",
    "-device igb,bus=port5,netdev=net6",
];

/// Whether a QEMU has an igb; those since version 8 have.
fn has_igb(program: &Path) -> bool {
    let help = Command::new(program).args(["-device", "igb,help"]).output();
    help.is_ok_and(|help| !help.stdout.is_empty())
}

/// Devices to hold many sessions on: `count` of them, each in a group of its own behind a root port
/// of its own.
pub fn crowd(count: usize) -> Vec<String> {
    (0..count)
        .flat_map(|n| {
            let (slot, function, number) = (0x15 + n / 8, n % 8, 100 + n);
            [
                format!(
                    "-device pcie-root-port,id=crowd{n},bus=pcie.0,addr={slot:#x}.{function},\
                     multifunction=on,chassis={number},slot={number}"
                ),
                format!("-device edu,bus=crowd{n}"),
            ]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_counted_on_one_processor() {
        let machine = Machine {
            icount: true,
            ..Machine::default()
        };
        let words = machine.vng().join(" ");
        assert!(words.starts_with("--cpus 1 "), "{words}");
        let qemu = machine.qemu().unwrap().join(" ");
        assert!(qemu.contains("-icount shift=0,sleep=off"), "{qemu}");
    }

    #[test]
    fn each_of_a_crowd_has_a_port_of_its_own() {
        let words = crowd(9);
        assert_eq!(words.len(), 18);
        assert!(words[0].contains("addr=0x15.0,") && words[16].contains("addr=0x16.0,"));
        assert!(words[17].ends_with("bus=crowd8"));
    }
}
